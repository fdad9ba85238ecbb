"""Copies of arrays whose axes were put into another order.

NumPy walks such an array element by element in one thread. Where it is no more than a contiguous array with its axes
exchanged, as after `permute`, the copy is written from its beginning to its end by all threads.
"""

from __future__ import annotations

from math import prod

import numpy as np
from numpy import ndarray

from tinygrad_cnn.kernels import buffers
from tinygrad_cnn.kernels.compile import kernel
from tinygrad_cnn.kernels.threads import SERIAL_BELOW, split

_AXES = 5  # of the copy, when axes that lie together in both orders are joined
_DTYPES = np.dtype(np.float32), np.dtype(np.float64)


@kernel
def _permute(x: ndarray, sizes: ndarray, steps: ndarray, y: ndarray, start: int, stop: int) -> None:
    """Write the planes start..stop, a plane being the last two axes of y; along its axes one goes ``steps`` in x.

    The inner loop goes along a row of y, or along a column where rows are short.
    """
    rows, columns = sizes[3], sizes[4]
    lines, length, apart, step, down, right = rows, columns, steps[3], steps[4], columns, 1
    if columns < min(rows, 8):
        lines, length, apart, step, down, right = columns, rows, steps[4], steps[3], 1, columns
    for plane in range(start, stop):
        rest, k = divmod(plane, sizes[2])
        i, j = divmod(rest, sizes[1])
        first, target = i * steps[0] + j * steps[1] + k * steps[2], plane * rows * columns
        for line in range(lines):
            here, there = x[first + line * apart :], y[target + line * down :]
            if step == right == 1:
                for w in range(length):
                    there[w] = here[w]
            else:
                for w in range(length):  # an unsigned index is not looked at whether it counts from the end
                    there[np.uint64(w * right)] = here[np.uint64(w * step)]


def contiguous(x: ndarray) -> ndarray:
    """Return x in C order: x itself where it is, else a copy.

    >>> contiguous(np.arange(6).reshape(2, 3).T)
    array([[0, 3],
           [1, 4],
           [2, 5]])
    """
    if x.flags.c_contiguous:
        return x
    whole = x.transpose(sorted(range(x.ndim), key=lambda axis: -x.strides[axis]))
    axes: list[list[int]] = []  # size and step of each, joined from the last one on
    for size, stride in zip(reversed(x.shape), reversed(x.strides), strict=True):
        step = stride // x.itemsize
        if size > 1 and axes and step == axes[-1][0] * axes[-1][1]:
            axes[-1][0] *= size
        elif size > 1:
            axes.append([size, step])
    if x.size < SERIAL_BELOW or len(axes) > _AXES or x.dtype not in _DTYPES or not whole.flags.c_contiguous:
        return np.ascontiguousarray(x)
    sizes, steps = np.array([[1, 0]] * (_AXES - len(axes)) + axes[::-1], np.int64).T.copy()
    y = buffers.empty(x.shape, x.dtype)
    split(_permute, prod(sizes[:3].tolist()), whole.reshape(-1), sizes, steps, y.reshape(-1), work=x.size)
    return y
