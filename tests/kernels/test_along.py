from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn import state
from tinygrad_cnn.kernels import along as kernel

rng = np.random.default_rng(0)
SHAPES = [((5, 7, 3), axis) for axis in (0, 1, 2)] + [((400, 90), 1), ((1,), 0), ((0, 4), 1), ((4, 0), 1)]
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@DTYPES
@pytest.mark.parametrize(("shape", "axis"), SHAPES)
def test_running_sums_are_added_in_float64(shape: tuple[int, ...], axis: int, dtype: type) -> None:
    x = rng.normal(size=shape).astype(dtype)
    np.testing.assert_array_equal(kernel.cumsum(x, axis), np.cumsum(x, axis, np.float64).astype(dtype))
    reverse = np.flip(np.cumsum(np.flip(x, axis), axis, np.float64), axis).astype(dtype)
    np.testing.assert_array_equal(kernel.cumsum(x, axis, backward=True), reverse)


@DTYPES
@pytest.mark.parametrize(("shape", "axis"), [case for case in SHAPES if 0 not in case[0]])
@pytest.mark.parametrize("count", [1, 6])
def test_picking_and_adding_back(shape: tuple[int, ...], axis: int, count: int, dtype: type) -> None:
    x = rng.normal(size=shape).astype(dtype)
    index = rng.integers(0, shape[axis], (*shape[:axis], count, *shape[axis + 1 :]))
    y = kernel.gather(x, index, axis)
    np.testing.assert_array_equal(y, np.take_along_axis(x, index, axis))
    wanted = np.zeros(shape)
    places = list(np.indices(index.shape))
    places[axis] = index
    np.add.at(wanted, tuple(places), y)
    np.testing.assert_array_equal(kernel.gather_grad(y, index, axis, shape[axis]), wanted.astype(dtype))
    added = kernel.gather_grad(y, index, axis, shape[axis], x)
    np.testing.assert_allclose(added, x + wanted, rtol=1e-6 if dtype == np.float32 else 1e-13)


@DTYPES
@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("shape", [(3, 9), (600, 70), (2, 4)])
def test_the_first_in_order(shape: tuple[int, int], largest: bool, dtype: type) -> None:
    x = rng.integers(-3, 3, shape).astype(dtype)  # many are equal
    x[0, 1:3] = np.nan
    x[1, :2] = np.inf, -np.inf
    order = np.argsort(x, 1, kind="stable")
    if largest:
        order = shape[1] - 1 - np.flip(np.argsort(np.flip(x, 1), 1, kind="stable"), 1)
    for count in (1, 4):
        np.testing.assert_array_equal(kernel.first(x, count, largest), order[:, :count])


@DTYPES
@pytest.mark.parametrize("shape", [(3, 9), (600, 70), (2, 0)])
def test_what_is_put_last_stays(shape: tuple[int, int], dtype: type) -> None:
    x, index = rng.normal(size=shape).astype(dtype), rng.integers(0, 50, shape)
    y, kept = kernel.put(x, index, 50)
    for row in range(shape[0]):
        last = {place: k for k, place in enumerate(index[row])}
        assert kept[row].tolist() == [place if last[place] == k else -1 for k, place in enumerate(index[row])]
        assert y[row].tolist() == [x[row, last[p]] if p in last else 0 for p in range(50)]


def test_same_bits_for_every_number_of_threads() -> None:
    x, index = rng.normal(size=(300, 200)).astype(np.float32), rng.integers(0, 200, (300, 150))
    before, results = state.get_num_threads(), []
    for threads in (1, 2, 3):
        state.set_num_threads(threads)
        sums = kernel.cumsum(x, 1), kernel.gather_grad(x[:, :150], index, 1, 200)
        results.append(
            (*sums, kernel.gather(x, index, 1), kernel.first(x, 5, True), *kernel.put(x[:, :150], index, 200))
        )
    state.set_num_threads(before)
    for result in results[1:]:
        for a, b in zip(result, results[0], strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.int8, np.uint32])
def test_an_index_is_copied_as_int32_and_compared_wherever_it_stands(dtype: type) -> None:
    for shape, at in (((3, 2), 1), ((200, 300), 0), ((200, 300), 59_999), ((200, 300), 33_333)):
        index = np.zeros(shape, dtype)
        index.flat[at] = 77
        y, inside = kernel.copied(index.T, 78)
        assert (y.dtype, inside) == (np.int32, True)
        np.testing.assert_array_equal(y, index.T)
        assert not np.shares_memory(y, index)
        assert not kernel.copied(index.T, 77)[1]
    for wrong in (-1, -(2**63), 2**32, 2**63 - 1):  # as int32 some of them would be 0
        assert not kernel.copied(np.array([3, wrong, 1]), 2**31)[1]
    assert kernel.copied(np.array([2**31 - 1]), 2**31)[1]
    y, inside = kernel.copied(np.empty((0, 3), dtype), 0)
    assert (y.shape, inside) == ((0, 3), True)


def test_an_axis_that_int32_cannot_reach_is_refused() -> None:
    x, index = np.broadcast_to(np.float32(0), 2**31 + 1), np.zeros(1, int)
    for call in (
        lambda: kernel.copied(index, x.size),
        lambda: kernel.gather(x, index, 0),
        lambda: kernel.gather_grad(np.ones(1), index, 0, x.size),
    ):
        with pytest.raises(ValueError, match=r"cannot reach all of an axis of size 2,147,483,649"):
            call()
