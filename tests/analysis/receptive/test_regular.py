from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_cnn import Tensor, models, nn
from tinygrad_cnn import functional as F
from tinygrad_cnn.analysis.receptive.regular import Axis, ReceptiveField, receptive_fields
from tinygrad_cnn.calls import record_calls
from tinygrad_cnn.nn import init


class Op(nn.Module):
    def __init__(self, function):
        self.function = function

    def forward(self, x):
        return self.function(x)


def last_field(model, *shape):
    x = Tensor(np.zeros(shape, np.float32))
    return receptive_fields(record_calls(model, x), x)[-1]


def ones(*shape):
    return np.ones(shape, np.float32)


@pytest.mark.parametrize(
    ("function", "height", "width"),
    [
        (lambda x: F.conv2d(x, ones(2, 2, 3, 5)), (3, 1, 1.0), (5, 1, 2.0)),
        (lambda x: F.conv2d(x, ones(2, 2, 3, 1), padding=((1, 0), (0, 2))), (3, 1, 0.0), (1, 1, 0.0)),
        (lambda x: F.conv2d(x, ones(2, 2, 3, 3), dilation=(2, 1)), (5, 1, 2.0), (3, 1, 1.0)),
        (lambda x: F.max_pool2d(F.max_pool2d(x, 2), (2, 1)), (4, 4, 1.5), (2, 2, 0.5)),
        (lambda x: F.avg_pool2d(x, (3, 2), (2, 1), padding=(1, 0)), (3, 2, 0.0), (2, 1, 0.5)),
        (lambda x: F.adaptive_avg_pool2d(x, (3, 1)), (4, 4, 1.5), (10, 1, 4.5)),
        (lambda x: F.pad(x, (1, 0, 2, 0)), (1, 1, -2.0), (1, 1, -1.0)),
        (lambda x: x.mean((2, 3)), (12, 0, 5.5), (10, 0, 4.5)),
        (lambda x: x.reshape(1, -1), None, None),  # each element of a vector sees its own pixel
        (lambda x: x.reshape(1, -1) @ ones(240, 3), (12, 0, 5.5), (10, 0, 4.5)),
        (lambda x: F.linear(F.flatten(x, 1), ones(3, 240)), (12, 0, 5.5), (10, 0, 4.5)),
        (lambda x: F.softmax(F.gelu(F.relu(x) * ones(2, 1, 1)), 1), (1, 1, 0.0), (1, 1, 0.0)),
        (lambda x: F.softmax(x, 3), None, None),  # each unit sees its whole row: no window that slides
        (lambda x: F.local_response_norm(x, 2), (1, 1, 0.0), (1, 1, 0.0)),
        (lambda x: F.adaptive_max_pool2d(x, (3, 1)), (4, 4, 1.5), (10, 1, 4.5)),
        (lambda x: F.cat([x, F.avg_pool2d(x, 3, 1, 1)], 1), (3, 1, 0.0), (3, 1, 0.0)),
        (lambda x: x[:, [1, 0]], (1, 1, 0.0), (1, 1, 0.0)),
        (lambda x: x[:, :, 1::2, 3:], (1, 2, 1.0), (1, 1, 3.0)),
        (lambda x: x[:, :, ::-1], None, None),
        (lambda x: F.adaptive_avg_pool2d(x, 5), None, None),  # 12 rows in 5 bins: they differ
        (lambda x: F.relu(x[:, :, ::-1]), None, None),  # and so do those that follow
    ],
)
def test_windows_of_operations(function, height, width):
    field = last_field(Op(function), 1, 2, 12, 10)
    assert field == (height and ReceptiveField(Axis(*height), Axis(*width)))


def test_a_sum_of_branches_sees_their_union():
    def branches(x):
        return F.conv2d(x, ones(1, 1, 3, 1), padding=(1, 0)) + F.conv2d(x, ones(1, 1, 1, 5), padding=((0, 0), (4, 0)))

    field = last_field(Op(branches), 1, 1, 9, 8)
    assert field == ReceptiveField(Axis(3, 1, 0.0), Axis(5, 1, -2.0))


