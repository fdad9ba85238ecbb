"""Weighted sums of K pixels chosen anew for each pixel of the result; all channels of an image choose alike.

    y[n, c, p] = sum over k of weight[n, k, p] * x[n, c, index[n, k, p]],  where index -1 reads a 0

A weight of NaN stays NaN, whatever it weighs. The form <y, u> is linear in x, in the weights and in u, so its three
faces are one another's gradients.
"""

from __future__ import annotations

import numpy as np
from numpy import ndarray

from tinygrad_cnn.kernels import buffers
from tinygrad_cnn.kernels.compile import kernel
from tinygrad_cnn.kernels.threads import split


@kernel
def _gather(x: ndarray, index: ndarray, weight: ndarray, y: ndarray, start: int, stop: int) -> None:
    C = x.shape[1]
    for r in range(start, stop):
        plane, result = x[r // C, r % C], y[r // C, r % C]
        for k in range(index.shape[1]):
            taps, w = index[r // C, k], weight[r // C, k]
            for p in range(len(result)):
                if taps[p] >= 0:
                    result[p] += w[p] * plane[taps[p]]
                else:
                    result[p] += w[p] * 0  # which is NaN for NaN


@kernel
def _scatter(gy: ndarray, index: ndarray, weight: ndarray, y: ndarray, start: int, stop: int) -> None:
    C = gy.shape[1]
    for r in range(start, stop):
        g, result = gy[r // C, r % C], y[r // C, r % C]
        for k in range(index.shape[1]):
            taps, w = index[r // C, k], weight[r // C, k]
            for p in range(len(g)):
                if taps[p] >= 0:
                    result[taps[p]] += w[p] * g[p]


@kernel
def _products(gy: ndarray, x: ndarray, index: ndarray, y: ndarray, start: int, stop: int) -> None:
    K = index.shape[1]
    for r in range(start, stop):
        n, taps, result = r // K, index[r // K, r % K], y[r // K, r % K]
        for c in range(x.shape[1]):
            plane, g = x[n, c], gy[n, c]
            for p in range(len(result)):
                if taps[p] >= 0:
                    result[p] += g[p] * plane[taps[p]]


def sample(x: ndarray, index: ndarray, weight: ndarray) -> ndarray:
    """Return y (N, C, P) for x (N, C, S), index and weight (N, K, P).

    >>> sample(np.array([[[10.0, 20.0]]]), np.array([[[1, 0], [0, -1]]]), np.ones((1, 2, 2)))
    array([[[30., 10.]]])
    """
    y = buffers.zeros((*x.shape[:2], index.shape[2]), x.dtype)
    x, weight = np.ascontiguousarray(x), np.ascontiguousarray(weight)
    split(_gather, y.shape[0] * y.shape[1], x, index, weight, y, work=y.size * index.shape[1])
    return y


def sample_input_grad(gy: ndarray, index: ndarray, weight: ndarray, size: int) -> ndarray:
    """Return the gradient (N, C, size) of `sample` with respect to x; gy (N, C, P). It is added up in float64.

    >>> sample_input_grad(np.array([[[1.0, 2.0]]]), np.array([[[1, 1]]]), np.ones((1, 1, 2)), 3)
    array([[[0., 3., 0.]]])
    """
    y = buffers.zeros((*gy.shape[:2], size), np.float64)
    gy, weight = np.ascontiguousarray(gy), np.ascontiguousarray(weight)
    split(_scatter, y.shape[0] * y.shape[1], gy, index, weight, y, work=gy.size * index.shape[1])
    return y.astype(gy.dtype)


def sample_weight_grad(gy: ndarray, x: ndarray, index: ndarray) -> ndarray:
    """Return the gradient (N, K, P) of `sample` with respect to the weights: sums over C, in float64.

    >>> sample_weight_grad(np.array([[[1.0, 2.0]]]), np.array([[[10.0, 20.0]]]), np.array([[[1, -1]]]))
    array([[[20.,  0.]]])
    """
    y = buffers.zeros(index.shape, np.float64)
    gy, x = np.ascontiguousarray(gy), np.ascontiguousarray(x)
    split(_products, index.shape[0] * index.shape[1], gy, x, index, y, work=gy.size * index.shape[1])
    return y.astype(gy.dtype)
