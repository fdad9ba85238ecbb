from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn import reference, state
from tinygrad_cnn.checks.measure import error
from tinygrad_cnn.kernels import pool_bins as kernel

IMAGE = np.array([1, 0, 1])


def spans(rng: np.random.Generator, bins: int, length: int) -> np.ndarray:
    """Some bins are empty."""
    begin = rng.integers(0, length, (len(IMAGE), bins))
    return np.stack([begin, np.minimum(begin + rng.integers(0, 4, begin.shape), length)], 2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_maxima_and_their_gradient(dtype: type, rng: np.random.Generator) -> None:
    x = rng.integers(-3, 3, (2, 3, 5, 7)).astype(dtype)  # many ties
    x[0, 0, 2, 3] = np.nan
    tables = IMAGE, spans(rng, 3, 5), spans(rng, 4, 7)
    y, index = kernel.max_bins(x, *tables)
    wanted, places = reference.max_bins(x, *tables)
    assert y.dtype == dtype
    assert (index < 0).any()
    np.testing.assert_array_equal(y, wanted)
    np.testing.assert_array_equal(index, places)
    gy = rng.standard_normal(y.shape).astype(dtype)
    gx = kernel.max_bins_grad(gy, index, IMAGE, x.shape)
    assert gx.dtype == dtype
    assert error(gx, reference.max_bins_grad(gy, index, IMAGE, x.shape)) <= 1e-6
    found = kernel.max_bins_gather(gx, index, IMAGE)
    assert found.dtype == dtype
    np.testing.assert_allclose((found * gy).sum(dtype=float), (gx.astype(float) ** 2).sum(), rtol=1e-5)  # the adjoint


def test_nan_is_the_maximum_wherever_it_stands() -> None:
    x, image, rows = np.ones((1, 1, 3, 20)), np.zeros(1, int), np.array([[[0, 3]]])
    x[0, 0, 0, 4] = x[0, 0, 1, 17] = np.nan
    for columns, place in (([0, 20], 37), ([3, 6], 4), ([0, 4], 0)):
        y, index = kernel.max_bins(x, image, rows, np.array([[columns]]))
        assert np.isnan(y).item() == (place > 0)
        assert index.item() == place


@pytest.mark.parametrize(("dtype", "bound"), [(np.float32, 2e-6), (np.float64, 1e-12)])
def test_points_and_their_gradient(dtype: type, bound: float, rng: np.random.Generator) -> None:
    x = rng.standard_normal((2, 3, 5, 7)).astype(dtype)
    rows, columns = rng.integers(0, 5, (3, 2, 4)), rng.integers(0, 7, (3, 3, 6))
    down, across = (rng.standard_normal(table.shape).astype(dtype) for table in (rows, columns))
    down[0, 0, 1] = 0
    tables = IMAGE, rows, columns, down, across
    y = kernel.point_bins(x, *tables)
    assert y.dtype == dtype
    assert error(y, reference.point_bins(x.astype(float), *tables)) <= bound
    gx = kernel.point_bins_grad(y, *tables, x.shape)
    assert gx.dtype == dtype
    assert error(gx, reference.point_bins_grad(y.astype(float), *tables, x.shape)) <= bound


def test_the_number_of_threads_changes_nothing(rng: np.random.Generator) -> None:
    x = rng.standard_normal((2, 64, 5, 7))
    tables = IMAGE, np.tile(spans(rng, 3, 5), (1, 4, 1)), np.tile(spans(rng, 3, 7), (1, 9, 1))
    before, found = state.get_num_threads(), []
    for threads in (1, 2):
        state.set_num_threads(threads)
        y, index = kernel.max_bins(x, *tables)
        found.append((y.tobytes(), kernel.max_bins_grad(y, index, IMAGE, x.shape).tobytes()))
    state.set_num_threads(before)
    assert found[0] == found[1]
