from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_cnn import reference, set_winograd
from tinygrad_cnn.kernels import conv_input_maxima, pool_2x2, tile
from tinygrad_cnn.kernels.compile import kernel
from tinygrad_cnn.kernels.conv_input_grad import conv2d_input_grad
from tinygrad_cnn.kernels.conv_input_maxima import COLUMN, LANES, SIZES, input_grad, pays
from tinygrad_cnn.kernels.geometry import Padding

NONE: Padding = ((0, 0), (0, 0))
FLOAT32 = np.dtype(np.float32)
CASES: dict[str, tuple[Any, Any, Padding]] = {
    "LeNet's second": ((16, 6, 14, 14), (16, 6, 5, 5), NONE),
    "fewer filters than lanes, an odd image": ((13, 7, 11, 9), (5, 7, 5, 5), ((2, 1), (0, 3))),
    "several blocks of filters and of channels": ((29, 20, 10, 7), (20, 20, 5, 5), ((1, 2), (1, 0))),
    "small filters, many of them": ((16, 13, 8, 19), (56, 13, 3, 3), ((0, 1), (2, 0))),
    "one window": ((16, 8, 4, 4), (4, 8, 3, 3), NONE),
}


@kernel(writes="room")
def added(room, filters, gy, places, sums, pitch, deep, count, place, pixels, first, size):
    conv_input_maxima.add_row(room, gy, places, sums, pitch, deep, count, place, pixels, filters, first, size)


@kernel(writes="gx")
def dealt(room, gx, at, target, plane, channels, count):
    conv_input_maxima.deal(room, at, gx, target, plane, channels, count)


