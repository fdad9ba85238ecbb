from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn import nn
from tinygrad_cnn.analysis import record_calls
from tinygrad_cnn.analysis.strongest import strongest_activations
from tinygrad_cnn.models import LeNet5


def digits(count: int = 7) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((count, 1, 28, 28)).astype(np.float32)


@pytest.mark.parametrize("batch_size", [2, 100])
def test_the_strongest_are_the_maxima_of_each_image(batch_size):
    model, x = LeNet5(generator=np.random.default_rng(0)), digits()
    y = record_calls(model, x)["features.conv2"].output.data
    found = strongest_activations(model, x, "features.conv2", [3, 0], count=4, batch_size=batch_size)
    for channel, activations in zip([3, 0], found, strict=True):
        best = y[:, channel].max((1, 2))
        order = np.argsort(-best, kind="stable")[:4]
        assert [a.image for a in activations] == order.tolist()
        assert [a.value for a in activations] == best[order].tolist()
        for a in activations:
            assert y[a.image, channel][a.unit] == a.value


def test_the_region_alone_causes_the_activation():
    """Everything outside of the box may change: the activation stays."""
    model, x = LeNet5(generator=np.random.default_rng(0)), digits()
    for activation in strongest_activations(model, x, "features.pool2", 2, count=5)[0]:
        (top, bottom), (left, right) = activation.box
        np.testing.assert_array_equal(activation.region, x[activation.image, :, top:bottom, left:right])
        other = np.random.default_rng(1).standard_normal((1, 1, 28, 28)).astype(np.float32)
        other[0, :, top:bottom, left:right] = activation.region
        again = record_calls(model, other)["features.pool2"].output.data[0, 2][activation.unit]
        np.testing.assert_allclose(again, activation.value, rtol=1e-5)  # a batch of one is computed in another order
        (above, below), (before, after) = activation.outside
        assert above + bottom - top + below == before + right - left + after == 16


def test_equal_ones_come_in_the_order_of_their_images():
    x = np.zeros((5, 1, 4, 6))
    x[1:, 0, 2, 3] = 1
    model = nn.Sequential({"flat": nn.Identity(), "relu": nn.ReLU()})
    (found,) = strongest_activations(model, x, "relu", 0, count=3, batch_size=2)
    assert [(a.image, a.unit, a.box) for a in found] == [(i, (2, 3), ((2, 3), (3, 4))) for i in (1, 2, 3)]
    assert repr(found[0]) == "<1 in image 1, rows 2 to 2, columns 3 to 3>"


def test_a_unit_of_a_vector_sees_the_whole_image():
    model, x = LeNet5(), digits()
    (found,) = strongest_activations(model, x, "classifier.fc3", 7, count=2)
    assert found[0].box == ((0, 28), (0, 28))
    assert found[0].outside == ((0, 0), (0, 0))
    assert found[0].unit == (0, 0)


def test_nothing_in_the_model_changes():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU())
    model.train()
    state = {name: array.copy() for name, array in model.state_dict().items()}
    attributes = {path: dict(vars(module)) for path, module in model.named_modules()}
    for _ in range(3):
        strongest_activations(model, digits(), "2", 1)
    assert all(np.array_equal(array, state[name]) for name, array in model.state_dict().items())
    assert {path: dict(vars(module)) for path, module in model.named_modules()} == attributes
    assert all(p.grad is None for p in model.parameters())


def test_what_there_is_not():
    model, x = LeNet5(), digits()
    with pytest.raises(IndexError, match=r"'features.conv1' has channels 0 to 5, not 6"):
        strongest_activations(model, x, "features.conv1", 6)
    with pytest.raises(KeyError, match=r"'features.conv3' is no address"):
        strongest_activations(model, x, "features.conv3", 0)
    with pytest.raises(ValueError, match="strongest_activations: there are no images"):
        strongest_activations(model, x[:0], "features.conv1", 0)
    for wrong in ({"count": 0, "channels": 0}, {"channels": []}):
        with pytest.raises(ValueError, match=r"count must be at least 1, got 0|channels are none; give at least one"):
            strongest_activations(model, x, "features.conv1", **wrong)
    signal = nn.Sequential({"conv": nn.Conv1d(1, 2, 3)})
    with pytest.raises(ValueError, match=r"expected \(N, C, H, W\) or \(N, C\) at 'conv', got shape \(2, 2, 7\)"):
        strongest_activations(signal, np.zeros((2, 1, 9), np.float32), "conv", 0)


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        ({"channels": 1.5}, TypeError, "a channel must be an int, got 1.5"),
        ({"channels": [None]}, TypeError, "a channel must be an int"),
        ({"count": "a"}, TypeError, "count must be an int"),
        ({"count": 1.5}, TypeError, "count must be an int"),
        ({"address": 1.5}, TypeError, "an address is text"),
    ],
)
def test_arguments_of_another_kind_are_told(given, kind, message):
    with pytest.raises(kind, match=message):
        strongest_activations(LeNet5(), digits(), **{"address": "features.conv1", "channels": 0, **given})
