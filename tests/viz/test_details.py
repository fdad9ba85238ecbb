from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn import Function, Tensor, nn, no_grad, trace
from tinygrad_cnn import functional as F
from tinygrad_cnn.viz.details import details, kept_names, may_be_absent, rule_name, shape_text


def image(*shape, requires_grad=True, dtype=np.float32):
    return Tensor(np.ones(shape, dtype), requires_grad=requires_grad)


@pytest.mark.parametrize(
    ("y", "expected"),
    [
        (lambda: F.conv2d(image(2, 3, 9, 8), image(4, 3, 3, 2)), ("3 x 2",)),
        (
            lambda: F.conv2d(image(2, 4, 9, 8), image(6, 2, 3, 2), stride=(2, 1), padding=1, dilation=2, groups=2),
            ("3 x 2, stride 2 x 1, padding 1, dilation 2", "groups 2"),
        ),
        (
            lambda: F.conv2d(image(2, 3, 9, 8), image(4, 3, 3, 2), padding=((1, 0), (2, 3))),
            ("3 x 2, padding 1+0 x 2+3",),
        ),
        (lambda: F.max_pool2d(image(2, 3, 9, 8), (3, 2), padding=(1, 0)), ("3 x 2, stride 3 x 2, padding 1 x 0",)),
        (lambda: F.avg_pool2d(image(2, 3, 9, 8), 2), ("2 x 2, stride 2",)),
        (lambda: image(2, 3, 9, 8).sum((2, 3)), ("axes 2, 3",)),
        (lambda: image(2, 3).sum(), ()),
        (lambda: image(2, 3, 4).permute(2, 0, 1), ("order 2, 0, 1",)),
        (lambda: F.dropout(image(6), 0.75), ("scale 4",)),
        (lambda: image(2).exp(), ()),
    ],
)
def test_details(y, expected):
    assert details(y().grad_fn) == expected


def test_details_without_a_graph():
    with no_grad(), trace(nn.Identity()) as t:
        image(2, 3, 9, 8).mean((2, 3))
    assert details(t["mean"].function) == ("axes 2, 3",)


@pytest.mark.parametrize(
    ("tensor", "expected"),
    [
        (image(2, 3), "(2, 3)"),
        (image(), "scalar"),
        (image(4, dtype=np.float64), "(4,) float64"),
    ],
)
def test_shape_text_leaves_float32_out(tensor, expected):
    assert shape_text(tensor) == expected
    assert shape_text(tensor.data) == expected


def test_input_and_rule_names():
    conv = F.conv2d(image(1, 1, 4, 3), image(1, 1, 2, 2), image(1)).grad_fn
    assert [conv.input_name(i) for i in range(3)] == ["x", "w", "b"]
    assert rule_name(conv, "w") == "grad_w"


def test_names_of_an_operation_with_any_number_of_inputs_and_one_rule():
    class Total(Function):
        def forward(self, first, *others):
            return first + sum(others)

        def backward(self, gy):
            return tuple(gy for _ in self.edges)

    node = Total()(image(2), image(2), image(2)).grad_fn
    assert [node.input_name(i) for i in range(3)] == ["first", "others[0]", "others[1]"]
    assert rule_name(node, "first") == "backward"


def test_kept_names_are_what_the_rules_that_will_run_read():
    x, w = image(2, 3), image(4, 3)
    assert kept_names(F.linear(x, w).grad_fn) == ["x", "w"]
    assert kept_names(F.linear(x.detach(), w).grad_fn) == ["x"]
    assert kept_names(F.cross_entropy(x, Tensor(np.array([0, 2]))).grad_fn) == ["x", "target"]  # there is no weight
    assert kept_names(x.exp().grad_fn) == ["y"]
    assert kept_names((x + x).grad_fn) == []


def test_only_an_input_that_may_be_none_may_be_absent():
    node = F.linear(image(2, 3), image(4, 3)).grad_fn
    assert may_be_absent(node, "b")
    assert not may_be_absent(node, "w")
    assert not may_be_absent((image(2) + 1).grad_fn, "x2")
