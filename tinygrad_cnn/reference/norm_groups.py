"""Normalisation within each image: by groups of channels, and across neighbouring channels."""

from __future__ import annotations

import numpy as np

from tinygrad_cnn.reference.precision import in_float64


def group_norm(
    x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, eps: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Normalise every row, then scale and shift its channels.

        y[r, k] = gamma[g, k] * (x[r, k] - mean[r]) / sqrt(var[r] + eps) + beta[g, k],   g = r mod G

    Args:
        x: (N*G, K, S): rows of K channels of S positions, the G groups of an image one after the other.
        gamma: the scale (G, K).
        beta: the shift (G, K).
        eps: added to the variance.

    Returns:
        y, of the shape of x; the mean and sqrt(var + eps) of each row, float64.

    >>> group_norm(np.array([[[1.0, 3.0]]]), np.ones((1, 1)), np.zeros((1, 1)), eps=0.0)
    (array([[[-1.,  1.]]]), array([2.]), array([1.]))
    """
    y, mean, deviation = np.zeros(x.shape), np.zeros(len(x)), np.ones(len(x))
    for r, row in enumerate(x.astype(np.float64)):
        if row.size:
            mean[r] = row.mean()
            deviation[r] = np.sqrt(((row - mean[r]) ** 2).mean() + eps)
        g = r % len(gamma)
        y[r] = gamma[g][:, None] * (row - mean[r]) / deviation[r] + beta[g][:, None]
    return y.astype(x.dtype), mean, deviation


def group_norm_grad(
    gy: np.ndarray, x: np.ndarray, gamma: np.ndarray, mean: np.ndarray, deviation: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the gradients of `group_norm`, where mean and deviation depend on x.

        xhat         = (x[r] - mean[r]) / deviation[r]
        ggamma[g, k] = sum of gy[r, k] * xhat[k] over the rows r of group g
        gbeta[g, k]  = sum of gy[r, k] over the same
        gx[r]        = (v - mean of v - xhat * mean of v*xhat) / deviation[r],   v[k] = gy[r, k] * gamma[g, k]

    Returns:
        gx of the shape of x; ggamma and gbeta (G, K), float64.
    """
    gx, ggamma, gbeta = np.zeros(x.shape), np.zeros(gamma.shape), np.zeros(gamma.shape)
    for r in range(len(x)):
        g = r % len(gamma)
        xhat = (x[r].astype(np.float64) - mean[r]) / deviation[r]
        ggamma[g] += (gy[r] * xhat).sum(1)
        gbeta[g] += gy[r].sum(1, np.float64)
        if xhat.size:
            v = gy[r] * gamma[g].astype(np.float64)[:, None]
            gx[r] = (v - v.mean() - xhat * (v * xhat).mean()) / deviation[r]
    return gx.astype(x.dtype), ggamma, gbeta


@in_float64
def local_response_norm(
    x: np.ndarray, before: int, after: int, scale: float, beta: float, k: float
) -> tuple[np.ndarray, np.ndarray]:
    """Divide each number by a power of the squares of neighbouring channels.

        d[c] = k + scale * sum of x[j]**2 over the channels j = c - before .. c + after that exist
        y[c] = x[c] / d[c]**beta

    Args:
        x: (N, C, ...).
        before: how many channels before c count.
        after: how many channels after c count.
        scale: the weight of their squares.
        beta: the exponent.
        k: the constant.

    Returns:
        y and d, of the shape of x.

    >>> y, d = local_response_norm(np.ones((1, 3, 1)), before=1, after=1, scale=1.0, beta=1.0, k=0.0)
    >>> d.ravel()
    array([2., 3., 2.])
    """
    d = np.full(x.shape, float(k))
    for c in range(x.shape[1]):
        d[:, c] += scale * (x[:, max(0, c - before) : c + after + 1] ** 2).sum(1)
    return x / d**beta, d


@in_float64
def local_response_norm_grad(
    gy: np.ndarray, x: np.ndarray, d: np.ndarray, before: int, after: int, scale: float, beta: float
) -> np.ndarray:
    """Return the gradient of `local_response_norm`; channel c counts in the windows of c - after .. c + before.

    gx[c] = gy[c] / d[c]**beta - 2 * scale * beta * x[c] * sum of gy[j] * x[j] / d[j]**(beta + 1) over these channels j
    """
    gx, shares = gy / d**beta, gy * x / d ** (beta + 1)
    for c in range(x.shape[1]):
        gx[:, c] -= 2 * scale * beta * x[:, c] * shares[:, max(0, c - after) : c + before + 1].sum(1)
    return gx
