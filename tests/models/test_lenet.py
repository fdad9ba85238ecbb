from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn import Tensor, nn
from tinygrad_cnn.models import LeNet5


def test_parameters() -> None:
    model = LeNet5()
    assert sum(p.size for p in model.parameters()) == 61_706
    assert {name: value.shape for name, value in model.state_dict().items()} == {
        "features.conv1.weight": (6, 1, 5, 5),
        "features.conv1.bias": (6,),
        "features.conv2.weight": (16, 6, 5, 5),
        "features.conv2.bias": (16,),
        "classifier.fc1.weight": (120, 400),
        "classifier.fc1.bias": (120,),
        "classifier.fc2.weight": (84, 120),
        "classifier.fc2.bias": (84,),
        "classifier.fc3.weight": (10, 84),
        "classifier.fc3.bias": (10,),
    }


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scores_and_gradients(dtype: type) -> None:
    rng = np.random.default_rng(0)
    model = LeNet5(7, generator=rng)
    if dtype is np.float64:
        model.double()
    scores = model(rng.random((3, 1, 28, 28)).astype(dtype))
    assert scores.shape == (3, 7)
    assert scores.dtype == dtype
    nn.CrossEntropyLoss()(scores, np.array([0, 6, 2])).backward()
    for name, p in model.named_parameters():
        assert p.grad is not None, name
        assert p.grad.dtype == dtype
        assert np.abs(p.grad.data).max() > 0, name


def test_generator() -> None:
    first, second, third = (LeNet5(generator=np.random.default_rng(seed)) for seed in (0, 0, 1))
    for a, b, c in zip(*(model.parameters() for model in (first, second, third)), strict=True):
        assert (a.data == b.data).all()
        assert (a.data != c.data).any()


def test_errors_and_graph_name_the_module() -> None:
    model = LeNet5()
    with pytest.raises(ValueError, match=r"linear in classifier\.fc1: .*\(2, 576\) and weight \(120, 400\)"):
        model(np.zeros((2, 1, 32, 32), np.float32))
    with pytest.raises(ValueError, match=r"conv2d in features\.conv1: "):
        model(np.zeros((2, 3, 28, 28), np.float32))
    scores = model(np.zeros((1, 1, 28, 28), np.float32))
    assert scores.grad_fn.path == "classifier.fc3"


def test_equals_torch() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    model = LeNet5(generator=rng).double()
    tnn = torch.nn
    features = [tnn.Conv2d(1, 6, 5, padding=2), tnn.ReLU(), tnn.MaxPool2d(2)]
    features += [tnn.Conv2d(6, 16, 5), tnn.ReLU(), tnn.MaxPool2d(2), tnn.Flatten()]
    classifier = [tnn.Linear(400, 120), tnn.ReLU(), tnn.Linear(120, 84), tnn.ReLU(), tnn.Linear(84, 10)]
    other = tnn.Sequential(*features, *classifier).double()
    values = model.state_dict().values()
    other.load_state_dict(dict(zip(other.state_dict(), [torch.tensor(v.copy()) for v in values], strict=True)))
    x, labels = rng.random((4, 1, 28, 28)), np.array([3, 1, 4, 1])
    nn.CrossEntropyLoss()(model(Tensor(x)), labels).backward()
    tnn.CrossEntropyLoss()(other(torch.tensor(x)), torch.tensor(labels)).backward()
    for ours, theirs in zip(model.parameters(), other.parameters(), strict=True):
        gradient, oracle = ours.grad.data, theirs.grad.numpy()
        assert np.abs(gradient - oracle).max() <= 1e-10 * np.abs(oracle).max()
