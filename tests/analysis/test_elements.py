from __future__ import annotations

import re

import numpy as np
import pytest

from tinygrad_cnn import Tensor, nn, trace
from tinygrad_cnn import functional as F
from tinygrad_cnn.analysis.elements import element, patch_at
from tinygrad_cnn.functional.elementwise import Elementwise

RNG = np.random.default_rng(0)
X = RNG.standard_normal((2, 4, 9, 7))
W = RNG.standard_normal((6, 2, 3, 2))
V = RNG.uniform(0.5, 1, 4)
LABELS = np.array([2, 0, 3])
SCORES = RNG.standard_normal((3, 5))

CALLS = {
    "conv2d": lambda: F.conv2d(
        Tensor(X), Tensor(W), Tensor(RNG.standard_normal(6)), (2, 1), ((1, 2), (0, 3)), (1, 2), 2
    ),
    "conv2d without bias": lambda: F.conv2d(Tensor(X), Tensor(np.ones((3, 4, 2, 3)))),
    "linear": lambda: F.linear(Tensor(X[0, 0]), Tensor(RNG.standard_normal((3, 7))), Tensor(RNG.standard_normal(3))),
    "max_pool2d": lambda: F.max_pool2d(Tensor(X), (3, 2), (2, 1), (1, 0)),
    "avg_pool2d": lambda: F.avg_pool2d(Tensor(X), (3, 2), (2, 1), (1, 0), count_include_pad=False),
    "avg_pool2d over padding": lambda: F.avg_pool2d(Tensor(X), (2, 3), (1, 2), 1, ceil_mode=True),
    "relu": lambda: F.relu(Tensor(X)),
    "leaky_relu": lambda: F.leaky_relu(Tensor(X), 0.3),
    "add": lambda: Tensor(X) + Tensor(V.reshape(4, 1, 1)),
    "sub": lambda: Tensor(X) - 3,
    "pow": lambda: Tensor(X) ** 2,
    "exp": lambda: F.exp(Tensor(X)),
    "clamp": lambda: F.clamp(Tensor(X), -0.2, 0.4),
    "sigmoid": lambda: F.sigmoid(Tensor(X)),
    "tanh": lambda: F.tanh(Tensor(X)),
    "softmax": lambda: F.softmax(Tensor(X), 1),
    "log_softmax": lambda: F.log_softmax(Tensor(X), -1),
    "batch_norm": lambda: F.batch_norm(Tensor(X), None, None, Tensor(V), Tensor(V), training=True),
    "batch_norm fixed": lambda: F.batch_norm(Tensor(X), Tensor(V), Tensor(V + 1), Tensor(V), Tensor(V)),
    "cross_entropy": lambda: F.cross_entropy(Tensor(SCORES), LABELS, reduction="none"),
}


@pytest.mark.parametrize("name", CALLS)
def test_the_number_is_that_of_the_result(name):
    with trace(nn.Identity()) as t:
        CALLS[name]()
    (call,) = t
    inputs = [x.data if isinstance(x, Tensor) else x for x in call.inputs]
    corners = [tuple(0 for _ in call.shape), tuple(n - 1 for n in call.shape)]
    for at in [*corners, *(tuple(int(RNG.integers(n)) for n in call.shape) for _ in range(10))]:
        text = element(call.function, inputs, at)
        y = float(call.output.data[at])
        numbers = [float(number) for number in re.findall(r"(?<![\w.\[])-?\d+\.?\d*(?:e[-+]\d+)?", text)]
        assert any(np.isclose(number, y, rtol=2e-3, atol=1e-12) for number in numbers), (text, y)
        last = text.splitlines()[-1] if "conv2d" in name else text.splitlines()[0]
        assert f"{y:.4g}" in last.replace("e-0", "e-0"), text


def test_a_patch_has_zeros_beyond_the_image():
    with trace(nn.Identity()) as t:
        CALLS["conv2d"]()
    function = t[0].function
    patch = patch_at(X, W.shape, function.geometry, (1, 4, 0, 0))
    np.testing.assert_array_equal(patch[:, 0], 0)
    np.testing.assert_array_equal(patch[:, 1:], X[1, 2:4, :2, 0:3:2])
    text = element(function, [X, W, None], (1, 4, 0, 0))
    assert text.splitlines()[0] == "y[1, 4, 0, 0]: the patch of x (channel, row, column), times filter 4, summed"
    assert "channel 1:" in text
    wide = element(function, [X.repeat(40, 1), W.repeat(40, 1), None], (1, 4, 0, 0))
    assert "channel 1:" not in wide
    assert "by channel: the largest channel " in wide


def test_the_largest_terms_of_a_sum_are_named():
    x, w = np.array([[1.0, 2.0, 3.0, 0.0, 0.0, 0.0, 0.5]]), np.ones((2, 7))
    with trace(nn.Identity()) as t:
        F.linear(Tensor(x), Tensor(w))
    text = element(t[0].function, [x, w], (0, 1))
    assert "a sum of 7 products: the largest x[0, 2] * w[1, 2] = 3, x[0, 1] * w[1, 1] = 2" in text


def test_the_maximum_is_found_where_it_stands():
    with trace(nn.Identity()) as t:
        CALLS["max_pool2d"]()
    for at in [(0, 0, 0, 0), (1, 3, 4, 5), (1, 2, 2, 3)]:
        place = re.search(r"which is x\[([^\]]*)\]", element(t[0].function, [X], at))[1]
        assert X[tuple(map(int, place.split(", ")))] == t[0].output.data[at]


def test_the_operation_itself_is_not_run_again():
    class Double(Elementwise):
        def forward(self, x):
            self.x_shape = x.shape
            return 2 * x

        def grad_x(self, gy):
            return gy * 2

    double = Double()
    double(X)
    assert element(double, [X], (0, 0, 0, 0)).endswith(f"y[0, 0, 0, 0] = {2 * X[0, 0, 0, 0]:.4g}")
    assert double.x_shape == X.shape


def test_losses_of_a_batch_and_what_the_table_does_not_know():
    with trace(nn.Identity()) as t:
        F.cross_entropy(Tensor(SCORES), LABELS)
        F.cross_entropy(Tensor(SCORES), LABELS, label_smoothing=0.1)
        F.flip(Tensor(X), [0])
    inputs = [SCORES, LABELS, None]
    lines = element(t[0].function, inputs, ()).splitlines()
    assert [line.split(",")[0] for line in lines] == ["image 0: label 2", "image 1: label 0", "image 2: label 3"]
    assert element(t[1].function, inputs, ()) == ""
    assert element(t[2].function, [X], (0, 0, 0, 0)) == ""
