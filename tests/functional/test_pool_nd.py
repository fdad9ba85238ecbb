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

MAX = {1: F.max_pool1d, 3: F.max_pool3d}
AVERAGE = {1: F.avg_pool1d, 3: F.avg_pool3d}
ADAPTIVE = {1: F.adaptive_avg_pool1d, 3: F.adaptive_avg_pool3d}
each = pytest.mark.parametrize("axes", [1, 3])


@st.composite
def pools(draw: Callable[..., Any], axes: int) -> tuple[np.ndarray, tuple[Any, ...], tuple[int, ...]]:
    """Draw distinct numbers, (size, stride, padding, dilation, ceil_mode) and the size of the result."""
    ceil_mode = draw(st.booleans())
    columns = []
    for _ in range(axes):
        k, s, d = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 2))
        p = draw(st.integers(0, k // 2)) if d == 1 else 0
        n = draw(st.integers(d * (k - 1) + 1, 7))
        room = n + 2 * p - d * (k - 1) - 1
        out = (-(-room // s) if ceil_mode else room // s) + 1
        out -= ceil_mode and (out - 1) * s >= n + p
        if d > 1 and any(i * s >= n for i in range(out)):
            s, out = 1, room + 1
        columns.append((k, s, p, d, n, out))
    size, stride, padding, dilation, image, out_size = zip(*columns, strict=True)
    shape = draw(st.integers(1, 2)), 2, *image
    x = np.random.default_rng(draw(st.integers(0, 99))).permutation(int(np.prod(shape))).reshape(shape) * 0.1 - 1
    return x, (size, stride, padding, dilation, ceil_mode), out_size


@each
def test_maxima_are_the_references(axes: int) -> None:
    @settings(max_examples=30, derandomize=True, deadline=None)
    @given(pools(axes), st.sampled_from([np.float32, np.float64]))
    def check(case: Any, dtype: Any) -> None:
        x, arguments, out_size = case
        y, index = MAX[axes](x.astype(dtype), *arguments, return_indices=True)
        wanted, places = reference.max_pool_nd(x.astype(dtype), *arguments[:-1], out_size)
        np.testing.assert_array_equal(y, wanted)
        np.testing.assert_array_equal(index, places)
        assert y.dtype == dtype
        assert index.dtype == np.int64
        np.testing.assert_array_equal(MAX[axes](x[0].astype(dtype), *arguments), wanted[0])

    check()


@each
@pytest.mark.parametrize("adaptive", [True, False])
def test_a_batch_of_no_images_has_places_of_none(axes: int, adaptive: bool) -> None:
    x = np.zeros((0, 2, *(5, 4, 3)[:axes]))
    pool = getattr(F, f"adaptive_max_pool{axes}d") if adaptive else MAX[axes]
    y, index = pool(x, (2, 2, 1)[:axes], return_indices=True)
    assert y.shape == index.shape == (0, 2, *((2, 2, 1) if adaptive else (2, 2, 3))[:axes])


@each
@pytest.mark.parametrize("include", [True, False])
def test_averages_are_the_references(axes: int, include: bool) -> None:
    @settings(max_examples=20, derandomize=True, deadline=None)
    @given(pools(axes))
    def check(case: Any) -> None:
        x, (size, stride, padding, dilation, ceil_mode), out_size = case
        if set(dilation) != {1}:
            return
        for dtype, bound in ((np.float64, 1e-10), (np.float32, 2e-6)):
            y = AVERAGE[axes](x.astype(dtype), size, stride, padding, ceil_mode, include)
            wanted = reference.avg_pool_nd(x, size, stride, padding, out_size, include, None)
            assert y.dtype == dtype
            np.testing.assert_allclose(y, wanted, rtol=0, atol=bound * abs(x).max())

    check()


@each
def test_torch_agrees(axes: int, same_as_torch: Callable[..., None], torch: Any) -> None:
    theirs = torch.nn.functional

    @settings(max_examples=50, derandomize=True, deadline=None)
    @given(pools(axes), st.integers(1, 4), st.booleans())
    def check(case: Any, bins: int, include: bool) -> None:
        x, (size, stride, padding, dilation, ceil_mode), _ = case
        pool = getattr(theirs, f"max_pool{axes}d")
        arguments = size, stride, padding, dilation, ceil_mode, True
        same_as_torch(lambda x: MAX[axes](x, *arguments), lambda x: pool(x, *arguments), x)
        average = getattr(theirs, f"avg_pool{axes}d")
        arguments = size, stride, padding, ceil_mode, include
        same_as_torch(lambda x: AVERAGE[axes](x, *arguments), lambda x: average(x, *arguments), x)
        out = (bins, bins + 1, bins + 2)[:axes]
        adaptive = getattr(theirs, f"adaptive_avg_pool{axes}d")
        same_as_torch(lambda x: ADAPTIVE[axes](x, out), lambda x: adaptive(x, out), x)

    check()


def test_the_divisor_of_the_whole_window(rng: np.random.Generator) -> None:
    x = rng.standard_normal((1, 2, 4, 5, 6))
    sums = reference.avg_pool_nd(x, (2, 3, 2), (1, 2, 2), (1, 1, 0), (5, 3, 3), True, 1)
    found = F.avg_pool3d(x, (2, 3, 2), (1, 2, 2), (1, 1, 0), divisor_override=7)
    np.testing.assert_allclose(found, sums / 7)


@each
def test_derivatives(axes: int, derivatives: Callable[..., None], rng: np.random.Generator) -> None:
    image = (3, 4, 5)[:axes]
    x = rng.permutation(2 * int(np.prod(image))).reshape(1, 2, *image) * 0.1
    derivatives(lambda x: MAX[axes](x, 2, 1) ** 2, x)
    derivatives(lambda x: AVERAGE[axes](x, 2, 1, 1) ** 2, x)
    derivatives(lambda x: ADAPTIVE[axes](x, 2) ** 2, x)


@each
def test_the_first_of_equal_maxima_takes_the_gradient_and_nan_wins(axes: int) -> None:
    x = Tensor(np.ones((1, 1, *(2, 2, 2)[:axes])), requires_grad=True)
    y, index = MAX[axes](x, 2, return_indices=True)
    assert isinstance(index, Tensor)
    assert index.item() == 0
    g = grad(y.sum(), x)[0].data.reshape(-1)
    assert g[0] == g.sum() == 1
    a = np.ones((1, 1, *(2, 2, 2)[:axes]))
    a.reshape(-1)[-1] = np.nan
    y, index = MAX[axes](a, 2, return_indices=True)
    assert np.isnan(y).all()
    assert index.item() == a.size - 1


def test_adaptive_averages(rng: np.random.Generator) -> None:
    x = rng.standard_normal((2, 3, 4, 5, 7))
    y = F.adaptive_avg_pool3d(x, (3, None, 2))
    assert error(y, reference.adaptive_avg_pool_nd(x, (3, 5, 2))) <= 1e-10
    assert error(F.adaptive_avg_pool3d(x, 1), x.mean((2, 3, 4), keepdims=True)) <= 1e-10
    assert F.adaptive_avg_pool1d(x[0, 0], 9).shape == (4, 5, 9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: F.max_pool1d(np.ones(4), 2), r"max_pool1d: needs images of shape \(N, C, L\) or \(C, L\)"),
        (lambda: F.max_pool1d(np.ones((2, 4)), (2, 2)), "max_pool1d: kernel_size must be one int"),
        (lambda: F.max_pool1d(np.ones((2, 4)), 5), "max_pool1d: the window is larger than the image: length 4"),
        (lambda: F.max_pool1d(np.ones((2, 4)), 2, 0), "max_pool1d: stride must be at least 1"),
        (lambda: F.max_pool3d(np.ones((2, 4)), 2), r"max_pool3d: needs images of shape \(N, C, D, H, W\)"),
        (lambda: F.max_pool3d(np.ones((1, 2, 3, 4)), (1, 2)), "max_pool3d: kernel_size must be an int or"),
        (lambda: F.max_pool3d(np.ones((1, 2, 3, 4)), 3), "max_pool3d: the window is larger .* depth 2"),
        (lambda: F.max_pool3d(np.ones((1, 2, 3, 4)), 2, 1, (2, 0, 0)), "max_pool3d: padding .* along the depth"),
        (lambda: F.max_pool3d(np.ones((1, 1, 3, 4)), (2, 1, 1), 1, (1, 0, 0), (2, 1, 1)), "max_pool3d: a window sees"),
        (lambda: F.avg_pool1d(np.ones((2, 4)), 2, padding=2), "avg_pool1d: padding .* along the length"),
        (lambda: F.avg_pool3d(np.ones((2, 0, 4, 4)), 2), "avg_pool3d: needs images .* with at least one pixel"),
        (lambda: F.avg_pool3d(np.ones((2, 4, 4, 4)), 2, divisor_override=0), "divisor_override must be at least 1"),
        (lambda: F.adaptive_avg_pool1d(np.ones((2, 4)), 0), "adaptive_avg_pool1d: output_size must be at least 1"),
        (lambda: F.adaptive_avg_pool3d(np.ones((2, 4, 4, 4)), (1, 2)), "adaptive_avg_pool3d: output_size must be"),
    ],
)
def test_errors(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_errors_of_type() -> None:
    with pytest.raises(TypeError, match=r"max_pool3d: needs float32 or float64"):
        F.max_pool3d(np.ones((1, 2, 3, 4), int), 2)
    with pytest.raises(TypeError, match="avg_pool1d: kernel_size must be an int"):
        F.avg_pool1d(np.ones((2, 4)), 1.5)
