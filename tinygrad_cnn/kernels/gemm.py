"""Matrix products on the register tile, in our own thread pool.

y = a @ b: rows of a are broadcast value by value, rows of b are read as vectors. A tile is a few rows of y by a few
vectors of columns, and a wide b is packed into *panels* as wide as a tile: what a tile reads lies in one piece.

    y[block of rows, panel] (+)= a[block of rows, chunk] @ b[chunk, panel]

The depth is cut into chunks, so that panels stay in the second cache and sums in one accumulator stay short. Tiles
write straight to y; those that stick out to the right or below go through scratch memory.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_cnn.kernels import buffers, threads
from tinygrad_cnn.kernels.compile import kernel
from tinygrad_cnn.kernels.tile import LONGEST_CHAIN, MOST_ROWS, VECTORS, lanes, outer_tile, rows_for
from tinygrad_cnn.kernels.tile_pixels import turn

_LARGEST_PACK = 2**21  # numbers: the panels of a chunk stay in the third cache
_NEAR = 2**19  # bytes of b that stay in the second cache
# Shorter rows of b, in bytes, are read where they are: their panels do not yet meet themselves in the cache.
LONG_ROWS = 4096
# So few rows do not pay for packing b at all: its rows are read a few at a time from end to end.
_FEW_ROWS, _SHORT_CHUNK, _MOST_CHUNKS = 16, 16, 128


@kernel
def _transpose(x: ndarray, y: ndarray, x_rows: ndarray, y_rows: ndarray, lane: int, start: int, stop: int) -> None:
    """y[k, j] = x[j, k] for the vectors start..stop of columns of x."""
    rows, columns = x.shape
    for k in range(start * lane, stop * lane, lane):
        for j in range(0, rows, lane):
            turn(x, k, x_rows, j, y, j, y_rows, k, min(lane, columns - k), min(lane, rows - j))


@kernel
def _pack(b: ndarray, y: ndarray, first: int, start: int, stop: int) -> None:
    """Panels y[p, k, j] = b[first + k, p * width + j], zero beyond the last column, for start <= k < stop."""
    panels, _, width = y.shape
    for k in range(start, stop):
        for p in range(panels):
            n = p * width
            count = min(width, b.shape[1] - n)
            row, panel = b[first + k, n : n + count], y[p, k]
            for j in range(count):
                panel[j] = row[j]
            panel[count:] = 0


@kernel(writes="y sums")
def _product(
    a: ndarray, a_offsets: ndarray, a_row: int, b: ndarray, b_offsets: ndarray, b_panel: int,
    b_columns: int, table: ndarray, y: ndarray, m_size: int, n_size: int, sums: ndarray, rows: int, width: int,
    lane: int, first: int, chunk: int, by_rows: bool, start: int, stop: int,
) -> None:  # fmt: skip
    """Tiles start..stop of y for the depth that the table has, which begins at ``first``."""
    depth = table.size
    blocks = (m_size + rows - 1) // rows
    panels = (n_size + width - 1) // width
    scratch = threads.piece_at(start, y.size // (m_size * n_size) * blocks * panels) * rows * width
    for k in range(0, max(depth, 1), chunk):
        add = first + k > 0
        for item in range(start, stop):
            image, rest = divmod(item, blocks * panels)
            block, panel = divmod(rest, panels) if by_rows else (rest % blocks, rest // blocks)
            m, n = min(block * rows, m_size - rows), panel * width
            above = block * rows - m  # rows that the block before has
            columns = min(width, n_size - n)
            vectors = (columns + lane - 1) // lane if rows == MOST_ROWS else width // lane
            left = max(n + vectors * lane - b_columns, 0)  # move back where b ends
            at = (image * m_size + m) * n_size + n
            whole = above == 0 and columns == vectors * lane
            outer_tile(
                a, a_offsets[image] + m * a_row + first + k, a_row, 1,
                b, b_offsets[image] + panel * b_panel - left, table, k, min(chunk, depth - k),
                y if whole else sums, at if whole else scratch, n_size if whole else width, rows, vectors,
                whole and add,
            )  # fmt: skip
            for r in range(above, 0 if whole else rows):  # slices: LLVM makes vectors of what cannot be negative
                row, tile = at + r * n_size, scratch + r * width + left
                result, found = y[row : row + columns], sums[tile : tile + columns]
                for j in range(columns):
                    result[j] = result[j] + found[j] if add else found[j]


@lru_cache(maxsize=256)
def rows_table(depth: int, pitch: int) -> np.ndarray:
    """Return where each row begins."""
    return np.arange(depth, dtype=np.int64) * pitch


@lru_cache(maxsize=256)
def last_repeated(rows: int, pitch: int, count: int) -> np.ndarray:
    """Return where each row begins, and the last one again up to ``count``."""
    return np.minimum(np.arange(count, dtype=np.int64), rows - 1) * pitch


@lru_cache(maxsize=1024)
def _tiling(m: int, depth: int, n: int, count: int, dtype: np.dtype, packable: bool) -> tuple[Any, ...]:
    """Return how ``count`` products (m, depth) @ (depth, n) are cut into tiles; one matrix b is packable.

    Is it packed, chunk by chunk of the depth; the shape of the panels; the depth of a chunk; the pitch of the rows of b
    and how many numbers of a row exist; how many tiles there are; rows, (width, lane), (chunk, by_rows) of `_product`.
    """
    lane, rows = lanes(dtype), rows_for(m)
    width = lane * (min(VECTORS[rows], -(-n // lane)) if rows == MOST_ROWS else VECTORS[rows])
    panels, chunk = -(-n // width), LONGEST_CHAIN if m > _FEW_ROWS else max(_SHORT_CHUNK, depth // _MOST_CHUNKS)
    packed = packable and (n < width or (m > _FEW_ROWS and n * dtype.itemsize >= LONG_ROWS))
    step, columns, pitch = max(depth, 1), max(n, width), max(n, width)
    if packed:
        step = max(min(LONGEST_CHAIN, _LARGEST_PACK // (panels * width)), 1)
        columns, pitch = panels * width, width
    by_rows = panels * width * min(depth, step) * dtype.itemsize <= _NEAR
    shape = panels, min(depth, step), width
    return packed, shape, step, pitch, columns, count * panels * -(-m // rows), rows, (width, lane), (chunk, by_rows)


def matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return a @ b for a (..., M, K) and b (..., K, N), leading axes broadcast."""
    (m, depth), n = a.shape[-2:], b.shape[-1]
    lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2]) if a.ndim > 2 or b.ndim > 2 else ()
    y = buffers.empty((*lead, m, n), a.dtype)
    if not y.size:
        return y
    packed, shape, step, pitch, columns, items, rows, widths, order = _tiling(
        m, depth, n, y.size // (m * n), a.dtype, b.ndim == 2
    )
    width, panels = widths[0], buffers.empty(shape if packed else (1, 0, 0), a.dtype)
    if n < width and not packed:
        b = np.pad(b, [*[(0, 0)] * (b.ndim - 1), (0, width - n)])
    a, b = _contiguous(a), _contiguous(b)
    a_offsets, b_offsets = _offsets(a.shape, lead), _offsets(b.shape, lead)
    sums = np.empty(threads.pieces_of(items) * rows * width, a.dtype)
    for first in range(0, max(depth, 1), step):
        deep = min(step, depth - first)
        if packed:
            threads.split(_pack, deep, b, panels, first, work=panels.size // 4)
        threads.split(
            _product, items, a.reshape(-1), a_offsets, depth, (panels if packed else b).reshape(-1), b_offsets,
            panels[0].size if packed else width, columns, rows_table(deep, pitch), y.reshape(-1), m, n, sums, rows,
            *widths, first, *order, work=y.size * deep // threads.MULTIPLY_ADDS,
        )  # fmt: skip
    return y


def _contiguous(x: np.ndarray) -> np.ndarray:
    """Return x in C order; a transposed matrix is turned round by whole vectors, and by all threads."""
    if x.ndim != 2 or x.flags.c_contiguous or not x.flags.f_contiguous:
        return np.ascontiguousarray(x)
    (columns, rows), lane = x.shape, lanes(x.dtype)
    blocks = -(-columns // lane)
    y = buffers.empty((blocks * lane, rows), x.dtype)  # of the last columns whole vectors are written
    tables = last_repeated(rows, columns, -(-rows // lane) * lane), rows_table(blocks * lane, rows)
    threads.split(_transpose, blocks, x.T, y, *tables, lane, work=4 * x.size)
    return y[:columns]


@lru_cache(maxsize=256)
def _offsets(shape: tuple[int, ...], lead: tuple[int, ...]) -> np.ndarray:
    """Return where each matrix of a contiguous batch begins, which is broadcast to the leading axes."""
    numbers = np.arange(math.prod(shape[:-2]), dtype=np.int64).reshape(shape[:-2]) * (shape[-2] * shape[-1])
    return np.ascontiguousarray(np.broadcast_to(numbers, lead)).reshape(-1)
