from __future__ import annotations

import math

import numpy as np
import pytest

from tinygrad_cnn import Tensor, data, is_grad_enabled
from tinygrad_cnn.bench import nets, ours


def test_add_records() -> None:
    y = ours.add(3)()
    assert y.grad_fn is not None
    assert y.shape == (4, 4)


def test_chain_gives_the_gradient_of_one_pass() -> None:
    step = ours.chain(5)
    for _ in range(2):
        np.testing.assert_array_equal(step().data, np.ones((4, 4)))


def test_training_moves_the_weights_a_little(monkeypatch: pytest.MonkeyPatch) -> None:
    models = []
    monkeypatch.setattr(nets, "lenet", lambda nn, make=nets.lenet: models.append(make(nn)) or models[0])
    step = ours.training("lenet", 3)
    before = {name: p.data.copy() for name, p in models[0].named_parameters()}
    assert math.isclose(step().item(), math.log(10), rel_tol=0.1)
    for name, p in models[0].named_parameters():
        assert p.grad is not None
        assert 0 < np.abs(p.data - before[name]).max() < 1e-4


def test_inference_does_not_record() -> None:
    y = ours.inference("lenet", 2)()
    assert isinstance(y, Tensor)
    assert y.shape == (2, 10)
    assert not y.requires_grad
    assert is_grad_enabled()


@pytest.mark.parametrize(
    ("face", "shape"), [("forward", (2, 4, 4, 3)), ("input-grad", (2, 6, 7, 6)), ("weight-grad", (4, 3, 2, 3))]
)
def test_faces_of_a_convolution(face: str, shape: tuple[int, ...]) -> None:
    y = ours.convolution(face, (2, 6, 7, 6), (4, 3, 2, 3), 1, 2, 1, 2)()
    assert type(y) is np.ndarray  # nothing is recorded
    assert y.dtype == np.float32
    assert y.shape == shape


def test_layers_and_losses_go_forward_and_back() -> None:
    gx, gw, gb = ours.layer("Linear", [3, 4], [2, 3])()
    assert (gx.shape, gw.shape, gb.shape) == ((2, 3), (4, 3), (4,))
    for kind in ("CrossEntropyLoss", "NLLLoss", "MSELoss"):
        (gx,) = ours.loss(kind, [5, 3])()
        assert gx.shape == (5, 3)
        assert np.abs(gx.data).max() > 0


def test_joins_go_back_to_every_input() -> None:
    step = ours.joined([2, 3, 4, 5], 2)
    assert [g.shape for g in step()] == [(2, 3, 4, 5)] * 2
    first, second = step(), step()
    assert first[1] is not second[1]  # not added up
    np.testing.assert_array_equal(first[1].data, second[1].data)
    gx, *gradients = ours.inception([1, 192, 2, 3])()
    assert gx.shape == (1, 192, 2, 3)
    assert sum(g.size for g in gradients if g.ndim == 4) == 163_328


def test_functions_go_forward_and_back_to_the_tensors_with_gradients() -> None:
    gx, gsrc = ours.functional("scatter_add", [["normal", 2, 5], 1, ["index", 5, 2, 3], ["normal", 2, 3]], {})()
    assert (gx.shape, gsrc.shape) == ((2, 5), (2, 3))
    np.testing.assert_array_equal(np.take_along_axis(gx.data, np.arange(6).reshape(2, 3) * 7919 % 5, 1), gsrc.data)
    (gx,) = ours.functional("topk", [["normal", 4, 6], 2], {"dim": 1})()
    assert (gx.data != 0).sum() == 8
    first, second = ours.functional("cat", [[["normal", 1, 2], ["normal", 1, 3]], 1], {})()
    assert (first.shape, second.shape) == ((1, 2), (1, 3))


@pytest.mark.parametrize("function", ["roi_align", "roi_pool"])
def test_boxes_lie_in_the_picture(function: str) -> None:
    (gx,) = ours.regions(function, [2, 3, 12, 9], 5)()
    assert gx.shape == (2, 3, 12, 9)
    assert gx.data.any(axis=(1, 2, 3)).all()


@pytest.mark.parametrize("kind", ["SGD", "Adam"])
def test_an_optimizer_steps_over_all_its_parameters(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    make = getattr(ours.optim, kind)
    monkeypatch.setattr(
        ours.optim, kind, lambda parameters, **rest: seen.extend(parameters) or make(parameters, **rest)
    )
    step = ours.optimizer(kind, 1000)
    before = [p.data.copy() for p in seen]
    step()
    assert sum(p.size for p in seen) == 1000
    assert all((p.data != was).any() for p, was in zip(seen, before, strict=True))


def test_matmul_and_the_register_tile_compute() -> None:
    assert ours.matmul(5)().shape == (5, 5)
    assert ours.register_tile(1)().any()


def test_mnist_trains_and_counts_what_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    sets = {"train": data.synthetic_digits(600, seed=0), "test": data.synthetic_digits(300, seed=1)}
    monkeypatch.setattr(data, "mnist", lambda split, report: sets[split])
    found = ours.mnist(
        epochs=4, batch=32, lr=0.005, rise=0.2, anneal="linear", betas=[0.9, 0.99], smoothing=0.05, seed=0
    )()
    assert found["training"] > 0
    assert 0.7 < found["accuracy"] <= 1  # 0.1 untrained
