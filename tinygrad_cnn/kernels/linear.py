"""The fully connected layer, y = x w^T + b, and its gradients.

Of many rows of x both are products of matrices (gemm.py). For a few rows, as when one image is classified, packing and
turning the weight would cost more than the products: it is read once, from end to end, and written once.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy import ndarray

from tinygrad_cnn.kernels import activation, reduce, threads
from tinygrad_cnn.kernels.compile import kernel
from tinygrad_cnn.kernels.gemm import last_repeated, matmul, transpose, zeros
from tinygrad_cnn.kernels.tile import INNER_ROWS, INNER_TAPS, LONGEST_CHAIN, inner_tile, lanes

# So many columns of the weight at a time: the part of gx that they add to stays in the first cache.
_COLUMNS = 256
# Larger weights, in numbers, would be read a few columns at a time too slowly.
_LARGEST = 2**18


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


def linear(x: ndarray, w: ndarray, b: ndarray | None = None, relu: bool = False) -> ndarray:
    """Return y (N, O) = x (N, I) @ w.T + b for w (O, I) and b (O,) or None; or its ReLU."""
    (n, depth), o = x.shape, w.shape[0]
    if 0 < n <= INNER_ROWS and w.size:
        y = np.empty((n, o), x.dtype)
        blocks = -(-o // INNER_TAPS)
        b = zeros(o, x.dtype.char) if b is None else np.ascontiguousarray(b)
        acc = np.empty((threads.pieces_of(blocks) * INNER_ROWS * INNER_TAPS, lanes(x.dtype)), x.dtype)
        table = last_repeated(o, depth, blocks * INNER_TAPS)
        x, w = np.ascontiguousarray(x), np.ascontiguousarray(w)
        threads.split(_dots, blocks, x, w, table, b, y, acc, relu, work=n * w.size // threads.MULTIPLY_ADDS)
        return y
    if w.size <= n * (depth + o):
        y = matmul(x, w.T, b)
    else:  # A large weight is read once, row by row; what is turned round instead is x and the result.
        y = transpose(matmul(np.ascontiguousarray(w), x.T))
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
    if 0 < n <= INNER_ROWS and o <= LONGEST_CHAIN and 0 < o * depth <= _LARGEST:
        none = _nothing(dtype.char)
        gx = np.empty((n, depth), dtype) if wanted[0] else none
        gw = np.empty((o, depth), dtype) if wanted[1] else none
        gb = np.empty(o, dtype) if wanted[2] else none[0]
        x, w = (none if v is None else np.ascontiguousarray(v) for v in (x, w))
        blocks = -(-depth // _COLUMNS)
        threads.split(_gradients, blocks, np.ascontiguousarray(gy), x, w, gx, gw, gb, gated, work=n * o * depth // 2)
        return gx if wanted[0] else None, gw if wanted[1] else None, gb if wanted[2] else None
    if wanted[0] and w is not None:
        gx = matmul(gy, w)
        gx = activation.relu_grad(gx, x) if gated and x is not None else gx
    if wanted[1] and x is not None:
        gw = matmul(gy.T, x)
    return gx, gw, reduce.rows_sum(gy) if wanted[2] else None
