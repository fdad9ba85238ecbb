"""Planes copied into others at an offset: arrays side by side, cut apart, and with something around them."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
from numpy import ndarray

from tinygrad_cnn.kernels import buffers
from tinygrad_cnn.kernels.compile import kernel
from tinygrad_cnn.kernels.threads import split

Widths = Sequence[tuple[int, int]]


@kernel
def _place(
    x: ndarray, y: ndarray, top: int, left: int, around: bool, value: float, start: int, stop: int
) -> None:  # fmt: skip
    """Copy what of x (N, H, W) meets rows start..stop of y (N, OH, OW); x begins at (top, left) of y."""
    first, last = max(left, 0), min(left + x.shape[2], y.shape[2])
    fill = x.dtype.type(value)
    for i in range(start, stop):
        n, o = divmod(i, y.shape[1])
        result = y[n, o]
        if first >= last or o < top or o >= top + x.shape[1]:
            if around:
                result[:] = fill
            continue
        copied, row = result[first:last], x[n, o - top, first - left :]
        for j in range(len(copied)):  # indices from 0 on: the loop becomes vector code
            copied[j] = row[j]
        if around:
            for j in range(first):
                result[j] = fill
            for j in range(last, len(result)):
                result[j] = fill


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
    result = y.reshape(outer, 1, prod(shape[axis:]))
    for x in arrays:
        run = np.ascontiguousarray(x).reshape(outer, 1, prod(x.shape[axis:]))
        split(_place, outer, run, result, 0, at, False, 0.0, work=x.size)
        at += run.shape[2]
    return y


def cut(x: ndarray, axis: int, start: int, stop: int) -> ndarray:
    """Return a copy of x[start:stop] along an axis, of a float array.

    >>> cut(np.arange(6.0).reshape(2, 3), 1, 1, 3)
    array([[1., 2.],
           [4., 5.]])
    """
    y = buffers.empty((*x.shape[:axis], stop - start, *x.shape[axis + 1 :]), x.dtype)
    outer, inner = prod(x.shape[:axis]), prod(x.shape[axis + 1 :])
    planes = np.ascontiguousarray(x).reshape(outer, 1, x.shape[axis] * inner)
    split(_place, outer, planes, y.reshape(outer, 1, -1), 0, -start * inner, False, 0.0, work=y.size)
    return y


def pad(x: ndarray, rows: tuple[int, int], columns: tuple[int, int], value: float) -> ndarray:
    """Return planes x (N, H, W) with rows before and after, and columns; negative numbers cut off.

    >>> pad(np.ones((1, 1, 2)), (0, 1), (1, -1), 7.0)
    array([[[7., 1.],
            [7., 7.]]])
    """
    n, height, width = x.shape
    y = buffers.empty((n, height + sum(rows), width + sum(columns)), x.dtype)
    split(_place, n * y.shape[1], np.ascontiguousarray(x), y, rows[0], columns[0], True, float(value), work=y.size)
    return y
