"""Runs of numbers copied into other arrays: arrays side by side, cut apart, and planes with something around them."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
from numpy import ndarray

from tinygrad_cnn.kernels import buffers
from tinygrad_cnn.kernels.compile import kernel
from tinygrad_cnn.kernels.threads import PIECES, split
from tinygrad_cnn.kernels.tile import lanes
from tinygrad_cnn.kernels.vector import load, stream

# Of arrays this large, in bytes, nothing is left in the caches when they are read.
_FAR = 2**22


@kernel
def _runs(
    x: ndarray, x_at: int, y: ndarray, y_at: int, length: int, parts: int, lane: int, start: int, stop: int
) -> None:  # fmt: skip
    """Copy a run of each row of x (M, K), in so many parts, to the same row of y (M, L), from their columns on.

    Where ``lane`` is not 0, vectors of so many numbers go past the caches.
    """
    for i in range(start, stop):
        row, part = i // parts, i % parts
        begin, end = length * part // parts, length * (part + 1) // parts
        source, target = x[row, x_at + begin : x_at + end], y[row, y_at + begin : y_at + end]
        head, vectors = len(target), 0  # numbers up to the first address for a vector, and how many vectors follow
        if lane > 0:
            head = min(-target.ctypes.data // target.itemsize % lane, len(target))
            vectors = (len(target) - head) // lane
        for j in range(head):  # indices from 0 on: the loop becomes vector code
            target[j] = source[j]
        for j in range(head, head + vectors * lane, max(lane, 1)):
            stream(load(source, j, 0, 64, 0.0), target, j)
        for j in range(head + vectors * lane, len(target)):
            target[j] = source[j]


def _copy_rows(x: ndarray, x_at: int, y: ndarray, y_at: int, length: int) -> None:
    parts = 1 if len(x) >= PIECES else PIECES
    lane = lanes(x.dtype) if max(x.nbytes, y.nbytes) >= _FAR else 0
    split(_runs, len(x) * parts, x, x_at, y, y_at, length, parts, lane, work=len(x) * length)


def cat(arrays: Sequence[ndarray], axis: int) -> ndarray:
    """Return arrays of one float dtype side by side.

    >>> cat([np.zeros((2, 1)), np.ones((2, 2))], 1)
    array([[0., 1., 1.],
           [0., 1., 1.]])
    """
    shape = list(arrays[0].shape)
    shape[axis] = sum(x.shape[axis] for x in arrays)
    y = buffers.empty(shape, arrays[0].dtype)
    outer, at = prod(shape[:axis]), 0
    for x in arrays:
        run = prod(x.shape[axis:])
        _copy_rows(np.ascontiguousarray(x).reshape(outer, run), 0, y.reshape(outer, prod(shape[axis:])), at, run)
        at += run
    return y


def cut(x: ndarray, axis: int, start: int, stop: int) -> ndarray:
    """Return a copy of x[start:stop] along an axis, of a float array.

    >>> cut(np.arange(6.0).reshape(2, 3), 1, 1, 3)
    array([[1., 2.],
           [4., 5.]])
    """
    y = buffers.empty((*x.shape[:axis], stop - start, *x.shape[axis + 1 :]), x.dtype)
    outer, inner = prod(x.shape[:axis]), prod(x.shape[axis + 1 :])
    run = (stop - start) * inner
    rows = np.ascontiguousarray(x).reshape(outer, x.shape[axis] * inner)
    _copy_rows(rows, start * inner, y.reshape(outer, run), 0, run)
    return y


@kernel
def _pad(x: ndarray, y: ndarray, top: int, left: int, around: bool, value: float, start: int, stop: int) -> None:
    first, fill = max(left, 0), x.dtype.type(value)
    last = max(min(left + x.shape[2], y.shape[2]), first)
    for n in range(start, stop):
        if around:
            plane = y[n].reshape(y.shape[1] * y.shape[2])
            for i in range(len(plane)):
                plane[i] = fill
        for h in range(max(-top, 0), min(x.shape[1], y.shape[1] - top)):
            source, target = x[n, h, first - left :], y[n, h + top, first:last]
            for j in range(len(target)):
                target[j] = source[j]


def pad(x: ndarray, rows: tuple[int, int], columns: tuple[int, int], value: float) -> ndarray:
    """Return planes x (N, H, W) with rows before and after, and columns; negative numbers cut off.

    >>> pad(np.ones((1, 1, 2)), (0, 1), (1, -1), 7.0)
    array([[[7., 1.],
            [7., 7.]]])
    """
    n, height, width = x.shape
    y = buffers.empty((n, height + sum(rows), width + sum(columns)), x.dtype)
    around = max(*rows, *columns) > 0
    split(_pad, n, np.ascontiguousarray(x), y, rows[0], columns[0], around, float(value), work=y.size)
    return y
