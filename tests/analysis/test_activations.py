from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn import Tensor, nn
from tinygrad_cnn import functional as F
from tinygrad_cnn.analysis.activations import activities
from tinygrad_cnn.models import LeNet5


def digits(count: int = 7) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((count, 1, 28, 28)).astype(np.float32)


@pytest.mark.parametrize("batch_size", [1, 3, 100])
@pytest.mark.parametrize("wrapped", [np.asarray, Tensor, lambda x: (x, np.zeros(len(x), np.int64))])
def test_counts_are_those_of_the_values(batch_size, wrapped):
    model, x = LeNet5(generator=np.random.default_rng(0)), digits()
    model.features.conv1.bias.data[[1, 4]] = -1000
    found = activities(model, wrapped(x), batch_size=batch_size)
    assert [row.address for row in found] == [
        "features.relu1",
        "features.relu2",
        "classifier.relu1",
        "classifier.relu2",
    ]
    y = np.maximum(F.conv2d(x, model.features.conv1.weight.data, model.features.conv1.bias.data, padding=2), 0)
    row = found["features.relu1"]
    np.testing.assert_allclose(row.zeros, (y == 0).mean(), rtol=1e-12)
    np.testing.assert_allclose(row.active, (y > 0).mean((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(row.mean, y.mean((0, 2, 3), dtype=np.float64), rtol=1e-6)
    np.testing.assert_array_equal(row.greatest, y.max((0, 2, 3)))
    assert row.dead == [1, 4]
    assert row.counted == y.size
    assert row.output == (6, 28, 28)
    assert found["classifier.relu2"].active.shape == (84,)


def test_the_table_says_what_is_dead():
    model = LeNet5(generator=np.random.default_rng(0))
    model.classifier.fc1.bias.data[:] = -1000
    lines = str(activities(model, digits())).splitlines()
    assert lines[0] == "LeNet5, 7 images"
    assert lines[1].split() == ["address", "output", "zeros", "dead"]
    assert lines[5].endswith("120           100.0%  120 of 120: 0, 1, 2, 3, 4, 5, 6, 7, ...")
    assert not lines[3].endswith(":")


def test_addresses_of_ones_own_and_none():
    model = nn.Sequential({"conv": nn.Conv2d(1, 2, (3, 5)), "tanh": nn.Tanh()})
    with pytest.raises(ValueError, match=r"activities: Sequential has no relu or relu6; give addresses=.* conv, tanh"):
        activities(model, digits())
    assert activities(model, digits(), ["tanh"])["tanh"].zeros == 0
    assert [row.address for row in activities(model, digits(), "conv").rows] == ["conv"]
    with pytest.raises(KeyError, match="is no address of this trace"):
        activities(model, digits(), ["conv2"])
    with pytest.raises(KeyError, match=r"'conv' was not looked at; the addresses are \['tanh'\]"):
        activities(model, digits(), ["tanh"])["conv"]


def test_nothing_in_the_model_changes():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Dropout(0.5))
    model.train()
    state = {name: array.copy() for name, array in model.state_dict().items()}
    attributes = {path: dict(vars(module)) for path, module in model.named_modules()}
    for _ in range(3):
        activities(model, digits())
    assert all(np.array_equal(array, state[name]) for name, array in model.state_dict().items())
    assert {path: dict(vars(module)) for path, module in model.named_modules()} == attributes
    assert all(p.grad is None for p in model.parameters())


def test_no_images():
    with pytest.raises(ValueError, match="activities: there are no images"):
        activities(LeNet5(), digits(0))
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        activities(LeNet5(), digits(), batch_size=0)


@pytest.mark.parametrize("wrong", [3, [1], (None,)])
def test_addresses_are_text(wrong):
    with pytest.raises(TypeError, match="activities: addresses are text"):
        activities(LeNet5(), digits(), wrong)
