"""Local response normalisation of (N, C, S): each number divided by a power of the squares of neighbouring channels.

    d[c] = k + scale * (sum of x[j]**2 over the channels j = c - before .. c + after that exist)
    y[c] = x[c] * d[c]**-beta

An index of the work is a strip of positions of one image: all its channels fit the cache. Loops run along the strip.
"""

from __future__ import annotations

import math

import numpy as np
from numpy import ndarray

from tinygrad_cnn.kernels import buffers
from tinygrad_cnn.kernels.compile import device, kernel
from tinygrad_cnn.kernels.threads import split

STRIP = 256


@device
def _power(d: ndarray, beta: float, result: ndarray) -> None:
    """Fill ``result`` with d**-beta; the exponent that everybody uses by square roots, which are vector code."""
    one = d.dtype.type(1)
    if beta == 0.75:
        for s in range(len(d)):
            result[s] = one / np.sqrt(d[s] * np.sqrt(d[s]))
    else:
        for s in range(len(d)):
            result[s] = d[s] ** d.dtype.type(-beta)


@kernel(writes="d y")
def _lrn(
    x: ndarray, d: ndarray, y: ndarray, before: int, after: int, scale: float, beta: float, k: float, start: int,
    stop: int,
) -> None:  # fmt: skip
    _, channels, length = x.shape
    strips = -(-length // STRIP)
    real = x.dtype.type
    scale, k = real(scale), real(k)
    for index in range(start, stop):
        n, left = index // strips, index % strips * STRIP
        right = min(left + STRIP, length)
        for c in range(channels):
            sums, values, results = d[n, c, left:right], x[n, c, left:right], y[n, c, left:right]
            sums[:] = k
            for j in range(max(0, c - before), min(channels, c + after + 1)):
                near = x[n, j, left:right]
                for s in range(len(sums)):
                    sums[s] += scale * near[s] * near[s]
            _power(sums, beta, results)
            for s in range(len(sums)):
                results[s] *= values[s]


def local_response_norm(
    x: ndarray, before: int, after: int, scale: float, beta: float, k: float
) -> tuple[ndarray, ndarray]:
    """Return y and d, as in the formula above, for x (N, C, S).

    >>> y, d = local_response_norm(np.ones((1, 3, 1)), 1, 1, 1.0, 1.0, 0.0)
    >>> d.ravel()
    array([2., 3., 2.])
    """
    y, d = buffers.empty(x.shape, x.dtype), buffers.empty(x.shape, x.dtype)
    arrays = np.ascontiguousarray(x), d, y
    work = (4 + before + after) * x.size
    split(_lrn, _strips(x), *arrays, before, after, float(scale), float(beta), float(k), work=work)
    return y, d


@kernel(writes="gx")
def _lrn_grad(
    gy: ndarray, x: ndarray, d: ndarray, gx: ndarray, before: int, after: int, scale: float, beta: float, start: int,
    stop: int,
) -> None:  # fmt: skip
    _, channels, length = x.shape
    strips = -(-length // STRIP)
    factor = x.dtype.type(2 * scale * beta)
    shares = np.empty((channels, STRIP), x.dtype)  # gy * x * d**(-beta - 1)
    for index in range(start, stop):
        n, left = index // strips, index % strips * STRIP
        right = min(left + STRIP, length)
        for c in range(channels):
            gradients, values = gy[n, c, left:right], x[n, c, left:right]
            sums, results, share = d[n, c, left:right], gx[n, c, left:right], shares[c]
            _power(sums, beta, results)
            for s in range(len(sums)):
                results[s] *= gradients[s]
                share[s] = results[s] * values[s] / sums[s]
        for c in range(channels):
            values, results = x[n, c, left:right], gx[n, c, left:right]
            for j in range(max(0, c - after), min(channels, c + before + 1)):  # whose windows hold channel c
                share = shares[j]
                for s in range(len(values)):
                    results[s] -= factor * values[s] * share[s]


def local_response_norm_grad(
    gy: ndarray, x: ndarray, d: ndarray, before: int, after: int, scale: float, beta: float
) -> ndarray:
    """Return gx[c] = gy[c] * d[c]**-beta - 2 scale beta x[c] * (sum of gy[j] x[j] d[j]**(-beta - 1)).

    The sum runs over the channels j in whose window c lies.
    """
    gx = buffers.empty(x.shape, x.dtype)
    arrays = [np.ascontiguousarray(a) for a in (gy, x, d)]
    work = (6 + before + after) * x.size
    split(_lrn_grad, _strips(x), *arrays, gx, before, after, float(scale), float(beta), work=work)
    return gx


def _strips(x: ndarray) -> int:
    return x.shape[0] * math.ceil(x.shape[2] / STRIP)
