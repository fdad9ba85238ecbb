"""Softmax and log-softmax along one axis, and their gradients.

Every array is seen as (outer, axis, inner). Each kernel comes twice: *rows* where the axis is the last one, and
*columns*, which walks along ``inner`` so that its loops, too, run over neighbouring numbers. Sums run in float64; those
of rows add up short blocks in the dtype of x, for a loop that mixes float32 and float64 handles half as much at a time.
"""

from __future__ import annotations

import math

import numpy as np
from numpy import ndarray

from tinygrad_cnn.kernels import buffers
from tinygrad_cnn.kernels.activation import decay
from tinygrad_cnn.kernels.compile import Kernel, device, kernel
from tinygrad_cnn.kernels.threads import split
from tinygrad_cnn.kernels.tile import LONGEST_CHAIN, VECTOR_BYTES
from tinygrad_cnn.kernels.vector import highest, load, pick, wins


def _along_axis(rows: Kernel, columns: Kernel, arrays: tuple[ndarray, ...], axis: int, log: bool) -> ndarray:
    """Run the unit of work that suits the axis."""
    shape = arrays[0].shape
    axis %= len(shape)
    outer, length, inner = math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])
    y = buffers.empty(shape, arrays[0].dtype)
    if y.size:
        unit, view = (rows, (outer, length)) if inner == 1 else (columns, (outer, length, inner))
        views = [np.ascontiguousarray(x).reshape(view) for x in arrays]
        split(unit, outer, *views, y.reshape(view), log, work=8 * y.size)
    return y


@device
def largest_of(x: ndarray) -> float:
    """Return the largest number of x (C,), by whole vectors: a loop over numbers costs more than the rest."""
    width = VECTOR_BYTES // x.itemsize
    best = load(x, 0, 0, len(x), -np.inf)
    for i in range(width, len(x), width):
        more = load(x, min(i, len(x) - width), 0, width, -np.inf)  # the last one overlaps: no lane is ever left out
        best = pick(wins(more, best), more, best)
    return highest(best)


@kernel(reassoc=True)
def _softmax_rows(x: ndarray, y: ndarray, log: bool, start: int, stop: int) -> None:
    zero = x.dtype.type(0)
    for row in range(start, stop):
        values, results = x[row], y[row]
        largest = largest_of(values)
        total = 0.0
        for first in range(0, len(values), LONGEST_CHAIN):
            block, filled, part = values[first : first + LONGEST_CHAIN], results[first : first + LONGEST_CHAIN], zero
            for i in range(len(filled)):
                filled[i] = decay(block[i] - largest)
            # A loop that wrote too would add up in another order where y lies so close to x that they might overlap.
            for i in range(len(filled)):
                part += filled[i]
            total += part
        if log:
            shift = x.dtype.type(math.log(total))
            for i in range(len(values)):
                results[i] = (values[i] - largest) - shift
        else:
            scale = x.dtype.type(1 / total)
            for i in range(len(values)):
                results[i] *= scale


@kernel
def _softmax_columns(x: ndarray, y: ndarray, log: bool, start: int, stop: int) -> None:
    _, length, inner = x.shape
    largest, total = np.empty(inner, x.dtype), np.empty(inner)
    for n in range(start, stop):
        for s in range(inner):
            largest[s], total[s] = x[n, 0, s], 0
        for i in range(length):
            values = x[n, i]
            for s in range(inner):
                largest[s] = values[s] if values[s] > largest[s] else largest[s]
        for i in range(length):
            values, results = x[n, i], y[n, i]
            for s in range(inner):
                results[s] = decay(values[s] - largest[s])
                total[s] += results[s]
        for s in range(inner):
            total[s] = math.log(total[s]) if log else 1 / total[s]
        for i in range(length):
            values, results = x[n, i], y[n, i]
            for s in range(inner):
                results[s] = (values[s] - largest[s]) - total[s] if log else results[s] * total[s]


def softmax(x: ndarray, axis: int) -> ndarray:
    """Return e**x / sum(e**x) along the axis, with the maximum subtracted first; a vector of only -inf gives NaN.

    >>> softmax(np.array([[0.0, 0.0, -np.inf]]), 1)
    array([[0.5, 0.5, 0. ]])
    """
    return _along_axis(_softmax_rows, _softmax_columns, (x,), axis, False)


def log_softmax(x: ndarray, axis: int) -> ndarray:
    """Return x - log(sum(e**x)) along the axis, without overflow."""
    return _along_axis(_softmax_rows, _softmax_columns, (x,), axis, True)


@kernel(writes="gx", reassoc=True)
def _softmax_grad_rows(gy: ndarray, y: ndarray, gx: ndarray, log: bool, start: int, stop: int) -> None:
    zero, one = gy.dtype.type(0), gy.dtype.type(1)
    for row in range(start, stop):
        gradients, values, results = gy[row], y[row], gx[row]
        total = 0.0
        for first in range(0, len(values), LONGEST_CHAIN):
            g, v, part = gradients[first : first + LONGEST_CHAIN], values[first : first + LONGEST_CHAIN], zero
            for i in range(len(v)):
                part += g[i] * (one if log else v[i])
            total += part
        shift = gy.dtype.type(total)
        if log:
            for i in range(len(values)):
                results[i] = gradients[i] - decay(values[i]) * shift
        else:
            for i in range(len(values)):
                results[i] = values[i] * (gradients[i] - shift)


@kernel(writes="gx")
def _softmax_grad_columns(gy: ndarray, y: ndarray, gx: ndarray, log: bool, start: int, stop: int) -> None:
    _, length, inner = gy.shape
    one = gy.dtype.type(1)
    total = np.empty(inner)
    for n in range(start, stop):
        total[:] = 0
        for i in range(length):
            gradients, values = gy[n, i], y[n, i]
            for s in range(inner):
                total[s] += gradients[s] * (one if log else values[s])
        for i in range(length):
            gradients, values, results = gy[n, i], y[n, i], gx[n, i]
            for s in range(inner):
                shift = gy.dtype.type(total[s])
                if log:
                    results[s] = gradients[s] - decay(values[s]) * shift
                else:
                    results[s] = values[s] * (gradients[s] - shift)


def softmax_grad(gy: ndarray, y: ndarray, axis: int) -> ndarray:
    """Return y * (gy - sum(gy * y)), where y is the result of softmax along the axis."""
    return _along_axis(_softmax_grad_rows, _softmax_grad_columns, (gy, y), axis, False)


def log_softmax_grad(gy: ndarray, y: ndarray, axis: int) -> ndarray:
    """Return gy - e**y * sum(gy), where y is the result of log_softmax along the axis."""
    return _along_axis(_softmax_grad_rows, _softmax_grad_columns, (gy, y), axis, True)
