"""Matrix products on the register tile, in our own thread pool.

y = a @ b: rows of a are broadcast value by value (from any strides, so a transposed a costs nothing), rows of b are
read as vectors (so a transposed b is first turned round, one pass over it). Tiles that stick out at the end are moved
back over the ones before: they compute some results twice, to the same bits.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy import ndarray

from tinygrad_cnn.kernels import buffers, threads
from tinygrad_cnn.kernels.compile import kernel
from tinygrad_cnn.kernels.tile import (
    INNER_ROWS,
    INNER_TAPS,
    LONGEST_CHAIN,
    MOST_ROWS,
    VECTORS,
    inner_tile,
    lanes,
    outer_tile,
    rows_for,
)

_BLOCK = 32  # the transposition works in squares that fit the first cache


@kernel(writes="y")
def _transpose(x: ndarray, y: ndarray, start: int, stop: int) -> None:
    """y[k, j] = x[j, k] for the column blocks start..stop; further columns of y are left as they are."""
    rows, columns = x.shape
    for block in range(start, stop):
        for j in range(0, rows, _BLOCK):
            for k in range(block * _BLOCK, min((block + 1) * _BLOCK, columns)):
                for i in range(j, min(j + _BLOCK, rows)):
                    y[k, i] = x[i, k]


@kernel(writes="y sums")
def _product(
    a: ndarray, a_offsets: ndarray, a_row: int, a_step: int, b: ndarray, b_offsets: ndarray, table: ndarray,
    bias: ndarray, y: ndarray, sums: ndarray, rows: int, vectors: int, start: int, stop: int,
) -> None:  # fmt: skip
    batch, m_size, n_size = y.shape
    depth = table.size
    blocks = (m_size + rows - 1) // rows
    width = sums.shape[1] // rows
    panels = (n_size + width - 1) // width
    piece = threads.piece_at(start, batch * panels * blocks)
    for item in range(start, stop):
        rest, block = divmod(item, blocks)
        image, panel = divmod(rest, panels)
        m = min(block * rows, m_size - rows)
        n = max(min(panel * width, n_size - width), 0)
        for k in range(0, max(depth, 1), LONGEST_CHAIN):
            outer_tile(
                a, a_offsets[image] + m * a_row + k * a_step, a_row, a_step, b, b_offsets[image] + n, table, k,
                min(LONGEST_CHAIN, depth - k), sums, piece * rows * width, width, rows, vectors, k > 0,
            )  # fmt: skip
        for r in range(rows):
            for j in range(min(width, n_size)):
                y[image, m + r, n + j] = sums[piece, r * width + j] + bias[n + j]


@kernel(writes="y acc")
def _dots(
    a: ndarray, b: ndarray, table: ndarray, bias: ndarray, y: ndarray, acc: ndarray, start: int, stop: int
) -> None:
    """y[m, n] = a[m] . b[n] + bias[n] for a few rows of a and the blocks start..stop of rows of b."""
    rows, depth = a.shape
    n_size, width = b.shape[0], acc.shape[1]
    whole = depth // width
    piece = threads.piece_at(start, (n_size + INNER_TAPS - 1) // INNER_TAPS) * INNER_ROWS * INNER_TAPS
    for block in range(start, stop):
        n0 = block * INNER_TAPS
        taps = min(INNER_TAPS, n_size - n0)
        for m in range(rows):
            for n in range(n0, n0 + taps):
                y[m, n] = bias[n]
                for k in range(whole * width, depth):
                    y[m, n] += a[m, k] * b[n, k]
        for s in range(0, whole, LONGEST_CHAIN):
            acc[piece : piece + rows * INNER_TAPS] = 0
            steps = min(LONGEST_CHAIN, whole - s)
            inner_tile(a, s * width, depth, b, s * width, table, n0, steps, acc, piece * width, rows)
            for m in range(rows):
                for t in range(taps):
                    y[m, n0 + t] += acc[piece + m * INNER_TAPS + t].sum()


@lru_cache(maxsize=256)
def _rows_table(depth: int, pitch: int) -> np.ndarray:
    return np.arange(depth, dtype=np.int64) * pitch


@lru_cache(maxsize=256)
def _zeros(n: int, dtype: str) -> np.ndarray:
    zeros = np.zeros(n, dtype)
    zeros.flags.writeable = False
    return zeros


def matmul(a: np.ndarray, b: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
    """Return a @ b (+ bias) for a (..., M, K) and b (..., K, N), leading axes broadcast; bias (N,)."""
    (m, depth), n = a.shape[-2:], b.shape[-1]
    lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2]) if a.ndim > 2 or b.ndim > 2 else ()
    y = buffers.empty((*lead, m, n), a.dtype)
    if not y.size:
        return y
    bias = _zeros(n, a.dtype.char) if bias is None else np.ascontiguousarray(bias)
    # a: the rows and the steps along k may have any order; its copy is needed only for odd strides
    if a.ndim == 2 and not a.flags.c_contiguous and a.flags.f_contiguous:
        a, a_row, a_step = a.T, 1, m
    else:
        a, a_row, a_step = np.ascontiguousarray(a), depth, 1
    lane = lanes(a.dtype)
    rows = rows_for(m)
    vectors = min(VECTORS[rows], -(-n // lane)) if rows == MOST_ROWS else VECTORS[rows]
    width = vectors * lane
    # b: whole vectors are read, so a narrow one is copied with room behind its rows; a transposed one is turned round
    pitch = n
    if n < width or (b.ndim == 2 and not b.flags.c_contiguous):
        pitch = max(n, width)
        wide = (buffers.zeros if n < pitch else buffers.empty)((*b.shape[:-2], depth, pitch), a.dtype)
        if b.ndim == 2 and b.flags.f_contiguous and not b.flags.c_contiguous:
            threads.split(_transpose, -(-depth // _BLOCK), b.T, wide, work=4 * b.size)  # scattered writes
        else:
            wide[..., :n] = b
        b = wide
    b = np.ascontiguousarray(b)
    batch = y.size // (m * n)
    items = batch * -(-n // width) * -(-m // rows)
    sums = buffers.empty((threads.pieces_of(items), rows * width), a.dtype)
    threads.split(
        _product, items, a.reshape(-1), _offsets(a, lead), a_row, a_step, b.reshape(-1), _offsets(b, lead),
        _rows_table(depth, pitch), bias, y.reshape(batch, m, n), sums, rows, vectors,
        work=y.size * depth // threads.MULTIPLY_ADDS,
    )  # fmt: skip
    return y


def _offsets(x: np.ndarray, lead: tuple[int, ...]) -> np.ndarray:
    """Return where each matrix of the broadcast batch begins in the contiguous x."""
    if x.ndim == 2 and len(lead) == 0:
        return _zeros(1, "q")
    count, size = math.prod(x.shape[:-2]), x.shape[-2] * x.shape[-1]
    numbers = np.arange(count, dtype=np.int64).reshape(x.shape[:-2]) * size
    return np.ascontiguousarray(np.broadcast_to(numbers, lead)).reshape(-1)


def linear(x: np.ndarray, w: np.ndarray, b: np.ndarray | None = None) -> np.ndarray:
    """Return y (N, O) = x (N, I) @ w.T + b for w (O, I) and b (O,) or None."""
    (n, depth), o = x.shape, w.shape[0]
    if not 0 < n <= INNER_ROWS or not w.size:
        return matmul(x, w.T, b)
    # For a few rows turning w round would cost more than the product: both are read along the depth instead.
    y = np.empty((n, o), x.dtype)
    blocks = -(-o // INNER_TAPS)
    b = _zeros(o, x.dtype.char) if b is None else np.ascontiguousarray(b)
    acc = np.empty((threads.pieces_of(blocks) * INNER_ROWS * INNER_TAPS, lanes(x.dtype)), x.dtype)
    table = _last_repeated(o, depth)
    x, w = np.ascontiguousarray(x), np.ascontiguousarray(w)
    threads.split(_dots, blocks, x, w, table, b, y, acc, work=n * w.size // threads.MULTIPLY_ADDS)
    return y


@lru_cache(maxsize=256)
def _last_repeated(rows: int, pitch: int) -> np.ndarray:
    """Return where each row begins, up to a whole number of taps by repeating the last."""
    return np.minimum(np.arange(-(-rows // INNER_TAPS) * INNER_TAPS, dtype=np.int64), rows - 1) * pitch
