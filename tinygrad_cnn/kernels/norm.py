"""Batch normalisation of (N, C, S), one channel at a time, with statistics and arithmetic in float64.

The arrays are read from memory in their own dtype, so float64 arithmetic costs nothing where memory is the limit, and a
channel with mean 10,000 and variance 1 keeps its digits.
"""

from __future__ import annotations

import numpy as np
from numpy import ndarray

from tinygrad_cnn.kernels import buffers
from tinygrad_cnn.kernels.compile import kernel
from tinygrad_cnn.kernels.threads import split


@kernel(writes="mean var", reassoc=True)
def _statistics(x: ndarray, mean: ndarray, var: ndarray, start: int, stop: int) -> None:
    batch, _, length = x.shape
    count = batch * length
    for c in range(start, stop):
        first = float(x[0, c, 0]) if count > 0 else 0.0
        total, squares = 0.0, 0.0
        for n in range(batch):
            values = x[n, c]
            for s in range(length):
                distance = values[s] - first
                total += distance
                squares += distance * distance
        mean[c], var[c] = first + total / count, squares / count - (total / count) * (total / count)


def batch_norm_statistics(x: ndarray) -> tuple[ndarray, ndarray]:
    """Return mean and biased variance of every channel of x (N, C, S), both float64 of shape (C,).

    In one pass, E[d**2] - E[d]**2 with d = x - x[0], which hardly cancels: where x[0] lies far from the mean, the
    variance is large, for x[0] has a share in it.

    >>> batch_norm_statistics(np.array([[[1.0, 3.0]]]))
    (array([2.]), array([1.]))
    """
    mean, var = np.empty(x.shape[1]), np.empty(x.shape[1])
    split(_statistics, len(mean), np.ascontiguousarray(x), mean, var, work=2 * x.size)
    return mean, var


@kernel
def _scale_shift(x: ndarray, scale: ndarray, shift: ndarray, y: ndarray, start: int, stop: int) -> None:
    channels = x.shape[1]
    for row in range(start, stop):
        n, c = row // channels, row % channels
        a, b = scale[c], shift[c]
        values, results = x[n, c], y[n, c]
        for s in range(len(results)):
            results[s] = values[s] * a + b


def scale_shift(x: ndarray, scale: ndarray, shift: ndarray) -> ndarray:
    """Return x * scale[c] + shift[c] for every channel c of x (N, C, S), computed in float64."""
    y = buffers.empty(x.shape, x.dtype)
    scale, shift = np.ascontiguousarray(scale, np.float64), np.ascontiguousarray(shift, np.float64)
    split(_scale_shift, x.shape[0] * x.shape[1], np.ascontiguousarray(x), scale, shift, y, work=x.size)
    return y


def scale_and_shift(gamma: ndarray, beta: ndarray, mean: ndarray, var: ndarray, eps: float) -> tuple[ndarray, ndarray]:
    """Return the float64 scale and shift that batch normalisation with these statistics amounts to, both (C,)."""
    scale = gamma / np.sqrt(np.asarray(var, np.float64) + eps)
    return scale, beta - mean * scale


def batch_norm(x: ndarray, gamma: ndarray, beta: ndarray, mean: ndarray, var: ndarray, eps: float) -> ndarray:
    """Return gamma * (x - mean) / sqrt(var + eps) + beta for x (N, C, S) and four arrays (C,).

    Source: Ioffe and Szegedy, "Batch Normalization" (2015).
    """
    return scale_shift(x, *scale_and_shift(gamma, beta, mean, var, eps))


@kernel(writes="gx ggamma gbeta", reassoc=True)
def _batch_norm_grad(
    gy: ndarray, x: ndarray, scale: ndarray, mean: ndarray, deviation: ndarray, gx: ndarray, ggamma: ndarray,
    gbeta: ndarray, start: int, stop: int,
) -> None:  # fmt: skip
    batch, _, length = x.shape
    for c in range(start, stop):
        centre = mean[c]
        total, product = 0.0, 0.0
        for n in range(batch):
            gradients, values = gy[n, c], x[n, c]
            for s in range(length):
                total += gradients[s]
                product += gradients[s] * (values[s] - centre)
        gbeta[c], ggamma[c] = total, product / deviation[c]
        # gx = scale * (gy - mean of gy - xhat * mean of gy*xhat), with xhat = (x - mean) / deviation
        a = scale[c]
        b = -a * product / (deviation[c] * deviation[c] * batch * length)
        near = x.dtype.type(centre)  # the distance from it is exact, or as good as x itself
        shift = -a * total / (batch * length) - b * (centre - near)
        for n in range(batch):
            gradients, values, results = gy[n, c], x[n, c], gx[n, c]
            for s in range(length):
                results[s] = a * gradients[s] + (b * (values[s] - near) + shift)


def batch_norm_grad(
    gy: ndarray, x: ndarray, gamma: ndarray, mean: ndarray, var: ndarray, eps: float
) -> tuple[ndarray, ndarray, ndarray]:
    """Return (gx, ggamma, gbeta) of batch normalisation in training, where mean and var are those of x itself."""
    gx, ggamma, gbeta = buffers.empty(x.shape, x.dtype), np.empty(x.shape[1], x.dtype), np.empty(x.shape[1], x.dtype)
    deviation = np.sqrt(np.asarray(var, np.float64) + eps)
    scale, mean = gamma / deviation, np.ascontiguousarray(mean, np.float64)
    arrays = np.ascontiguousarray(gy), np.ascontiguousarray(x), scale, mean, deviation, gx, ggamma, gbeta
    split(_batch_norm_grad, len(mean), *arrays, work=2 * x.size)
    return gx, ggamma, gbeta
