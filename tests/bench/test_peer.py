from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import data
from tinygrad_cnn.bench import ours, peer
from tinygrad_cnn.bench.vocabulary import FUNCTIONS


def test_without_a_row_pytorch_is_not_imported_nor_anything_of_ours() -> None:
    program = (
        "import importlib.util, sys\n"
        "specification = importlib.util.spec_from_file_location('side', sys.argv[1])\n"
        "specification.loader.exec_module(importlib.util.module_from_spec(specification))\n"
        "assert not {'torch', 'tinygrad_cnn', 'numba'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program, peer.__file__], check=True)


@pytest.mark.parametrize("face", ["forward", "input-grad", "weight-grad"])
@pytest.mark.parametrize("geometry", [(1, 1, 1, 1), (0, 2, 1, 1), (2, 1, 2, 1), (1, 1, 1, 3)])
def test_same_convolution(face: str, geometry: tuple[int, ...], torch: Any) -> None:
    names = ("padding", "stride", "dilation", "groups")
    arguments: Any = {"face": face, "image": (2, 3, 7, 6), "filters": (6, 3 // geometry[3], 2, 3)}
    arguments |= dict(zip(names, geometry, strict=True))
    theirs, found = peer.convolution(**arguments)(), ours.convolution(**arguments)()
    np.testing.assert_allclose(found, theirs.numpy(), rtol=1e-5, atol=1e-5)


def test_same_additions_and_products(torch: Any) -> None:
    np.testing.assert_array_equal(ours.add(2)().data, peer.add(2)().detach().numpy())
    np.testing.assert_array_equal(ours.chain(5)().data, peer.chain(5)().numpy())
    np.testing.assert_allclose(ours.matmul(7)(), peer.matmul(7)().numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [("ReLU", []), ("BatchNorm2d", [3]), ("AvgPool2d", [2]), ("MaxPool2d", [3, 2, 1]), ("Softmax", [1])],
)
def test_same_layers(kind: str, arguments: list[int], torch: Any) -> None:
    found, wanted = (side.layer(kind, arguments, [2, 3, 6, 8])() for side in (ours, peer))
    for g, gradient in zip(found, wanted, strict=True):
        np.testing.assert_allclose(g.data, gradient.numpy(), rtol=1e-4, atol=1e-5)


def test_same_shapes_where_weights_are_drawn(torch: Any) -> None:
    found, wanted = (side.layer("Linear", [3, 4], [2, 3])() for side in (ours, peer))
    assert [g.shape for g in found] == [tuple(g.shape) for g in wanted]


def test_same_joins(torch: Any) -> None:
    found, wanted = (side.joined([2, 3, 4, 5], 3)() for side in (ours, peer))
    assert len(found) == 3
    for g, gradient in zip(found, wanted, strict=True):
        assert gradient.is_contiguous()
        np.testing.assert_array_equal(g.data, gradient.numpy())
    found, wanted = (side.inception([1, 192, 3, 4])() for side in (ours, peer))
    assert [g.shape for g in found] == [tuple(g.shape) for g in wanted]


@pytest.mark.parametrize("kind", ["CrossEntropyLoss", "NLLLoss", "MSELoss"])
def test_same_losses(kind: str, torch: Any) -> None:
    (found,), (wanted,) = (side.loss(kind, [5, 3])() for side in (ours, peer))
    np.testing.assert_allclose(found.data, wanted.numpy(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("line", FUNCTIONS, ids=lambda line: line[1])
def test_same_functions(line: Any, torch: Any) -> None:
    _, _, function, arguments, options, _ = line
    small = {1024: 6, 1000: 9, 500: 4, 32: 2, 64: 3, 28: 6, 14: 3, 784: 36, 128: 5}

    def shrunk(part: Any) -> Any:
        match part:
            case [str(word), *sizes]:
                return [word, *(small.get(n, n) for n in sizes)]
            case [*parts]:
                return [shrunk(p) for p in parts]
        return part

    found, wanted = (side.functional(function, shrunk(arguments), options)() for side in (ours, peer))
    assert len(found) == len(wanted) > 0
    for g, gradient in zip(found, wanted, strict=True):
        np.testing.assert_allclose(g.data, gradient.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["SGD", "Adam"])
def test_an_optimizer_steps_over_all_its_parameters(kind: str, torch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    make = getattr(torch.optim, kind)
    monkeypatch.setattr(
        torch.optim, kind, lambda parameters, **rest: seen.extend(parameters) or make(parameters, **rest)
    )
    step = peer.optimizer(kind, 1000)
    before = [p.detach().clone() for p in seen]
    step()
    assert sum(p.numel() for p in seen) == 1000
    assert all((p != was).any() for p, was in zip(seen, before, strict=True))


@pytest.mark.parametrize("net", ["lenet", "mnist_net"])
def test_same_step(net: str, torch: Any) -> None:
    loss = peer.training(net, 3)()
    assert math.isclose(loss.item(), math.log(10), rel_tol=0.1)
    y = peer.inference(net, 2)()
    assert y.shape == (2, 10)
    assert not y.requires_grad
    assert torch.is_grad_enabled()


def test_networks_are_compiled_where_that_is_asked_for(torch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda model, dynamic: compiled.append(model) or model)
    peer.training("lenet", 2)
    assert not compiled
    monkeypatch.setenv("BENCH_TORCH_COMPILE", "1")
    peer.training("lenet", 2)
    assert len(compiled) == 1


def test_mnist_trains_and_counts_what_is_right(torch: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for split, size in (("train", 600), ("t10k", 300)):
        digits = data.synthetic_digits(size, seed=size)
        (tmp_path / f"{split}-images-idx3-ubyte").write_bytes(bytes(16) + digits.images.tobytes())
        (tmp_path / f"{split}-labels-idx1-ubyte").write_bytes(bytes(8) + digits.labels.astype(np.uint8).tobytes())
    monkeypatch.setenv("TINYGRAD_CNN_DATA", str(tmp_path))
    found = peer.mnist(
        epochs=4, batch=32, lr=0.005, rise=0.2, anneal="linear", betas=[0.9, 0.99], smoothing=0.05, seed=0
    )()
    assert found["training"] > 0
    assert 0.7 < found["accuracy"] <= 1  # 0.1 untrained


def test_images_are_normalised_as_ours(torch: Any) -> None:
    images = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    dataset = data.ArrayDataset(images, np.zeros(1, np.int64), mean=0.1307, std=0.3081)
    found = peer._normalised(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(found, dataset[[0]][0], rtol=1e-5, atol=1e-6)
