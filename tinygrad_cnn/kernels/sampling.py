"""Weighted sums of K pixels chosen anew for each pixel of the result; all channels of an image choose alike.

    y[n, c, p] = sum over k of weight[n, k, p] * x[n, c, index[n, k, p]],  where index -1 reads a 0

A weight of NaN stays NaN, whatever it weighs. The form <y, u> is linear in x, in the weights and in u, so its three
faces are one another's gradients. Four channels go side by side, for an index costs as much as what it points to; the
last ones may be computed twice.
"""

from __future__ import annotations

import numpy as np
from numpy import ndarray

from tinygrad_cnn.kernels import buffers
from tinygrad_cnn.kernels.compile import kernel
from tinygrad_cnn.kernels.threads import split

_OUTSIDE = 16


@kernel
def _gather(x: ndarray, index: ndarray, weight: ndarray, y: ndarray, start: int, stop: int) -> None:
    C, zero = x.shape[1], x.dtype.type(0)
    blocks = -(-C // 4)
    for unit in range(start, stop):
        n, c = unit // blocks, unit % blocks * 4
        c1, c2, c3 = min(c + 1, C - 1), min(c + 2, C - 1), min(c + 3, C - 1)
        x0, x1, x2, x3, y0, y1, y2, y3 = x[n, c], x[n, c1], x[n, c2], x[n, c3], y[n, c], y[n, c1], y[n, c2], y[n, c3]
        taps, weights = index[n], weight[n]
        for p in range(len(y0)):
            a0, a1, a2, a3 = zero, zero, zero, zero
            for k in range(len(taps)):
                # No branch, which nobody could foretell: for what lies outside pixel 0 is read, and not used.
                inside, at, w = taps[k, p] >= 0, np.uintp(max(taps[k, p], 0)), weights[k, p]
                a0 += w * (x0[at] if inside else zero)  # which is NaN for a weight of NaN
                a1 += w * (x1[at] if inside else zero)
                a2 += w * (x2[at] if inside else zero)
                a3 += w * (x3[at] if inside else zero)
            y0[p], y1[p], y2[p], y3[p] = a0, a1, a2, a3


@kernel
def _scatter(gy: ndarray, index: ndarray, weight: ndarray, y: ndarray, start: int, stop: int) -> None:
    C, size = gy.shape[1], y.shape[2]
    blocks = -(-C // 4)
    # What lies outside is added up behind the pixels, at many places: each addition would wait for the one before.
    sums = np.empty((4, size + _OUTSIDE))
    s0, s1, s2, s3 = sums[0], sums[1], sums[2], sums[3]
    for unit in range(start, stop):
        n, c = unit // blocks, unit % blocks * 4
        c1, c2, c3 = min(c + 1, C - 1), min(c + 2, C - 1), min(c + 3, C - 1)
        g0, g1, g2, g3 = gy[n, c], gy[n, c1], gy[n, c2], gy[n, c3]
        sums[:] = 0
        for k in range(index.shape[1]):
            taps, weights = index[n, k], weight[n, k]
            for p in range(len(g0)):
                at, w = np.uintp(taps[p] if taps[p] >= 0 else size + p % _OUTSIDE), weights[p]
                s0[at] += w * g0[p]
                s1[at] += w * g1[p]
                s2[at] += w * g2[p]
                s3[at] += w * g3[p]
        for i in range(size):
            y[n, c, i], y[n, c1, i], y[n, c2, i], y[n, c3, i] = s0[i], s1[i], s2[i], s3[i]


@kernel
def _products(gy: ndarray, x: ndarray, index: ndarray, y: ndarray, start: int, stop: int) -> None:
    K, length = index.shape[1:]
    sums, pixels = np.empty(length), np.empty(length, np.uintp)
    for r in range(start, stop):
        n, taps, result = r // K, index[r // K, r % K], y[r // K, r % K]
        for p in range(length):
            sums[p], pixels[p] = 0, max(taps[p], 0)
        for c in range(x.shape[1]):
            plane, g = x[n, c], gy[n, c]
            for p in range(length):
                sums[p] += g[p] * plane[pixels[p]]
        for p in range(length):
            result[p] = sums[p] if taps[p] >= 0 else 0.0


def sample(x: ndarray, index: ndarray, weight: ndarray) -> ndarray:
    """Return y (N, C, P) for x (N, C, S), index and weight (N, K, P).

    >>> sample(np.array([[[10.0, 20.0]]]), np.array([[[1, 0], [0, -1]]]), np.ones((1, 2, 2)))
    array([[[30., 10.]]])
    """
    y = buffers.empty((*x.shape[:2], index.shape[2]), x.dtype)
    x, weight = np.ascontiguousarray(x), np.ascontiguousarray(weight)
    split(_gather, y.shape[0] * -(-y.shape[1] // 4), x, index, weight, y, work=y.size * index.shape[1])
    return y


def sample_input_grad(gy: ndarray, index: ndarray, weight: ndarray, size: int) -> ndarray:
    """Return the gradient (N, C, size) of `sample` with respect to x; gy (N, C, P). It is added up in float64.

    >>> sample_input_grad(np.array([[[1.0, 2.0]]]), np.array([[[1, 1]]]), np.ones((1, 1, 2)), 3)
    array([[[0., 3., 0.]]])
    """
    y = buffers.empty((*gy.shape[:2], size), gy.dtype)
    gy, weight = np.ascontiguousarray(gy), np.ascontiguousarray(weight)
    split(_scatter, y.shape[0] * -(-y.shape[1] // 4), gy, index, weight, y, work=gy.size * index.shape[1])
    return y


def sample_weight_grad(gy: ndarray, x: ndarray, index: ndarray) -> ndarray:
    """Return the gradient (N, K, P) of `sample` with respect to the weights: sums over C, in float64.

    >>> sample_weight_grad(np.array([[[1.0, 2.0]]]), np.array([[[10.0, 20.0]]]), np.array([[[1, -1]]]))
    array([[[20.,  0.]]])
    """
    y = buffers.empty(index.shape, gy.dtype)
    gy, x = np.ascontiguousarray(gy), np.ascontiguousarray(x)
    split(_products, index.shape[0] * index.shape[1], gy, x, index, y, work=gy.size * index.shape[1])
    return y
