"""The fully connected layer, y = x w^T + b, and its gradients.

For a few rows of x, as when one image is classified, packing and turning the weight would cost more than the products:
it is read once, from end to end, and written once. More rows lie side by side in the lanes of a vector: a block of x is
turned, the weight is read number by number where it stands, and the block of y is turned back. A launch like that finds
all gradients too, while the weight stays in the cache; else they are products of matrices (gemm.py).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy import ndarray

from tinygrad_cnn.kernels import activation, buffers, reduce, threads
from tinygrad_cnn.kernels.compile import kernel
from tinygrad_cnn.kernels.gemm import LONG_ROWS, last_repeated, matmul, rows_table
from tinygrad_cnn.kernels.tile import (
    INNER_ROWS,
    INNER_TAPS,
    LONGEST_CHAIN,
    MOST_ROWS,
    VECTORS,
    inner_tile,
    lanes,
    outer_tile,
)
from tinygrad_cnn.kernels.tile_pixels import turn

# So many columns of the weight at a time: the part of gx that they add to stays in the first cache.
_COLUMNS = 256
# Larger weights, in numbers, would be read a few columns at a time too slowly.
_LARGEST = 2**18
# Columns of y at a time where there are few blocks of rows: turning x again for the next ones does not show.
_CHUNK = 64


@kernel(writes="y acc")
def _dots(
    x: ndarray, w: ndarray, table: ndarray, b: ndarray, y: ndarray, acc: ndarray, relu: bool, start: int, stop: int
) -> None:
    """y[n, o] = x[n] . w[o] + b[o] for a few rows of x and the blocks start..stop of rows of w; its ReLU, if asked."""
    rows, depth = x.shape
    o_size, width = w.shape[0], acc.shape[1]
    whole, zero = depth // width, x.dtype.type(0)
    piece = threads.piece_at(start, (o_size + INNER_TAPS - 1) // INNER_TAPS) * INNER_ROWS * INNER_TAPS
    for block in range(start, stop):
        first = block * INNER_TAPS
        taps = min(INNER_TAPS, o_size - first)
        for n in range(rows):
            for o in range(first, first + taps):
                y[n, o] = b[o]
                for k in range(whole * width, depth):
                    y[n, o] += x[n, k] * w[o, k]
        for s in range(0, whole, LONGEST_CHAIN):
            acc[piece : piece + rows * INNER_TAPS] = 0
            steps = min(LONGEST_CHAIN, whole - s)
            inner_tile(x, s * width, depth, w, s * width, table, first, steps, acc, piece * width, rows)
            for n in range(rows):
                for t in range(taps):
                    y[n, first + t] += acc[piece + n * INNER_TAPS + t].sum()
        if relu:
            for n in range(rows):
                for o in range(first, first + taps):
                    y[n, o] = zero if y[n, o] <= zero else y[n, o]


@kernel(writes="gx gw gb")
def _gradients(
    gy: ndarray, x: ndarray, w: ndarray, gx: ndarray, gw: ndarray, gb: ndarray, gated: bool, start: int, stop: int
) -> None:
    """Compute the columns of gx and gw in the blocks start..stop, and with the first block gb; what is empty is not."""
    (rows, o_size), depth, zero = gy.shape, max(gx.shape[1], gw.shape[1]), gy.dtype.type(0)
    for block in range(start, stop):
        low, high = block * _COLUMNS, min((block + 1) * _COLUMNS, depth)
        for n in range(rows):
            if gx.size:
                total = gx[n, low:high]
                total[:] = 0
                for o in range(o_size):
                    factor, part = gy[n, o], w[o, low:high]
                    for k in range(len(total)):
                        total[k] += factor * part[k]
                if gated:
                    gate = x[n, low:high]
                    for k in range(len(total)):
                        total[k] = zero if gate[k] <= zero else total[k]
            for o in range(o_size if gw.size else 0):
                factor, part, x_part = gy[n, o], gw[o, low:high], x[n, low:high]
                for k in range(len(part)):
                    part[k] = factor * x_part[k] if n == 0 else part[k] + factor * x_part[k]
        for o in range(len(gb) if block == 0 else 0):
            bias = 0.0
            for n in range(rows):
                bias += gy[n, o]
            gb[o] = bias


@kernel(writes="y gw gb room")
def _blocks(
    x: ndarray, w: ndarray, x_rows: ndarray, y_rows: ndarray, depths: ndarray, b: ndarray, given: ndarray, y: ndarray,
    gw: ndarray, gb: ndarray, room: ndarray, row: int, step: int, size: int, blocks: int, chunks: int, relu: bool,
    start: int, stop: int,
) -> None:  # fmt: skip
    """Compute y = x @ w (+ b), where w[k, o] is number o * row + k * step, or the ReLU of it.

    For gradients x is gy, y is gx, and ``given`` the layer's own x: the ReLU lets pass what it does there. Further
    items, as many as blocks of rows, add up gw and gb (float64). What is empty is not computed.
    """
    (rows, depth), o_size, lane, zero = x.shape, max(y.shape[1], gw.shape[1]), room.shape[1], x.dtype.type(0)
    before = blocks * chunks if y.size else 0
    at = threads.piece_at(start, before + (blocks if gw.size + len(gb) else 0)) * size
    out = at + (depth + lane - 1) // lane * lane
    for item in range(start, min(stop, before)):
        block, chunk = divmod(item, chunks)
        low, high = o_size * chunk // chunks, o_size * (chunk + 1) // chunks
        for k in range(0, depth, lane):
            turn(x, k, x_rows, block * lane, room, (at + k) * lane, depths, 0, min(lane, depth - k), lane)
        for first in range(low, high, MOST_ROWS):
            o = min(first, high - MOST_ROWS)
            for k in range(0, depth, LONGEST_CHAIN):
                outer_tile(
                    w, o * row + k * step, row, step, room, at * lane, depths, k, min(LONGEST_CHAIN, depth - k), room,
                    (out + o) * lane, lane, MOST_ROWS, 1, k > 0,
                )  # fmt: skip
        for o in range(low, high, lane):
            turn(room, (out + o) * lane, depths, 0, y, o, y_rows, block * lane, lane, min(lane, high - o))
        plus = b[low:high]
        for n in range(block * lane, min((block + 1) * lane, rows)):
            line, gate = y[n, low:high], given[min(n, len(given) - 1), low:high]
            for o in range(len(plus)):
                line[o] += plus[o]
            for o in range(len(gate) if relu else 0):
                line[o] = zero if gate[o] <= zero else line[o]
            for o in range(len(line) if relu and given.size == 0 else 0):
                line[o] = zero if line[o] <= zero else line[o]
    width = VECTORS[MOST_ROWS] * lane
    panels = (o_size + width - 1) // width
    tiles = (depth + MOST_ROWS - 1) // MOST_ROWS * panels if gw.size else 0
    for item in range(max(start - before, 0), stop - before):
        for tile in range(tiles * item // blocks, tiles * (item + 1) // blocks):  # the last ones overlap
            k, o = min(tile // panels * MOST_ROWS, depth - MOST_ROWS), tile % panels * width
            vectors = (min(width, o_size - o) + lane - 1) // lane
            o = min(o, o_size - vectors * lane)
            outer_tile(x, k, 1, depth, given, o, y_rows, 0, rows, gw, k * o_size + o, o_size, MOST_ROWS, vectors, False)
        low, high = len(gb) * item // blocks, len(gb) * (item + 1) // blocks
        sums = gb[low:high]
        for n in range(rows):
            factors = x[n, low:high]
            for k in range(len(sums)):
                sums[k] += factors[k]


def _tiles(n: int, o: int, depth: int, dtype: np.dtype) -> bool:
    """Say whether gradients fill tiles, most lanes of them, and w is read by columns without meeting in the cache."""
    lane = lanes(dtype)
    fits = o >= MOST_ROWS and VECTORS[MOST_ROWS] * lane <= depth < LONG_ROWS // dtype.itemsize
    return fits and n <= LONGEST_CHAIN and 4 * n >= 3 * -(-n // lane) * lane


def _launch(
    x: ndarray, w: ndarray, b: ndarray, given: ndarray, y: ndarray, gw: ndarray, sums: int, row: int, step: int,
    relu: bool,
) -> ndarray:  # fmt: skip
    """Run `_blocks` and return so many sums of gb."""
    (n, depth), lane, o, gb = x.shape, lanes(x.dtype), max(y.shape[1], gw.shape[1]), np.zeros(sums)
    blocks, products, parts = -(-n // lane), y.size > 0, gw.size + sums > 0
    chunks = 1 if parts else max(1, min(threads.PIECES // blocks, o // _CHUNK))
    count, size = (products * chunks + parts) * blocks, (-(-depth // lane) + -(-o // lane)) * lane
    room = buffers.empty((threads.pieces_of(count) * size, lane), x.dtype)
    tables = *(last_repeated(n, pitch, blocks * lane) for pitch in (depth, o)), rows_table(max(depth, lane), lane)
    threads.split(
        _blocks, count, x, w.reshape(-1), *tables, b, given, y, gw, gb, room, row, step, size, blocks, chunks, relu,
        work=n * depth * o // 2,
    )  # fmt: skip
    return gb


def linear(x: ndarray, w: ndarray, b: ndarray | None = None, relu: bool = False) -> ndarray:
    """Return y (N, O) = x (N, I) @ w.T + b for w (O, I) and b (O,) or None; or its ReLU."""
    (n, depth), o = x.shape, w.shape[0]
    if 0 < n <= INNER_ROWS and w.size:
        y = np.empty((n, o), x.dtype)
        blocks = -(-o // INNER_TAPS)
        b = np.zeros(o, x.dtype) if b is None else np.ascontiguousarray(b)
        acc = np.empty((threads.pieces_of(blocks) * INNER_ROWS * INNER_TAPS, lanes(x.dtype)), x.dtype)
        table = last_repeated(o, depth, blocks * INNER_TAPS)
        x, w = np.ascontiguousarray(x), np.ascontiguousarray(w)
        threads.split(_dots, blocks, x, w, table, b, y, acc, relu, work=n * w.size // threads.MULTIPLY_ADDS)
        return y
    if n and depth and o >= MOST_ROWS:
        y, none = buffers.empty((n, o), x.dtype), _nothing(x.dtype.char)
        b = none[0] if b is None else np.ascontiguousarray(b)
        _launch(np.ascontiguousarray(x), np.ascontiguousarray(w), b, none, y, none, 0, depth, 1, relu)
        return y
    y = matmul(x, w.T)
    y = y if b is None else np.add(y, b, out=y)
    return activation.relu(y) if relu else y


@lru_cache(maxsize=2)
def _nothing(dtype: str) -> ndarray:
    """Return what stands for an array that a launch has no use for, (1, 0)."""
    return np.empty((1, 0), dtype)


def gradients(
    gy: ndarray, x: ndarray | None, w: ndarray | None, wanted: tuple[bool, bool, bool], gated: bool = False
) -> tuple[ndarray | None, ndarray | None, ndarray | None]:
    """Return (gx, gw, gb) of `linear` for gy (N, O), each None where it is not wanted.

    Where x is the result of a ReLU, ``gated`` lets gx pass through that as well. Only gx needs w, only gw and the gate
    need x; what is not needed may be None.
    """
    (n, o), dtype = gy.shape, gy.dtype
    depth = (x if w is None else w).shape[1]  # type: ignore[union-attr]  # one of the two is there
    gx = gw = gb = None
    few = n <= INNER_ROWS and o <= LONGEST_CHAIN
    if n and 0 < o * depth <= _LARGEST and (few or _tiles(n, o, depth, dtype)):
        none, empty = _nothing(dtype.char), np.empty if few else buffers.empty
        gx = empty((n, depth), dtype) if wanted[0] else none
        gw = empty((o, depth), dtype) if wanted[1] else none
        gy, x, w = (none if v is None else np.ascontiguousarray(v) for v in (gy, x, w))
        if few:
            gb = np.empty(o, dtype) if wanted[2] else none[0]
            blocks = -(-depth // _COLUMNS)
            threads.split(_gradients, blocks, gy, x, w, gx, gw, gb, gated, work=n * o * depth // 2)
        else:
            gb = _launch(gy, w, none[0], x, gx, gw, o if wanted[2] else 0, 1, depth, gated and x.size > 0).astype(dtype)
        return gx if wanted[0] else None, gw if wanted[1] else None, gb if wanted[2] else None
    if wanted[0] and w is not None:
        gx = matmul(gy, w)
        gx = activation.relu_grad(gx, x) if gated and x is not None else gx
    if wanted[1] and x is not None:
        gw = matmul(gy.T, x)
    return gx, gw, reduce.rows_sum(gy) if wanted[2] else None
