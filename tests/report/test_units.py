from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn import Tensor, nn
from tinygrad_cnn import functional as F
from tinygrad_cnn.analysis import receptive_field, record_calls
from tinygrad_cnn.models import LeNet5
from tinygrad_cnn.models.resnet import resnet18
from tinygrad_cnn.report.units import chosen, layers, pictures, seen
from tinygrad_cnn.viz.grid import to_bytes


def traced(model, *shape):
    x = Tensor(np.random.default_rng(0).standard_normal(shape).astype(np.float32))
    return record_calls(model, x), x


def interval(axis, i):
    """What the script of the page computes."""
    if isinstance(axis, list):
        return axis[i]
    start = axis["start"] + i * axis["step"]
    return [max(start, 0), min(start + axis["size"], axis["limit"])]


def boxes(sees, height, width):
    if "boxes" in sees:
        return np.array(sees["boxes"]).reshape(height, width, 2, 2)
    return np.array(
        [[[interval(sees["rows"], i), interval(sees["columns"], j)] for j in range(width)] for i in range(height)]
    )


class Odd(nn.Module):
    def __init__(self):
        self.conv = nn.Conv2d(1, 2, (3, 5), stride=(2, 1), padding=(1, 2), dilation=(1, 2))
        self.adaptive = nn.AdaptiveAvgPool2d((3, 5))

    def forward(self, x):
        return self.adaptive(F.relu(self.conv(x)))


@pytest.mark.parametrize(
    ("model", "shape", "compact"),
    [(LeNet5(), (1, 1, 28, 28), True), (resnet18(num_classes=3), (1, 3, 64, 48), None), (Odd(), (1, 1, 13, 17), None)],
)
def test_what_units_see_is_told_exactly(model, shape, compact):
    t, x = traced(model, *shape)
    for call in chosen(t):
        if len(call.shape) == 4:
            sees, reach = seen(t, call, x)
            expected = receptive_field(t, call).boxes()
            np.testing.assert_array_equal(boxes(sees, *call.shape[2:]), expected)
            assert reach == tuple((expected[..., 1] - expected[..., 0]).max((0, 1)))
            if compact:
                assert isinstance(sees["rows"], dict)
                assert isinstance(sees["columns"], dict)


def test_bins_of_different_sizes_are_listed_and_vectors_see_all():
    t, x = traced(Odd(), 1, 1, 13, 17)
    assert isinstance(seen(t, t["adaptive"], x)[0]["columns"], list)
    t, x = traced(LeNet5(), 1, 1, 28, 28)
    assert boxes(seen(t, t["classifier.fc3"], x)[0], 1, 1).tolist() == [[[[0, 28], [0, 28]]]]


def test_what_nobody_knows_is_none():
    class Constant(nn.Module):
        def forward(self, x):
            return F.relu(F.relu(np.ones((1, 2, 3, 3)) + 0 * self.scale) + x.mean())

        def __init__(self):
            self.scale = nn.Parameter(np.zeros(1))

    t, x = traced(Constant(), 1, 1, 3, 3)
    assert seen(t, t["relu"], x) == (None, (0, 0))


def test_the_maps_that_are_drawn():
    t, x = traced(LeNet5(), 2, 1, 28, 28)
    conv2, fc1 = layers(t, x, ["features.conv2", "classifier.fc1"], 9)
    assert (conv2.maps, conv2.columns, conv2.scale, conv2.size) == (9, 9, 7, (10, 10))
    assert (fc1.maps, fc1.columns, fc1.scale, fc1.size) == (120, 40, 12, (1, 1))
    image = conv2.image(1)
    cell = 10 * 7 + 3
    values = conv2.call.output.data[1]
    np.testing.assert_array_equal(image[::7, 4 * cell : 4 * cell + 70 : 7], to_bytes(values[4:5])[0])
    told = conv2.told()
    assert (told["maps"], told["gap"], told["size"]) == (9, 3, [10, 10])
    np.testing.assert_allclose(told["range"][1][4], [values[4].min(), values[4].max()], rtol=1e-3)
    vector = fc1.call.output.data[0]
    np.testing.assert_allclose(fc1.told()["range"][0], [[vector.min(), vector.max()]] * 120, rtol=1e-3)
    assert len(set(fc1.image(0)[::15, ::15].ravel().tolist())) > 20  # one scale for all units
    assert len(pictures([conv2, fc1], 1)) == 2


@pytest.mark.parametrize(
    ("model", "has_holes"),
    [
        (nn.Sequential({"conv": nn.Conv2d(1, 1, (3, 2), padding=(2, 1), dilation=(2, 3))}), True),
        (nn.Sequential({"a": nn.Conv2d(1, 1, 3, dilation=2), "conv": nn.Conv2d(1, 1, (1, 2), stride=(2, 1))}), True),
        (nn.Sequential({"conv": nn.Conv2d(1, 1, (3, 4), padding=1)}), False),
    ],
)
def test_holes_are_told(model, has_holes):
    t, x = traced(model, 1, 1, 12, 15)
    sees, _ = seen(t, t["conv"], x)
    field = receptive_field(t, "conv", relative_to=x)
    assert ("pattern" in sees) == has_holes
    for i, j in np.ndindex(*field.map_size):
        mask = np.zeros((12, 15), bool)
        (top, bottom), (left, right) = interval(sees["rows"], i), interval(sees["columns"], j)
        mask[top:bottom, left:right] = True
        if has_holes:
            for row, column in np.argwhere(mask):
                line = sees["pattern"][row - sees["start"][0] - i * sees["step"][0]]
                mask[row, column] = line[column - sees["start"][1] - j * sees["step"][1]] == "1"
        np.testing.assert_array_equal(mask, field.mask(i, j))


def test_large_networks_are_shown_in_part():
    t, _ = traced(resnet18(num_classes=3), 1, 3, 32, 32)
    calls = chosen(t)
    assert len(calls) == 16
    assert calls[0].op == "relu"
    assert calls[-1].op == "linear"
    assert [call.index for call in calls] == sorted({call.index for call in calls})
    assert not any(call.op == "batch_norm" and call.path.startswith("layer1.0.bn1") for call in calls)


def test_only_maps_and_vectors():
    t, x = traced(nn.Sequential({"up": nn.Unflatten(1, (2, 2))}), 1, 4, 3, 3)
    with pytest.raises(ValueError, match=r"report: 'up' gives \(1, 2, 2, 3, 3\), neither maps"):
        layers(t, x, ["up"], 8)