def test_branches_of_different_strides_have_no_one_field():
    assert last_field(Op(lambda x: F.avg_pool2d(x, 2) + x[:, :, :6, :5]), 1, 1, 12, 10) is None
    tall = last_field(Op(lambda x: F.avg_pool2d(x, (2, 1)) + x[:, :, :1]), 1, 1, 2, 10)
    assert tall == ReceptiveField(Axis(2, 2, 0.5), Axis(1, 1, 0.0))  # of one row, which has no next one


def test_units_name_their_pixels():
    field = last_field(nn.Sequential(nn.Conv2d(1, 1, (3, 5), padding=1), nn.MaxPool2d(2)), 1, 1, 12, 11)
    assert field.interval((0, 0)) == ((-1, 3), (-1, 5))
    assert field.interval((2, 3)) == ((3, 7), (5, 11))


@pytest.mark.parametrize(
    ("model", "size", "layer", "expected"),
    [
        (models.AlexNet, 224, "features.12", "195 / 32"),
        (models.vgg16, 224, "features.30", "212 / 32"),
        (models.resnet50, 224, "layer4.2.relu", "427 / 32"),
        (models.LeNet5, 28, "features.pool2", "16 / 4"),
    ],
)
def test_published_figures(model, size, layer, expected, monkeypatch):
    monkeypatch.setattr(init, "uniform_", lambda tensor, *args, **kwargs: tensor)
    monkeypatch.setattr(init, "normal_", lambda tensor, *args, **kwargs: tensor)
    x = Tensor(np.zeros((1, 1 if model is models.LeNet5 else 3, size, size), np.float32))
    calls = record_calls(model(), x)
    fields = dict(zip((call.path for call in calls), receptive_fields(calls, x), strict=True))
    assert str(fields[layer]) == expected


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.data())
def test_the_gradient_of_a_unit_is_not_zero_exactly_in_its_interval(data):
    """With positive weights nothing cancels: what a unit sees is where the input's gradient is not 0."""
    sizes, small = st.tuples(st.integers(1, 4), st.integers(1, 4)), st.tuples(st.integers(1, 2), st.integers(1, 2))
    layers = []
    for _ in range(data.draw(st.integers(1, 3))):
        size, stride = data.draw(sizes), data.draw(small)
        if data.draw(st.booleans()):
            pads = tuple(data.draw(small) for _ in range(2))
            layers.append(lambda x, k=size, s=stride, p=pads: F.conv2d(x, ones(1, 1, *k), None, s, p))
        else:
            layers.append(lambda x, k=size, s=stride: F.avg_pool2d(x, k, s))

    def network(x):
        for layer in layers:
            x = layer(x)
        return x

    x = Tensor(np.zeros((1, 1, 31, 29), np.float32), requires_grad=True)
    y = network(x)
    unit = data.draw(st.integers(0, y.shape[2] - 1)), data.draw(st.integers(0, y.shape[3] - 1))
    y[0, 0, unit[0], unit[1]].backward()
    rows, columns = (np.flatnonzero(x.grad.data[0, 0].any(axis)) for axis in (1, 0))
    (top, bottom), (left, right) = last_field(Op(network), 1, 1, 31, 29).interval(unit)
    seen = [(max(top, 0), min(bottom, 31)), (max(left, 0), min(right, 29))]
    for found, (start, stop) in zip((rows, columns), seen, strict=True):
        if len(found):  # strides may jump over the ends of the interval, never leave it
            assert start <= found[0]
            assert found[-1] < stop
    if all(stride == (1, 1) for stride in [layer.__defaults__[1] for layer in layers]) and len(rows) * len(columns):
        assert [(rows[0], rows[-1] + 1), (columns[0], columns[-1] + 1)] == seen


@pytest.mark.parametrize("wrong", [("net", np.zeros((1, 1, 5, 5))), ([], "image"), (3, np.zeros((1, 1, 5, 5)))])
def test_what_is_no_trace_and_no_image(wrong):
    with pytest.raises(TypeError, match="needs the calls of a trace and the image"):
        receptive_fields(*wrong)
