from __future__ import annotations

import mmap

import numpy as np
import pytest

from tinygrad_cnn import reference
from tinygrad_cnn.kernels import pool_2x2

rng = np.random.default_rng(0)
DTYPES = [np.float32, np.float64]
SHAPES = [(1, 1, 2, 2), (2, 3, 10, 11), (1, 2, 5, 64), (2, 1, 3, 35), (1, 1, 7, 130), (0, 2, 4, 6), (2, 2, 28, 28)]
WINDOW = (2, 2), (2, 2), ((0, 0), (0, 0))


def images(shape: tuple[int, ...], dtype: type) -> np.ndarray:
    """Few different values, so that ties are everywhere, and some that are not finite."""
    x = rng.integers(-3, 4, shape).astype(dtype)
    for value in (np.nan, np.inf, -np.inf):
        x[rng.random(shape) < 0.05] = value
    return x


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_maximum_and_its_gradient_equal_the_reference(shape: tuple[int, int, int, int], dtype: type) -> None:
    x = images(shape, dtype)
    out_size = shape[2] // 2, shape[3] // 2
    y, place = pool_2x2.maximum(x, out_size)
    expected, index = reference.max_pool2d(x, *WINDOW, (1, 1), out_size)
    np.testing.assert_array_equal(y, expected)
    assert (y.dtype, place.dtype) == (dtype, np.uint8)
    h, w = divmod(index, shape[3])
    np.testing.assert_array_equal(place, 2 * (h % 2) + w % 2)
    gy = images(y.shape, dtype)
    gx = pool_2x2.to_the_maximum(gy, place, shape)
    assert gx.dtype == dtype
    np.testing.assert_array_equal(gx, reference.max_pool2d_grad(gy, index, shape))
    raised, gated = pool_2x2.maximum(x, out_size, relu=True)
    np.testing.assert_array_equal(raised, np.where(y <= 0, 0, y))
    np.testing.assert_array_equal(gated, np.where(y <= 0, pool_2x2.NOWHERE, place))
    through = np.where(y <= 0, 0, gy).astype(dtype)
    np.testing.assert_array_equal(
        pool_2x2.to_the_maximum(gy, gated, shape), reference.max_pool2d_grad(through, index, shape)
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("divisor", [4, 3])
def test_average_and_its_gradient_equal_the_reference(
    shape: tuple[int, int, int, int], divisor: int, dtype: type
) -> None:
    x = rng.normal(size=shape).astype(dtype)
    out_size = shape[2] // 2, shape[3] // 2
    tolerance = 1e-6 if dtype == np.float32 else 1e-14
    y = pool_2x2.average(x, out_size, divisor)
    expected = reference.avg_pool2d(x.astype(np.float64), *WINDOW, out_size, True, divisor)
    np.testing.assert_allclose(y, expected, rtol=tolerance, atol=tolerance)
    gx = pool_2x2.spread(y, shape, divisor)
    np.testing.assert_allclose(gx, reference.avg_pool2d_grad(y, shape, *WINDOW, True, divisor), rtol=tolerance)
    assert y.dtype == gx.dtype == dtype


@pytest.mark.parametrize("dtype", DTYPES)
def test_nothing_beyond_the_arrays_is_touched(dtype: type) -> None:
    shape, size = (3, 5, 7), np.dtype(dtype).itemsize
    memory = np.full(4 * mmap.PAGESIZE, 0xAB, np.uint8)

    def between(shape: tuple[int, ...], dtype: type, start: int) -> np.ndarray:
        return np.ndarray(shape, dtype, memory, start)

    x, gx = between(shape, dtype, 1024), between(shape, dtype, 4096)
    y, place = between((3, 2, 3), dtype, 8192), between((3, 2, 3), np.uint8, 12288)
    x[:] = rng.normal(size=shape)
    sizes = 5, 7, 2, 3
    pool_2x2._maximum(x.reshape(-1), y.reshape(-1), place.reshape(-1), True, *sizes, 0, 3)
    pool_2x2._to_the_maximum(y.reshape(-1), place.reshape(-1), gx.reshape(-1), *sizes, 0, 3)
    pool_2x2._spread(y.reshape(-1), gx.reshape(-1), 0.25, *sizes, 0, 3)
    pool_2x2._average(x.reshape(-1), y.reshape(-1), 0.25, *sizes, 0, 3)
    used = np.zeros(memory.shape, bool)
    for start, count in ((1024, 105 * size), (4096, 105 * size), (8192, 18 * size), (12288, 18)):
        used[start : start + count] = True
    assert (memory[~used] == 0xAB).all()
    # the column and the row that no window covers belong to nobody here: `spread` clears them afterwards
    assert (gx[:, 4].view(np.uint8) == 0xAB).all()
    assert (gx[:, :, 6:].copy().view(np.uint8) == 0xAB).all()
