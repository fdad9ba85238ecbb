from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn import Tensor, nn
from tinygrad_cnn import functional as F
from tinygrad_cnn.analysis.multiply_adds import multiply_adds
from tinygrad_cnn.autograd import Function
from tinygrad_cnn.calls import record_calls
from tinygrad_cnn.functional.conv import Conv2d, Conv2dInputGrad, Conv2dWeightGrad, checked_geometry
from tinygrad_cnn.functional.fused import ConvNormRun, ConvRun, Layers, LinearRun, Run
from tinygrad_cnn.functional.linalg import Linear
from tinygrad_cnn.kernels.geometry import Window


class Op(nn.Module):
    def __init__(self, function):
        self.function = function

    def forward(self, x):
        return self.function(x)


def count(function, *shape):
    calls = record_calls(Op(function), Tensor(np.ones(shape, np.float32)))
    return sum(multiply_adds(call.function, call.input_shapes, call.shape) for call in calls)


def ones(*shape):
    return np.ones(shape, np.float32)


@pytest.mark.parametrize(
    ("function", "shape", "expected"),
    [
        (lambda x: F.conv2d(x, ones(4, 3, 3, 2)), (2, 3, 7, 9), 2 * 4 * 5 * 8 * 3 * 3 * 2),
        (lambda x: F.conv2d(x, ones(6, 2, 3, 2), ones(6), 2, groups=2), (1, 4, 7, 8), 6 * 3 * 4 * 2 * 3 * 2),
        (lambda x: F.linear(x, ones(5, 7), ones(5)), (3, 7), 3 * 5 * 7),
        (lambda x: F.matmul(x, ones(4, 6)), (2, 3, 4), 2 * 3 * 6 * 4),
        (lambda x: F.relu(F.max_pool2d(x, 2) * 2), (1, 3, 4, 6), 0),
    ],
)
def test_counts(function, shape, expected):
    assert count(function, *shape) == expected


def test_the_three_faces_of_a_convolution_cost_the_same():
    x, w = ones(2, 4, 9, 8), ones(6, 2, 3, 2)
    y = F.conv2d(Tensor(x), Tensor(w, requires_grad=True), groups=2)
    geometry = y.grad_fn.geometry
    forward = multiply_adds(Conv2d(geometry), (x.shape, w.shape, ()), y.shape)
    assert forward == multiply_adds(Conv2dInputGrad(geometry, x.shape), (y.shape, w.shape), x.shape) > 0
    assert forward == multiply_adds(Conv2dWeightGrad(geometry, w.shape), (y.shape, x.shape), w.shape)
    assert Window((3, 2), *geometry[:3]).out_size("", (9, 8)) == y.shape[2:]


def test_a_run_costs_what_its_convolution_costs():
    x, w = ones(2, 4, 9, 8), ones(6, 2, 3, 2)
    geometry = checked_geometry(x, w, None, 1, 0, 1, 2)
    conv = multiply_adds(Conv2d(geometry), (x.shape, w.shape, ()), (2, 6, 7, 7))
    run = Run(relu=True, pool=True, paths=("", "", ""))
    assert conv == 2 * 6 * 7 * 7 * 2 * 3 * 2
    assert multiply_adds(ConvRun(geometry, run), (x.shape, w.shape, ()), (2, 6, 3, 3)) == conv
    assert multiply_adds(ConvNormRun(geometry, 1e-5, run), (x.shape, w.shape, (), *[(6,)] * 4), (2, 6, 3, 3)) == conv


def test_fully_connected_layers_in_a_run_cost_what_they_cost_alone():
    run = LinearRun(Layers(True, (True, False), ("", "", "", "")))
    assert multiply_adds(run, ((3, 2, 4), (5, 8), (5,), (7, 5), ()), (3, 7)) == 3 * (5 * 8 + 7 * 5)


def below(kind):
    for child in kind.__subclasses__():
        yield child
        yield from below(child)


def test_every_operation_has_a_count():
    kinds = {kind for kind in below(Function) if kind.__module__.startswith("tinygrad_cnn.functional.")}
    assert {Conv2d, Linear, F.relu(Tensor(ones(1), requires_grad=True)).grad_fn.__class__} <= kinds
    missing = {kind.__name__ for kind in kinds if multiply_adds.dispatch(kind) is multiply_adds.dispatch(object)}
    assert not missing, f"give {sorted(missing)} a line in tinygrad_cnn/analysis/multiply_adds.py"


def test_an_operation_without_a_count_is_an_error_that_says_where_to_add_it():
    class Convolve(Function):
        differentiable = False

        def forward(self, x):
            return x

    with pytest.raises(NotImplementedError, match=r"no count for Convolve; list it in .*/multiply_adds\.py, or "):
        count(lambda x: Convolve().apply(x), 2, 3)


def test_textbook_figures_of_one_pixel():
    """ResNet's 3 x 3 convolution of 256 channels, and the bottleneck in its place."""
    assert count(lambda x: F.conv2d(x, ones(256, 256, 3, 3), padding=1), 1, 256, 1, 1) == 589_824

    def bottleneck(x):
        x = F.conv2d(x, ones(64, 256, 1, 1))
        x = F.conv2d(x, ones(64, 64, 3, 3), padding=1)
        return F.conv2d(x, ones(256, 64, 1, 1))

    assert count(bottleneck, 1, 256, 1, 1) == 69_632
