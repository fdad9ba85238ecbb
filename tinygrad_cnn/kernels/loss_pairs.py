"""Losses of pairs of numbers, summed over all of them in one pass, and distances of pairs of vectors."""

from __future__ import annotations

import math

import numpy as np
from numpy import ndarray

from tinygrad_cnn.kernels import buffers
from tinygrad_cnn.kernels.activation import exp
from tinygrad_cnn.kernels.compile import Kernel, kernel
from tinygrad_cnn.kernels.curves import log1p
from tinygrad_cnn.kernels.threads import split

# Each block has a sum of its own, and these are added in order: the same bits for every number of threads.
_BLOCK = 4096


def _total(unit: Kernel, x: ndarray, target: ndarray, parameter: float) -> float:
    sums = np.empty(-(-x.size // _BLOCK))
    pair = np.ascontiguousarray(x).reshape(-1), np.ascontiguousarray(target).reshape(-1)
    split(unit, len(sums), *pair, sums, float(parameter), work=4 * x.size)
    return float(sums.sum())


def _gradient(unit: Kernel, gy: float, x: ndarray, target: ndarray, parameter: float) -> ndarray:
    gx = buffers.empty(x.shape, x.dtype)
    pair = np.ascontiguousarray(x).reshape(-1), np.ascontiguousarray(target).reshape(-1)
    split(unit, gx.size, *pair, gx.reshape(-1), float(gy), float(parameter), work=4 * x.size)
    return gx


@kernel(writes="sums", reassoc=True)
def _smooth_l1(x: ndarray, target: ndarray, sums: ndarray, beta: float, start: int, stop: int) -> None:
    real = x.dtype.type
    edge, steep, half = real(beta), real(0.5 / beta), real(0.5 * beta)
    for block in range(start, stop):
        a, b = x[block * _BLOCK : (block + 1) * _BLOCK], target[block * _BLOCK : (block + 1) * _BLOCK]
        total = 0.0
        for i in range(len(a)):
            d = abs(a[i] - b[i])
            total += d * d * steep if d < edge else d - half
        sums[block] = total


@kernel(writes="gx")
def _smooth_l1_grad(
    x: ndarray, target: ndarray, gx: ndarray, gy: float, beta: float, start: int, stop: int
) -> None:  # fmt: skip
    x, target, gx = x[start:stop], target[start:stop], gx[start:stop]
    real = x.dtype.type
    edge, factor = real(beta), real(gy / beta)
    for i in range(len(gx)):
        d = x[i] - target[i]
        gx[i] = factor * (-edge if d < -edge else (edge if d > edge else d))


@kernel(writes="sums", reassoc=True)
def _with_logits(x: ndarray, target: ndarray, sums: ndarray, unused: float, start: int, stop: int) -> None:
    real = x.dtype.type
    for block in range(start, stop):
        a, b = x[block * _BLOCK : (block + 1) * _BLOCK], target[block * _BLOCK : (block + 1) * _BLOCK]
        total = 0.0
        for i in range(len(a)):
            yes = -a[i] if a[i] < real(0) else real(0)  # without the tail, -log(sigmoid(x)); no is x more
            total += b[i] * yes + (real(1) - b[i]) * (yes + a[i]) + log1p(exp(-abs(a[i])))
        sums[block] = total


@kernel(writes="gx")
def _with_logits_grad(
    x: ndarray, target: ndarray, gx: ndarray, gy: float, unused: float, start: int, stop: int
) -> None:  # fmt: skip
    x, target, gx = x[start:stop], target[start:stop], gx[start:stop]
    real = x.dtype.type
    factor = real(gy)
    for i in range(len(gx)):
        gx[i] = factor * (real(1) / (real(1) + exp(-x[i])) - target[i])


@kernel(writes="sums")
def _kl_div(x: ndarray, target: ndarray, sums: ndarray, unused: float, start: int, stop: int) -> None:
    for block in range(start, stop):
        a, b = x[block * _BLOCK : (block + 1) * _BLOCK], target[block * _BLOCK : (block + 1) * _BLOCK]
        total = 0.0
        for i in range(len(a)):
            t = float(b[i])
            total += t * ((math.log(t) if t != 0 else 0.0) - a[i])
        sums[block] = total


@kernel(reassoc=True)
def _distance(x1: ndarray, x2: ndarray, y: ndarray, eps: float, start: int, stop: int) -> None:
    shift = x1.dtype.type(eps)
    for n in range(start, stop):
        a, b, total = x1[n], x2[n], 0.0
        for d in range(len(a)):
            step = float(a[d] - b[d] + shift)
            total += step * step
        y[n] = math.sqrt(total)


@kernel(writes="g1 g2")
def _distance_grad(
    gy: ndarray, x1: ndarray, x2: ndarray, y: ndarray, g1: ndarray, g2: ndarray, eps: float, start: int, stop: int
) -> None:  # fmt: skip
    shift = x1.dtype.type(eps)
    for n in range(start, stop):
        a, b, share = x1[n], x2[n], gy[n] / y[n] if y[n] != 0 else x1.dtype.type(0)
        for d in range(len(a)):
            g1[n, d] = (a[d] - b[d] + shift) * share
            g2[n, d] = -g1[n, d]


def smooth_l1_loss(x: ndarray, target: ndarray, beta: float) -> float:
    """Return the sum of d*d / (2*beta) where d = |x - target| is below beta, and d - beta/2 elsewhere; beta > 0.

    >>> smooth_l1_loss(np.array([0.5, 3.0]), np.zeros(2), 1.0)
    2.625
    """
    return _total(_smooth_l1, x, target, beta)


def smooth_l1_loss_grad(gy: float, x: ndarray, target: ndarray, beta: float) -> ndarray:
    """Return the gradient of x for the cotangent gy of the sum: gy * (x - target) / beta, between -gy and gy."""
    return _gradient(_smooth_l1_grad, gy, x, target, beta)


def binary_cross_entropy_with_logits(x: ndarray, target: ndarray) -> float:
    """Return the sum of -(target * log(s) + (1 - target) * log(1 - s)), where s = sigmoid(x).

    >>> binary_cross_entropy_with_logits(np.array([1000.0]), np.array([0.0]))
    1000.0
    """
    return _total(_with_logits, x, target, 0.0)


def binary_cross_entropy_with_logits_grad(gy: float, x: ndarray, target: ndarray) -> ndarray:
    """Return the gradient of x for the cotangent gy of the sum: gy * (sigmoid(x) - target)."""
    return _gradient(_with_logits_grad, gy, x, target, 0.0)


def kl_div(x: ndarray, target: ndarray) -> float:
    """Return the sum of target * (log(target) - x); a target of 0 contributes 0.

    >>> kl_div(np.array([0.0, -1.0]), np.array([0.0, 1.0]))
    1.0
    """
    return _total(_kl_div, x, target, 0.0)


def euclidean_distance(x1: ndarray, x2: ndarray, eps: float) -> ndarray:
    """Return the lengths (N,) of the rows of x1 - x2 + eps, (N, D).

    >>> euclidean_distance(np.array([[3.0, 4.0]]), np.zeros((1, 2)), 0.0)
    array([5.])
    """
    y = np.empty(len(x1), x1.dtype)
    split(_distance, len(y), np.ascontiguousarray(x1), np.ascontiguousarray(x2), y, float(eps), work=2 * x1.size)
    return y


def euclidean_distance_grad(
    gy: ndarray, x1: ndarray, x2: ndarray, y: ndarray, eps: float
) -> tuple[ndarray, ndarray]:  # fmt: skip
    """Return the gradients of x1 and x2 for gy (N,), given what `euclidean_distance` returned; 0 where that is 0."""
    arrays = [np.ascontiguousarray(a) for a in (gy, x1, x2, y)]
    g1, g2 = buffers.empty(x1.shape, x1.dtype), buffers.empty(x1.shape, x1.dtype)
    split(_distance_grad, len(y), *arrays, g1, g2, float(eps), work=4 * x1.size)
    return g1, g2
