from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn.kernels import tile_weight
from tinygrad_cnn.kernels.compile import Kernel, kernel
from tinygrad_cnn.kernels.tile import MOST_ROWS, lanes
from tinygrad_cnn.kernels.tile_weight import MOST_ALONE, MOST_VECTORS, choose, transpose, weight_row, weight_tile

DTYPES = [np.float32, np.float64]


@kernel(writes="acc")
def tile(a, b, pixels, places, acc, a_start, a_row, b_start, depth, acc_start, acc_row, rows, vectors):
    weight_tile(
        a, a_start, a_row, b, b_start, pixels, 1, depth, places, 2, acc, acc_start, acc_row, rows, vectors, 3
    )  # fmt: skip


@kernel(writes="acc")
def row(a, b, pixels, places, acc, a_start, a_row, b_start, depth, acc_start, acc_row, rows, vectors):
    weight_row(
        a, a_start, a_row, b, b_start, pixels, 1, depth, places, 2, acc, acc_start, acc_row, rows, vectors, 3
    )  # fmt: skip


@kernel(writes="target")
def turn(source, starts, columns, target, first, j, count, target_start, half):
    transpose(source, starts, first, j, count, target, target_start, columns, half)


@kernel(writes="factors chosen some")
def choice(gy, index, at, size, line, sides, left, right, image, factors, chosen, some):
    some[0] = choose(gy, index, at, size, line, sides, left, right, image, factors, chosen, some[0])


def whole_numbers(rng: np.random.Generator, size: int, dtype: type) -> np.ndarray:
    """Small integers: their sums of products are exact in any order."""
    return rng.integers(-8, 9, size).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("compiled", "rows", "most"), [*((tile, r, MOST_VECTORS) for r in range(MOST_ROWS + 1)), (row, 1, MOST_ALONE)]
)
def test_a_tile_adds_what_its_twin_adds_in_every_shape_and_writes_nothing_else(
    dtype: type, compiled: Kernel, rows: int, most: int
) -> None:
    rng = np.random.default_rng(rows)
    lane = lanes(dtype)
    a, b = whole_numbers(rng, 600, dtype), whole_numbers(rng, 400, dtype)
    pixels, places = rng.integers(0, 200, 12), rng.integers(0, 100, 2 + most)
    for vectors in range(1, most + 1):
        for depth in (0, 1, 11):
            acc = whole_numbers(rng, 700, dtype)
            expected = acc.copy()
            acc_row = vectors * lane + 3
            compiled(a, b, pixels, places, acc, 5, 13, 7, depth, 9, acc_row, rows, vectors)
            tile_weight._weight_tile_twin(
                a, 5, 13, b, 7, pixels, 1, depth, places, 2, expected, 9, acc_row, rows, vectors, 0
            )
            np.testing.assert_array_equal(acc, expected)


def test_the_tile_is_a_sum_of_outer_products() -> None:
    """Said once more with NumPy, for the compiled tile and its twin."""
    rng = np.random.default_rng(1)
    lane = lanes(np.float32)
    a, b = whole_numbers(rng, 100, np.float32), whole_numbers(rng, 200, np.float32)
    pixels, places = np.array([0, 3, 8, 50]), np.array([0, 0, 40])
    acc = np.ones(2 * lane, np.float32)
    windows = np.stack([b[at + 40 :][:lane] for at in (3, 8, 50)])
    tile(a, b, pixels, places, acc, 0, 10, 0, 3, 0, lane, 2, 1)
    np.testing.assert_array_equal(acc.reshape(2, lane), 1 + np.stack([a[:3], a[10:13]]) @ windows)
    tile(a, b, pixels, places, acc, 0, 0, 0, 3, 0, 0, 0, 1)
    each = (a[: 3 * lane].reshape(3, lane) * windows).sum(0)
    np.testing.assert_array_equal(acc[:lane], 1 + a[:3] @ windows + each)


@pytest.mark.parametrize("half", [0, 1])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_transposition_leaves_out_rows_and_columns_and_writes_zeros_for_them(dtype: type, half: int) -> None:
    rng = np.random.default_rng(2)
    lane = lanes(dtype)
    height = lane // 2 if half else lane
    source = rng.standard_normal(30 * lane).astype(dtype)
    starts = np.concatenate([[99], rng.integers(0, 20 * lane, lane)])
    starts[1 + height // 2] = -1
    columns = np.arange(3 * lane)[::-1] * (height + 1)
    for count in range(1, lane + 1):
        target = rng.standard_normal(3 * lane * (height + 1) + 5).astype(dtype)
        expected = target.copy()
        turn(source, starts, columns, target, 1, lane, count, 5, half)
        for j in range(lane):
            for r in range(height):
                there = j < count and starts[1 + r] >= 0
                expected[5 + columns[lane + j] + r] = source[starts[1 + r] + lane + j] if there else 0
        np.testing.assert_array_equal(target, expected)
        tile_weight._transpose_twin(source, starts, 1, lane, count, target, 5, columns, half)
        np.testing.assert_array_equal(target, expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_row_that_does_not_exist_is_not_read(dtype: type) -> None:
    """Its address lies before the memory, and beyond the last column it may end."""
    lane = lanes(dtype)
    source = np.full(2, 7, dtype)
    starts = np.full(lane, -(2**40))
    starts[0] = 0
    target = np.ones(lane * lane, dtype)
    turn(source, starts, np.arange(lane) * lane, target, 0, 0, 2, 0, 0)
    np.testing.assert_array_equal(target.reshape(lane, lane)[:2, 0], 7)
    assert target.sum() == 7 * 2


@pytest.mark.parametrize("dtype", DTYPES)
def test_of_a_line_of_windows_the_maxima_with_a_gradient_are_listed(dtype: type) -> None:
    rng = np.random.default_rng(3)
    lane = lanes(dtype)
    sides = rng.integers(0, 2**30, 200).astype(np.int32)
    for size in (1, 2, 7, lane, lane + 1, 40):
        gy, index = whole_numbers(rng, 3 + size, dtype), rng.integers(0, 4, 3 + size, np.uint8)
        gy[3], gy[-1] = np.nan, 0  # NaN is a gradient
        for line in (0, 1):
            lists = np.full(80, -1, dtype), np.full(80, -1, np.int32)
            some, chosen = np.array([2]), (index[3:] // 2 == line) & (gy[3:] != 0)
            choice(gy, index, 3, size, line, sides, 5, 90, 7, *lists, some)
            places = 7 + np.where(index[3:] % 2, sides[90 : 90 + size], sides[5 : 5 + size])
            assert some[0] == 2 + chosen.sum()
            for found, expected in zip(lists, (gy[3:], places), strict=True):
                np.testing.assert_array_equal(found[2 : some[0]], expected[chosen])
                assert (found[:2] == -1).all()
                assert (found[some[0] + lane :] == -1).all()


def test_what_is_fetched_ahead_need_not_exist() -> None:
    @kernel(writes="x")
    def ahead(x: np.ndarray, at: int) -> None:
        tile_weight.fetch(x, at)

    x = np.arange(3, dtype=np.float32)
    for at in (0, -(10**6), 2**40):
        ahead(x, at)
    np.testing.assert_array_equal(x, [0, 1, 2])
