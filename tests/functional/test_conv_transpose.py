from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_cnn import Tensor, grad, reference
from tinygrad_cnn import functional as F
from tinygrad_cnn.checks.measure import error

OPS = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


@st.composite
def transposed(draw: Callable[..., Any], axes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[Any, ...]]:
    """Draw x, w, b and (stride, padding, output_padding, groups, dilation) that fit."""
    groups, per_group, out = draw(st.integers(1, 2)), draw(st.integers(1, 3)), draw(st.integers(1, 2))
    size, stride, padding, extra, dilation, image = [], [], [], [], [], []
    for _ in range(axes):
        k, s, d, n = (draw(st.integers(1, 3)) for _ in range(4))
        e = draw(st.integers(0, max(s, d) - 1))
        p = draw(st.integers(0, min(2, ((n - 1) * s + d * (k - 1) + e) // 2)))
        for values, value in zip((size, stride, dilation, image, extra, padding), (k, s, d, n, e, p), strict=True):
            values.append(value)
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    x = rng.standard_normal((draw(st.integers(1, 2)), groups * per_group, *image))
    w = rng.standard_normal((groups * per_group, out, *size))
    geometry = tuple(stride), tuple(padding), tuple(extra), groups, tuple(dilation)
    return x, w, rng.standard_normal(groups * out), geometry


@pytest.mark.parametrize("axes", OPS)
def test_value_is_the_references(axes: int) -> None:
    @settings(max_examples=25, derandomize=True, deadline=None)
    @given(transposed(axes))
    def check(case: Any) -> None:
        x, w, b, (stride, padding, *rest) = case
        pairs = tuple((p, p) for p in padding)
        for dtype, bound in ((np.float64, 1e-10), (np.float32, 2e-6)):
            arrays = [a.astype(dtype) for a in (x, w, b)]
            y = OPS[axes](*arrays, stride, padding, *rest)
            assert y.dtype == dtype
            exact = reference.conv_transpose_nd(*(a.astype(float) for a in arrays), stride, pairs, *rest)
            assert error(y, exact) <= bound

    check()


@pytest.mark.parametrize("axes", OPS)
def test_torch_agrees(axes: int, same_as_torch: Callable[..., None], torch: Any) -> None:
    theirs = getattr(torch.nn.functional, f"conv_transpose{axes}d")

    @settings(max_examples=50, derandomize=True, deadline=None)
    @given(transposed(axes))
    def check(case: Any) -> None:
        x, w, b, geometry = case
        same_as_torch(lambda *t: OPS[axes](*t, *geometry), lambda *t: theirs(*t, *geometry), x, w, b)

    check()


def test_derivatives_of_both_orders(derivatives: Callable[..., None], rng: np.random.Generator) -> None:
    x, w, b = rng.standard_normal((2, 2, 3, 2)), rng.standard_normal((2, 2, 2, 3)), rng.standard_normal(2)
    derivatives(lambda x, w, b: F.conv_transpose2d(x, w, b, (2, 1), (1, 0), (1, 0)), x, w, b, steps=(1.0,))
    x, w = rng.standard_normal((1, 2, 2, 3, 2)), rng.standard_normal((2, 1, 2, 1, 2))
    derivatives(lambda x, w: F.conv_transpose3d(x, w, None, (1, 2, 1)), x, w, steps=(1.0,))
    x, w = rng.standard_normal((1, 2, 3)), rng.standard_normal((2, 1, 2))
    derivatives(lambda x, w: F.conv_transpose1d(x, w, None, 1, 0, 2, 1, 3), x, w, steps=(1.0,))


def test_it_is_the_input_gradient_of_a_convolution(rng: np.random.Generator) -> None:
    x = Tensor(rng.standard_normal((2, 3, 7, 8)), requires_grad=True)
    w, around = rng.standard_normal((4, 3, 3, 2)), ((1, 0), (0, 2))
    y = F.conv2d(x, w, None, (2, 3), around)
    u = rng.standard_normal(y.shape)
    (gx,) = grad(y, x, u)
    extra = tuple(n - m for n, m in zip((7, 8), F.conv_transpose2d(u, w, None, (2, 3), around).shape[2:], strict=True))
    np.testing.assert_array_equal(F.conv_transpose2d(u, w, None, (2, 3), around, extra), gx.data)


def test_one_image(rng: np.random.Generator) -> None:
    for axes, op in OPS.items():
        x, w = rng.standard_normal((2, *range(2, 2 + axes))), rng.standard_normal((2, 3, *range(1, 1 + axes)))
        np.testing.assert_array_equal(op(x, w, np.ones(3)), op(x[None], w, np.ones(3))[0])


X, W = np.ones((2, 4, 5, 6), np.float32), np.ones((4, 3, 3, 2), np.float32)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((X, W[0]), r"weight must be \(C, O/groups, KH, KW\), got shape \(3, 3, 2\)"),
        ((X[0, 0], W), r"input must be \(N, C, H, W\) or \(C, H, W\), got shape \(5, 6\)"),
        ((X[:, :3], W), r"input \(2, 3, 5, 6\) has 3 channels, weight \(4, 3, 3, 2\) expects 4, its first size"),
        ((X, W, None, 1, 0, 0, 3), "which groups=3 must divide"),
        ((X, W, np.ones(4, "f")), r"bias must have shape \(3,\) for weight \(4, 3, 3, 2\), got \(4,\)"),
        ((X, W, np.ones(3, "f"), 1, 0, 0, 2), r"bias must have shape \(6,\)"),
        ((X, W, None, 2, 0, (1, 2)), "output_padding must be less than stride or dilation, got 2 along the width"),
        ((X, W, None, 1, 4), r"height .* = \(5 - 1\)\*1 - 4 - 4 \+ 1\*\(3 - 1\) \+ 0 \+ 1 = -1"),
        ((X, W, None, 1, "same"), "padding must be numbers, got 'same'"),
        ((X, W, None, 0), "stride must be at least 1, got 0"),
        ((X, W, None, 10**6), "array of shape .* above the limit"),
    ],
)
def test_errors_show_the_numbers(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=f"conv_transpose2d: .*{message}"):
        F.conv_transpose2d(*arguments)


def test_errors_show_the_types() -> None:
    with pytest.raises(TypeError, match=r"conv_transpose2d: needs .* got input float32, weight float64"):
        F.conv_transpose2d(X, W.astype(float))
    with pytest.raises(TypeError, match="output_padding must be an int"):
        F.conv_transpose2d(X, W, output_padding=0.5)
