from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn.kernels import tile, tile_pixels
from tinygrad_cnn.kernels.compile import kernel
from tinygrad_cnn.kernels.tile_pixels import pixel_tile, turn

DTYPES = [np.float32, np.float64]


@kernel
def pixels(a, bias, b, places, table, y, depth, y_row, rows, vectors, add):
    pixel_tile(a, 3, bias, 1, b, 5, places, 2, table, 1, depth, y, 7, y_row, rows, vectors, add)


@kernel
def turned_to_bytes(x, x_rows, y, y_rows, have, give):
    turn(x, 3, x_rows, 1, y, 5, y_rows, 2, have, give)


@kernel
def turned(x, x_rows, y, y_rows, have, give):
    turn(x, 3, x_rows, 1, y, 5, y_rows, 2, have, give)


def whole_numbers(rng: np.random.Generator, size: int, dtype: type) -> np.ndarray:
    """Small integers: their sums of products are exact in any order."""
    return rng.integers(-8, 9, size).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_pixel_tile_is_its_twin_in_every_shape_and_writes_nothing_else(dtype: type) -> None:
    rng = np.random.default_rng(0)
    a, bias, b = (whole_numbers(rng, size, dtype) for size in (200, 20, 900))
    lane = tile.lanes(dtype)
    assert {rows for rows, _ in tile.TILES} == set(range(1, tile.MOST_ROWS + 1))
    for rows, vectors in tile.TILES:
        width = tile.VECTORS[rows]
        sources, places = rng.integers(0, 400, width), rng.permutation(2 * width)[:width] * lane
        offsets = np.concatenate([[0, 0], sources, places])
        for depth, add in ((0, False), (0, True), (1, True), (7, False), (7, True)):
            table = rng.integers(0, 400, depth + 1)
            y = whole_numbers(rng, 7 + rows * (2 * width * lane + 3), dtype)
            expected = y.copy()
            row = 2 * width * lane + 3
            pixels(a, bias, b, offsets, table, y, depth, row, rows, vectors, add)
            shape = row, rows, vectors, add
            tile_pixels._pixel_tile_twin(a, 3, bias, 1, b, 5, offsets, 2, table, 1, depth, expected, 7, *shape)
            np.testing.assert_array_equal(y, expected, f"{rows} rows, {vectors} vectors, depth {depth}, add={add}")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("target", [None, np.uint8])
def test_a_square_is_turned_and_nothing_else_is_written(dtype: type, target: type | None) -> None:
    run = turned_to_bytes if target else turned
    rng = np.random.default_rng(1)
    lane = tile.lanes(dtype)
    x = rng.integers(0, 200, 900).astype(dtype)
    for have, give in ((lane, lane), (1, lane), (lane - 1, lane), (lane, 1), (lane, lane - 1)):
        x_rows, y_rows = rng.integers(0, 800, lane + 1), np.append([0, 0], rng.permutation(lane) * (lane + 3))
        y = np.full(5 + lane * (lane + 3) + lane, 77, target or dtype)
        expected = y.copy()
        run(x, x_rows, y, y_rows, have, give)
        tile_pixels._turn_twin(x, 3, x_rows, 1, expected, 5, y_rows, 2, have, give)
        np.testing.assert_array_equal(y, expected, f"{have} numbers of a row, {give} stored")
    square = np.arange(lane * lane, dtype=dtype)
    grid, y = np.append([0, 0], np.arange(lane) * lane), np.zeros(5 + lane * lane, target or dtype)
    run(np.append(np.zeros(3, dtype), square), grid[1:], y, grid, lane, lane)
    np.testing.assert_array_equal(y[5:].reshape(lane, lane), square.reshape(lane, lane).T)
