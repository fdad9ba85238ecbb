"""Batch normalisation, channel by channel. Inputs are (N, C, ...): everything but axis 1 is averaged over."""

from __future__ import annotations

import numpy as np

from tinygrad_cnn.reference.precision import in_float64


@in_float64
def batch_norm(
    x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, mean: np.ndarray, var: np.ndarray, eps: float
) -> np.ndarray:
    """Shift and scale every channel by given statistics.

        y[:, c] = gamma[c] * (x[:, c] - mean[c]) / sqrt(var[c] + eps) + beta[c]

    Args:
        x: (N, C, ...).
        gamma: the scale (C,).
        beta: the shift (C,).
        mean: (C,), of this batch in training, the running one in evaluation.
        var: (C,), likewise; biased in training.
        eps: added to the variance, inside of the root.

    Returns:
        y, of the shape of x.

    >>> x, one = np.array([[1.0], [3.0]]), np.ones(1)
    >>> batch_norm(x, gamma=one, beta=10 * one, mean=2 * one, var=one, eps=0.0)
    array([[ 9.],
           [11.]])
    """
    y = np.zeros(x.shape)
    for c in range(x.shape[1]):
        y[:, c] = gamma[c] * (x[:, c] - mean[c]) / np.sqrt(var[c] + eps) + beta[c]
    return y


def batch_norm_statistics(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean and the biased variance of every channel, in two passes.

        mean[c] = sum of x[:, c] / m,   var[c] = sum of (x[:, c] - mean[c])**2 / m,   m = numbers in a channel

    Args:
        x: (N, C, ...), m at least 1.

    Returns:
        mean (C,) and var (C,), float64 for every dtype of x.

    >>> batch_norm_statistics(np.array([[1.0], [3.0]]))
    (array([2.]), array([1.]))
    """
    C = x.shape[1]
    mean, var = np.zeros(C), np.zeros(C)
    for c in range(C):
        channel = x[:, c].astype(np.float64)
        mean[c] = channel.sum() / channel.size
        var[c] = ((channel - mean[c]) ** 2).sum() / channel.size
    return mean, var


@in_float64
def batch_norm_grad(
    gy: np.ndarray, x: np.ndarray, gamma: np.ndarray, mean: np.ndarray, var: np.ndarray, eps: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the gradients of `batch_norm` in training, where mean and var depend on x.

        xhat      = (x[:, c] - mean[c]) / sqrt(var[c] + eps)
        ggamma[c] = sum of gy[:, c] * xhat
        gbeta[c]  = sum of gy[:, c]
        gx[:, c]  = gamma[c] / sqrt(var[c] + eps) * (gy[:, c] - gbeta[c]/m - xhat * ggamma[c]/m)

    The last two terms are what flows through the mean and through the variance: gx has mean zero and no component
    along xhat. (Ioffe and Szegedy, 2015, https://arxiv.org/abs/1502.03167.)

    Returns:
        gx of the shape of x, ggamma (C,), gbeta (C,).

    >>> gy, x = np.array([[1.0], [0.0]]), np.array([[1.0], [3.0]])
    >>> gx, ggamma, gbeta = batch_norm_grad(gy, x, np.ones(1), *batch_norm_statistics(x), eps=0.0)
    >>> gx.ravel(), ggamma, gbeta    # two points, normalised, are always at -1 and 1
    (array([0., 0.]), array([-1.]), array([1.]))
    """
    C = x.shape[1]
    gx, ggamma, gbeta = np.zeros(x.shape), np.zeros(C), np.zeros(C)
    for c in range(C):
        m = x[:, c].size
        deviation = np.sqrt(var[c] + eps)
        xhat = (x[:, c] - mean[c]) / deviation
        ggamma[c] = (gy[:, c] * xhat).sum()
        gbeta[c] = gy[:, c].sum()
        gx[:, c] = gamma[c] / deviation * (gy[:, c] - gbeta[c] / m - xhat * ggamma[c] / m)
    return gx, ggamma, gbeta
