"""Losses of two tensors, one element or one sample at a time. The losses are not reduced."""

from __future__ import annotations

import numpy as np

from tinygrad_cnn.reference.precision import in_float64


@in_float64
def binary_cross_entropy(x: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return -(t log x + (1 - t) log(1 - x)) for probabilities, a logarithm being at least -100.

    >>> binary_cross_entropy(np.array([0.0]), np.array([1.0]))
    array([100.])
    """
    y = np.empty_like(x)
    for i in np.ndindex(x.shape):
        y[i] = -(target[i] * max(np.log(x[i]), -100) + (1 - target[i]) * max(np.log(1 - x[i]), -100))
    return y


@in_float64
def binary_cross_entropy_with_logits(x: np.ndarray, target: np.ndarray, pos_weight: float = 1.0) -> np.ndarray:
    """Return -(w t log(s) + (1 - t) log(1 - s)) with s = 1 / (1 + e**-x), in a form in which nothing overflows.

    >>> binary_cross_entropy_with_logits(np.array([1000.0]), np.array([0.0]))
    array([1000.])
    """
    y = np.empty_like(x)
    for i in np.ndindex(x.shape):
        tail = np.log1p(np.exp(-abs(x[i])))  # -log(s) = max(-x, 0) + tail and -log(1 - s) = max(x, 0) + tail
        y[i] = pos_weight * target[i] * (max(-x[i], 0) + tail) + (1 - target[i]) * (max(x[i], 0) + tail)
    return y


@in_float64
def sigmoid_focal_loss(x: np.ndarray, target: np.ndarray, alpha: float, gamma: float) -> np.ndarray:
    """Return a (1 - p)**gamma * -log(p), p being the probability of what the target (0 or 1) says; a: alpha of yes.

    >>> sigmoid_focal_loss(np.array([0.0]), np.array([1.0]), 0.25, 2.0)
    array([0.0433217])
    """
    y = np.empty_like(x)
    for i in np.ndindex(x.shape):
        p = 1 / (1 + np.exp(-x[i] if target[i] else x[i]))
        y[i] = (alpha if target[i] else 1 - alpha) * (1 - p) ** gamma * -np.log(p)
    return y


@in_float64
def soft_margin_loss(x: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return log(1 + exp(-t x)).

    >>> soft_margin_loss(np.array([0.0]), np.array([1.0]))
    array([0.69314718])
    """
    y = np.empty_like(x)
    for i in np.ndindex(x.shape):
        y[i] = np.log(1 + np.exp(-target[i] * x[i]))
    return y


@in_float64
def smooth_l1_loss(x: np.ndarray, target: np.ndarray, beta: float) -> np.ndarray:
    """Return d**2 / (2 beta) where d = |x - t| < beta, d - beta / 2 elsewhere.

    >>> smooth_l1_loss(np.array([0.5, 3.0]), np.zeros(2), 1.0)
    array([0.125, 2.5  ])
    """
    y = np.empty_like(x)
    for i in np.ndindex(x.shape):
        d = abs(x[i] - target[i])
        y[i] = d * d / (2 * beta) if d < beta else d - beta / 2
    return y


@in_float64
def kl_div(x: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return t (log t - x) for log-probabilities x and probabilities t; 0 where t is 0.

    >>> kl_div(np.array([0.0, -1.0]), np.array([0.0, 1.0]))
    array([0., 1.])
    """
    y = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        if target[i]:
            y[i] = target[i] * (np.log(target[i]) - x[i])
    return y


@in_float64
def cosine_similarity(x1: np.ndarray, x2: np.ndarray) -> np.ndarray:
    """Return x1 . x2 / (|x1| |x2|) for the rows of two matrices (N, D): (N,).

    >>> cosine_similarity(np.array([[1.0, 0.0]]), np.array([[3.0, 3.0]]))
    array([0.70710678])
    """
    y = np.empty(len(x1))
    for n in range(len(x1)):
        y[n] = np.vdot(x1[n], x2[n]) / (np.sqrt(np.vdot(x1[n], x1[n])) * np.sqrt(np.vdot(x2[n], x2[n])))
    return y


@in_float64
def pairwise_distance(x1: np.ndarray, x2: np.ndarray, p: float, eps: float) -> np.ndarray:
    """Return (sum over d of |x1 - x2 + eps|**p) ** (1/p) for the rows of two matrices (N, D): (N,).

    >>> pairwise_distance(np.array([[3.0, 4.0]]), np.zeros((1, 2)), 2.0, 0.0)
    array([5.])
    """
    y = np.zeros(len(x1))
    for n in range(len(x1)):
        for d in range(x1.shape[1]):
            y[n] += abs(x1[n, d] - x2[n, d] + eps) ** p
    return y ** (1 / p)


@in_float64
def euclidean_distance(x1: np.ndarray, x2: np.ndarray, eps: float) -> np.ndarray:
    """Return `pairwise_distance` with p = 2.

    >>> euclidean_distance(np.array([[3.0, 4.0]]), np.zeros((1, 2)), 0.0)
    array([5.])
    """
    return pairwise_distance(x1, x2, 2.0, eps)


@in_float64
def euclidean_distance_grad(
    gy: np.ndarray, x1: np.ndarray, x2: np.ndarray, y: np.ndarray, eps: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return gy * (x1 - x2 + eps) / y for each row, and its negative; 0 where y is 0.

    >>> euclidean_distance_grad(np.ones(1), np.array([[3.0, 4.0]]), np.zeros((1, 2)), np.array([5.0]), 0.0)[0]
    array([[0.6, 0.8]])
    """
    g = np.zeros_like(x1)
    for n, d in np.ndindex(g.shape):
        if y[n]:
            g[n, d] = gy[n] * (x1[n, d] - x2[n, d] + eps) / y[n]
    return g, -g


@in_float64
def multi_margin_loss(
    x: np.ndarray, target: np.ndarray, p: int, margin: float, weight: np.ndarray | None
) -> np.ndarray:
    """Return weight[t] / C * sum over c != t of max(0, margin - x[n, t] + x[n, c])**p: (N,).

    >>> multi_margin_loss(np.array([[0.0, 0.5, 2.0]]), np.array([1]), 1, 1.0, None)
    array([1.])
    """
    N, C = x.shape
    y = np.zeros(N)
    for n in range(N):
        t = target[n]
        for c in range(C):
            if c != t:
                y[n] += max(0, margin - x[n, t] + x[n, c]) ** p / C
        if weight is not None:
            y[n] *= weight[t]
    return y
