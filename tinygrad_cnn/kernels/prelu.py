"""ReLU with a learned slope on the left, one for each channel of (N, C, S)."""

from __future__ import annotations

import numpy as np
from numpy import ndarray

from tinygrad_cnn.kernels import buffers
from tinygrad_cnn.kernels.compile import kernel
from tinygrad_cnn.kernels.threads import split


@kernel
def _prelu(x: ndarray, w: ndarray, y: ndarray, start: int, stop: int) -> None:
    zero = x.dtype.type(0)
    for row in range(start, stop):
        values, results, slope = x[row], y[row], w[row % len(w)]
        for s in range(len(results)):
            results[s] = values[s] if values[s] > zero else values[s] * slope


@kernel(writes="gx gw", reassoc=True)
def _prelu_grad(gy: ndarray, x: ndarray, w: ndarray, gx: ndarray, gw: ndarray, start: int, stop: int) -> None:
    zero = x.dtype.type(0)
    for row in range(start, stop):
        gradients, values, results, slope = gy[row], x[row], gx[row], w[row % len(w)]
        total = 0.0
        for s in range(len(results)):
            results[s] = gradients[s] if values[s] > zero else gradients[s] * slope
            total += zero if values[s] > zero else gradients[s] * values[s]
        gw[row] = total


def _rows(x: ndarray) -> ndarray:
    """(N, C, S) -> (N*C, S)"""
    return np.ascontiguousarray(x).reshape(x.shape[0] * x.shape[1], x.shape[2])


def prelu(x: ndarray, w: ndarray) -> ndarray:
    """Return x where it is positive and w[c] * x elsewhere, for x (N, C, S) and w (C,).

    >>> prelu(np.array([[[-1.0, 2.0]]]), np.array([0.1]))
    array([[[-0.1,  2. ]]])
    """
    y = buffers.empty(x.shape, x.dtype)
    split(_prelu, x.shape[0] * x.shape[1], _rows(x), np.ascontiguousarray(w), _rows(y), work=x.size)
    return y


def prelu_grad(gy: ndarray, x: ndarray, w: ndarray) -> tuple[ndarray, ndarray]:
    """Return gx (N, C, S), and gw (C,) in float64; at 0 the slope counts."""
    gx, gw = buffers.empty(x.shape, x.dtype), np.empty(x.shape[:2])
    arrays = _rows(gy), _rows(x), np.ascontiguousarray(w), _rows(gx), gw.reshape(-1)
    split(_prelu_grad, gw.size, *arrays, work=2 * x.size)
    return gx, gw.sum(0)
