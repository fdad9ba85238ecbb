"""The peak of multiply-adds: the register tile at work on numbers that never leave the first cache."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tinygrad_cnn.kernels.compile import kernel
from tinygrad_cnn.kernels.threads import split
from tinygrad_cnn.kernels.tile import LONGEST_CHAIN, MOST_ROWS, VECTORS, lanes, outer_tile

ROWS, DEPTH = MOST_ROWS, LONGEST_CHAIN
TILES_A_PIECE = 50
_WIDTH = VECTORS[ROWS]
_B_ROWS = 32  # as many rows of b as the first cache holds with ease; the table goes round and round


@kernel
def _tiles(a: np.ndarray, b: np.ndarray, table: np.ndarray, y: np.ndarray, start: int, stop: int) -> None:
    for piece in range(start, stop):
        for _ in range(TILES_A_PIECE):
            at = piece * y.shape[1]
            outer_tile(a, 0, 1, ROWS, b, 0, table, 0, DEPTH, y, at, y.shape[1] // ROWS, ROWS, _WIDTH, False)


def register_tile(tiles: int) -> Callable[[], np.ndarray]:
    """Return a step that computes so many float32 tiles on all threads; each has `multiply_adds` (1)."""
    width = _WIDTH * lanes(np.dtype(np.float32))
    pieces = -(-tiles // TILES_A_PIECE)
    a, b = np.ones((DEPTH, ROWS), np.float32), np.ones((_B_ROWS, width), np.float32)
    table = np.arange(DEPTH) % _B_ROWS * width
    y = np.zeros((pieces, ROWS * width), np.float32)

    def step() -> np.ndarray:
        split(_tiles, pieces, a, b, table, y, work=multiply_adds(tiles))
        return y

    return step


def multiply_adds(tiles: int) -> int:
    """Return how many multiply-adds so many tiles are, rounded up to whole pieces.

    >>> multiply_adds(1) == multiply_adds(TILES_A_PIECE)
    True
    """
    return -(-tiles // TILES_A_PIECE) * TILES_A_PIECE * ROWS * DEPTH * _WIDTH * lanes(np.dtype(np.float32))
