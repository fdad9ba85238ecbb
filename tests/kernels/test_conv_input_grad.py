from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_cnn import reference
from tinygrad_cnn.kernels import conv, conv_input_grad, conv_weight_grad, pool_2x2
from tinygrad_cnn.kernels.geometry import Padding, Pair, Window
from tinygrad_cnn.kernels.tile import lanes

DTYPES = [np.float32, np.float64]
Geometry = tuple[Pair, Padding, Pair, int]
STRIDED: tuple[Any, Any, Geometry] = ((3, 2, 9, 8), (5, 2, 3, 2), ((2, 3), ((1, 0), (0, 2)), (1, 1), 1))


def draw_arrays(x: Any, w: Any, geometry: Geometry, dtype: type, seed: int = 0) -> list[np.ndarray]:
    """Return images, filters and an output gradient."""
    rng = np.random.default_rng(seed)
    out = Window(w[2:], *geometry[:3]).out_size("conv2d", x[2:])
    return [rng.standard_normal(shape).astype(dtype) for shape in (x, w, (x[0], w[0], *out))]


@st.composite
def cases(draw: Any) -> tuple[Any, Any, Geometry]:
    number = lambda least, most: draw(st.integers(least, most))
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    size, stride, dilation = ((number(1, 4), number(1, 4)) for _ in range(3))
    padding = ((number(0, 3), number(0, 3)), (number(0, 3), number(0, 3)))
    extent = Window(size, stride, padding, dilation).extent
    h, w = (max(extent[d] - sum(padding[d]), 1) + number(0, 7) for d in (0, 1))
    c, o = number(1, 4), draw(st.sampled_from([1, 2, 3, 4, 9, 11]))
    return (number(1, 5), c * groups, h, w), (o * groups, c, *size), (stride, padding, dilation, groups)


@settings(max_examples=80, deadline=None, derandomize=True, database=None)
@given(cases(), st.integers(0, 9))
def test_the_three_faces_are_adjoint(case: tuple[Any, Any, Geometry], seed: int) -> None:
    x_shape, w_shape, geometry = case
    x, w, u = draw_arrays(*case, np.float64, seed)
    form = np.vdot(conv.conv2d(x, w, None, *geometry), u)
    size = np.linalg.norm(x) * np.linalg.norm(w) * np.linalg.norm(u)
    assert abs(form - np.vdot(x, conv_input_grad.conv2d_input_grad(u, w, x_shape, *geometry))) <= 1e-12 * size
    assert abs(form - np.vdot(w, conv_weight_grad.conv2d_weight_grad(u, x, w_shape, *geometry))) <= 1e-12 * size


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("height", [1, 4, 20])
def test_lines_that_reach_no_gradient_are_left_out_and_no_others(height: int, dtype: type) -> None:
    """A filter as high as the image: most of its lines see only padding from any one row."""
    geometry: Geometry = ((1, 1), ((height - 1, height - 1), (0, 1)), (1, 1), 1)
    x_shape, w_shape = (2, 3, height, 6), (4, 3, height, 2)
    _, w, u = draw_arrays(x_shape, w_shape, geometry, dtype)
    gx = conv_input_grad.conv2d_input_grad(u, w, x_shape, *geometry)
    expected = reference.conv2d_input_grad(u, w, x_shape, *geometry)
    np.testing.assert_allclose(gx, expected, rtol=0, atol=2e-6 * abs(expected).max())


POOLED: dict[str, tuple[Any, Any, Geometry]] = {
    "an odd last row and column": ((2, 3, 8, 10), (5, 3, 2, 4), ((1, 1), ((0, 0), (0, 0)), (1, 1), 1)),
    "strided, dilated, grouped": ((3, 4, 23, 21), (6, 2, 2, 3), ((2, 1), ((1, 0), (2, 1)), (1, 2), 2)),
    "one image in bands": ((1, 16, 24, 24), (32, 16, 5, 5), ((1, 1), ((2, 2), (2, 2)), (1, 1), 1)),
    "depthwise, in parts": ((1, 24, 30, 30), (24, 1, 5, 5), ((1, 1), ((2, 2), (2, 2)), (1, 1), 24)),
    "images in lanes": ((16, 6, 14, 14), (16, 6, 5, 5), ((1, 1), ((0, 0), (0, 0)), (1, 1), 1)),
    "pointwise": ((1, 12, 40, 40), (8, 12, 1, 1), ((1, 1), ((0, 0), (0, 0)), (1, 1), 1)),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", POOLED)
def test_the_maxima_alone_give_the_bits_of_all_pixels(name: str, dtype: type, fenced: list[np.ndarray]) -> None:
    x_shape, w_shape, geometry = POOLED[name]
    _, w, u = draw_arrays(*POOLED[name], dtype)
    gy, rng = np.ascontiguousarray(u[:, :, : u.shape[2] // 2, : u.shape[3] // 2]), np.random.default_rng(2)
    index = rng.integers(0, pool_2x2.NOWHERE + 1, gy.shape, np.uint8)
    everywhere = pool_2x2.to_the_maximum(gy, index, u.shape)
    expected = conv_input_grad.conv2d_input_grad(everywhere, w, x_shape, *geometry)
    np.testing.assert_array_equal(conv_input_grad.conv2d_input_grad(gy, w, x_shape, *geometry, index), expected)
    if name in ("one image in bands", "depthwise, in parts"):  # two may fill the lanes of a narrow vector
        assert conv_input_grad.takes_maxima(x_shape, w_shape, *geometry, np.dtype(dtype))
    assert len(fenced) >= 4


def test_no_maxima_are_taken_where_images_lie_otherwise() -> None:
    for name, lane in (("images in lanes", lanes(np.dtype(np.float32))), ("pointwise", 0)):
        x_shape, w_shape, geometry = POOLED[name]
        if lane <= x_shape[0]:
            assert not conv_input_grad.takes_maxima(x_shape, w_shape, *geometry, np.dtype(np.float32))


def test_a_plan_is_made_once_for_a_geometry() -> None:
    x_shape, w_shape, geometry = STRIDED
    for dtype in DTYPES:
        x, w, u = draw_arrays(*STRIDED, dtype)
        conv_input_grad.conv2d_input_grad(u, w, x_shape, *geometry)
        conv_weight_grad.conv2d_weight_grad(u, x, w_shape, *geometry)
        misses = conv.layout.cache_info().misses, conv_input_grad.adjoint.cache_info().misses
        if dtype == DTYPES[0]:
            before = misses
    assert misses == before