def draw(x: Any, w: Any, padding: Padding, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return filters, the gradients of maxima, a third of them zero, their index, and the same where the pixels are."""
    rng = np.random.default_rng(seed)
    out = [x[d] + sum(padding[d - 2]) - w[d] + 1 for d in (2, 3)]
    shape = x[0], w[0], out[0] // 2, out[1] // 2
    gy = (rng.standard_normal(shape) * (rng.random(shape) > 1 / 3)).astype(np.float32)
    index = rng.integers(0, 4, shape).astype(np.uint8)
    filters = rng.standard_normal(w).astype(np.float32)
    return filters, gy, index, pool_2x2.to_the_maximum(gy, index, (x[0], w[0], out[0], out[1]))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_maxima_alone_give_the_bits_of_all_pixels(case: Any, fenced: list[np.ndarray]) -> None:
    x, w, padding = case
    filters, gy, index, scattered = draw(*case)
    geometry: Any = (1, 1), padding, (1, 1), 1
    taken = pays(x, w, *geometry, FLOAT32)
    assert taken or tile.VECTOR_BYTES < 64
    expected = conv2d_input_grad(scattered, filters, x, *geometry)
    if taken:
        np.testing.assert_array_equal(input_grad(gy, filters, x, (1, 1), padding, (1, 1), 1, index), expected)
    exact = reference.conv2d_input_grad(scattered.astype(np.float64), filters.astype(np.float64), x, *geometry)
    np.testing.assert_allclose(expected, exact, rtol=0, atol=2e-6 * abs(exact).max())


@settings(max_examples=25, deadline=None, derandomize=True, database=None)
@given(st.data())
def test_wherever_it_pays_the_bits_are_the_same(data: Any) -> None:
    number = lambda least, most: data.draw(st.integers(least, most))
    size = data.draw(st.sampled_from(SIZES))
    padding = ((number(0, 3), number(0, 3)), (number(0, 3), number(0, 3)))
    x = number(12, 16), number(1, 18), size + 1 + number(0, 8), size + 1 + number(0, 8)
    w = number(1, 512 // size**2), x[1], size, size
    filters, gy, index, scattered = draw(x, w, padding)
    if pays(x, w, (1, 1), padding, (1, 1), 1, FLOAT32):
        expected = conv2d_input_grad(scattered, filters, x, (1, 1), padding, (1, 1), 1)
        np.testing.assert_array_equal(input_grad(gy, filters, x, (1, 1), padding, (1, 1), 1, index), expected)


def test_what_is_not_finite_spoils_the_window_of_its_pixel_alone() -> None:
    size = SIZES[-1]
    x, w = (3, 6, 14, 14), (9, 6, size, size)
    filters, gy, index, _ = draw(x, w, NONE)
    gy[1, 3, 2, 1], index[1, 3, 2, 1] = np.nan, 2  # at the pixel (5, 2)
    spoilt = np.isnan(input_grad(gy, filters, x, (1, 1), NONE, (1, 1), 1, index))
    assert spoilt[1, :, 5 : 5 + size, 2 : 2 + size].all()
    assert spoilt.sum() == 6 * size * size


@pytest.mark.skipif(tile.VECTOR_BYTES < 64, reason="the sizes are those of the widest vectors")
def test_it_pays_where_the_order_of_sums_is_that_of_images_in_lanes() -> None:
    def asked(
        x: Any, w: Any, stride: Any = (1, 1), dilation: Any = (1, 1), groups: int = 1, dtype: Any = FLOAT32
    ) -> bool:
        return pays(x, w, stride, NONE, dilation, groups, dtype)

    size, most = SIZES[-1], 512 // SIZES[-1] ** 2
    x, w = (16, 8, 14, 14), (8, 8, size, size)
    assert asked(x, w)
    assert not asked(x, w, dtype=np.dtype(np.float64))
    assert not asked(x, w, stride=(1, 2))
    assert not asked(x, w, dilation=(2, 1))
    assert not asked(x, (8, 2, size, size), groups=4)
    assert not asked(x, (8, 8, size, 4))
    assert not asked((1, *x[1:]), w)  # images do not lie in lanes
    assert not asked((16, 2, 14, 14), (8, 2, size, size))  # most lanes of a column stay empty
    assert asked(x, (most, 8, size, size))
    assert not asked(x, (most + 1, 8, size, size))  # a sum is more than one chain
    assert not asked((16, 8, size, size), w)  # no window
    assert not asked((0, *x[1:]), w)
    many = (16, 16, 14, 14), (16, 16, 3, 3)
    assert not asked(*many)  # by Winograd's algorithm
    set_winograd(False)
    try:
        assert asked(*many)
    finally:
        set_winograd(True)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("count", [1, LANES - 1, LANES, 2 * LANES + 3])
def test_the_row_is_its_twin(count: int, size: int) -> None:
    rng = np.random.default_rng(count)
    pixels, deep = 6, -(-count // LANES) * LANES
    pitch = (pixels + size) * COLUMN
    room = rng.integers(-4, 5, 6 * deep + size * pitch + 8).astype(np.float32)
    places, sums = 3 * deep, 6 * deep
    room[places:sums] = rng.integers(0, 4, 3 * deep)
    room[[0, deep]], room[[places, places + deep]] = 3, (1, 2)  # in each row there is at least one
    filters = rng.integers(-8, 9, 3 + count * size * size * COLUMN).astype(np.float32)
    for place in (0, 2):
        expected = room.copy()
        conv_input_maxima._add_row_twin(
            expected, 0, places, sums, pitch, deep, count, place, pixels, filters, 3, size
        )  # fmt: skip
        assert (expected != room).any()
        added(room, filters, 0, places, sums, pitch, deep, count, place, pixels, 3, size)
        np.testing.assert_array_equal(room, expected)


def test_pixels_are_dealt_to_planes_and_nothing_else_is_written() -> None:
    room = np.arange(3 + LANES * COLUMN, dtype=np.float32)
    for channels, count in ((COLUMN, LANES), (1, LANES + 4), (COLUMN - 1, 1), (COLUMN, LANES - 1)):
        gx = np.full(5 + COLUMN * (LANES + 2), -1, np.float32)
        expected = gx.copy()
        dealt(room, gx, 3, 5, LANES + 2, channels, count)
        conv_input_maxima._deal_twin(room, 3, expected, 5, LANES + 2, channels, count)
        np.testing.assert_array_equal(gx, expected)
        pixels = room[3:].reshape(LANES, COLUMN)[:count, :channels]
        np.testing.assert_array_equal(gx[5:].reshape(COLUMN, -1)[:channels, : len(pixels)], pixels.T)
        assert (gx == -1).sum() == gx.size - pixels.size


def test_the_sums_of_a_window_stay_in_registers() -> None:
    assert all(size * size < tile.REGISTERS for size in SIZES)
