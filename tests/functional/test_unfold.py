from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_cnn import Tensor, grad, strict_sizes
from tinygrad_cnn import functional as F
from tinygrad_cnn.checks.measure import error

WINDOWS = [((2, 3), 1, 0, 1), ((3, 2), (1, 2), (1, 2), (2, 1)), ((1, 2), (3, 1), ((2, 0), (0, 1)), (3, 2))]


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize(("dtype", "bound"), [(np.float32, 2e-6), (np.float64, 1e-10)])
def test_filters_times_patches_are_a_convolution(window: Any, dtype: Any, bound: float, rng: Any) -> None:
    size, dilation, padding, stride = window
    x, w = rng.standard_normal((2, 3, 6, 7)).astype(dtype), rng.standard_normal((4, 3, *size)).astype(dtype)
    y = F.conv2d(x, w, None, stride, padding, dilation)
    columns = F.unfold(x, size, dilation, padding, stride)
    assert columns.dtype == dtype
    assert error((w.reshape(4, -1) @ columns).reshape(y.shape), y) <= bound


@pytest.mark.parametrize("window", WINDOWS)
def test_each_is_the_adjoint_of_the_other(window: Any, rng: np.random.Generator) -> None:
    x = Tensor(rng.standard_normal((2, 3, 6, 7)), requires_grad=True)
    y = F.unfold(x, *window)
    u = rng.standard_normal(y.shape)
    folded = F.fold(u, (6, 7), *window)
    np.testing.assert_allclose((y.data * u).sum(), (x.data * folded).sum())
    np.testing.assert_array_equal(grad(y, x, u)[0].data, folded)


@pytest.mark.parametrize("window", WINDOWS)
def test_derivatives(window: Any, derivatives: Callable[..., None], rng: np.random.Generator) -> None:
    x = rng.standard_normal((1, 2, 6, 7))
    derivatives(lambda x: F.unfold(x, *window) ** 2, x)
    columns = F.unfold(x, *window)
    derivatives(lambda y: F.fold(y, (6, 7), *window) ** 2, columns)


def test_torch_agrees(same_as_torch: Callable[..., None], torch: Any) -> None:
    one = st.integers(1, 3)

    @settings(max_examples=50, derandomize=True, deadline=None)
    @given(st.tuples(one, one), st.tuples(one, one), st.tuples(one, one), st.tuples(one, one), st.integers(0, 99))
    def check(size: Any, dilation: Any, padding: Any, stride: Any, seed: int) -> None:
        x = np.random.default_rng(seed).standard_normal((2, 3, 6, 7))
        arguments = size, dilation, padding, stride
        theirs = torch.nn.functional
        same_as_torch(lambda x: F.unfold(x, *arguments), lambda x: theirs.unfold(x, *arguments), x)
        y = F.unfold(x, *arguments)
        same_as_torch(lambda y: F.fold(y, (6, 7), *arguments), lambda y: theirs.fold(y, (6, 7), *arguments), y)

    check()


def test_one_image(rng: np.random.Generator) -> None:
    x = rng.standard_normal((2, 5, 6))
    y = F.unfold(x, (2, 3))
    np.testing.assert_array_equal(y, F.unfold(x[None], (2, 3))[0])
    np.testing.assert_array_equal(F.fold(y, (5, 6), (2, 3)), F.fold(y[None], (5, 6), (2, 3))[0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: F.unfold(np.ones((5, 6)), 2),
            r"unfold: input must be \(N, C, H, W\) or .* got shape \(5, 6\)",
        ),
        (lambda: F.unfold(np.ones((1, 5, 6)), (6, 1)), "unfold: the window is larger than the image: height 5"),
        (lambda: F.unfold(np.ones((1, 5, 6)), 0), "unfold: kernel_size must be at least 1"),
        (lambda: F.unfold(np.ones((1, 5, 6)), 2, 1, "full"), "unfold: padding must be numbers"),
        (lambda: F.fold(np.ones((1, 1, 4, 5)), 2, 2), r"fold: input must be \(N, C\*KH\*KW, L\)"),
        (lambda: F.fold(np.ones((1, 5, 4)), 3, 2), r"2 x 2 = 4 columns of C\*4 values, got input \(1, 5, 4\)"),
        (lambda: F.fold(np.ones((1, 8, 5)), 3, 2), r"2 x 2 = 4 columns of C\*4 values, got input \(1, 8, 5\)"),
        (lambda: F.fold(np.ones((1, 8, 4)), (3, 3, 3), 2), r"fold: output_size must be an int or a pair"),
    ],
)
def test_errors(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_other_errors() -> None:
    with pytest.raises(TypeError, match=r"unfold: needs float32 or float64 .* got input int64"):
        F.unfold(np.ones((1, 5, 6), int), 2)
    with strict_sizes(), pytest.raises(ValueError, match=r"unfold: the last 1 of the height would not be read"):
        F.unfold(np.ones((1, 5, 6)), 2, stride=2)
