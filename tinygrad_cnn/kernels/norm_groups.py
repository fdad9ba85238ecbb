"""Layer, group and instance normalisation: each group of numbers shifted and scaled by its own statistics.

All three are one kernel over rows: x is seen as (N*G, K, S), N images with G groups of K channels of S positions. Scale
and shift belong to the channel: gamma and beta are (G, K).

    group norm      (N, C, ...)  ->  K = C/G channels, S = H*W
    instance norm   (N, C, ...)  ->  G = C groups of one channel
    layer norm      (..., L)     ->  G = 1 group of K = L channels, each a single number: S = 1

Where S is 1 the loops run along K, else along S. As in norm.py, statistics and arithmetic are in float64.
"""

from __future__ import annotations

import numpy as np
from numpy import ndarray

from tinygrad_cnn.kernels import buffers
from tinygrad_cnn.kernels.compile import kernel
from tinygrad_cnn.kernels.threads import piece_at, pieces_of, split


@kernel(writes="mean deviation y", reassoc=True)
def _group_norm(
    x: ndarray, gamma: ndarray, beta: ndarray, mean: ndarray, deviation: ndarray, y: ndarray, eps: float, start: int,
    stop: int,
) -> None:  # fmt: skip
    _, channels, length = x.shape
    size = channels * length
    for row in range(start, stop):
        values, results, g = x[row].reshape(size), y[row].reshape(size), row % len(gamma)
        total = 0.0
        for i in range(size):
            total += values[i]
        centre = total / size
        squares = 0.0
        for i in range(size):
            squares += (values[i] - centre) * (values[i] - centre)
        root = np.sqrt(squares / size + eps)
        mean[row], deviation[row] = centre, root
        scale, weights, shifts = 1 / root, gamma[g], beta[g]
        if length == 1:
            for k in range(channels):
                results[k] = (values[k] - centre) * scale * weights[k] + shifts[k]
        else:
            for k in range(channels):
                channel, filled = x[row, k], y[row, k]
                a = weights[k] * scale
                b = shifts[k] - centre * a
                for s in range(length):
                    filled[s] = channel[s] * a + b


def group_norm(x: ndarray, gamma: ndarray, beta: ndarray, eps: float) -> tuple[ndarray, ndarray, ndarray]:
    """Normalise every row of x (N*G, K, S), then scale and shift its channels by gamma and beta (G, K).

    Returns:
        y like x; the mean and sqrt(variance + eps) of every row, float64.

    >>> group_norm(np.array([[[1.0, 3.0]]]), np.ones((1, 1)), np.zeros((1, 1)), 0.0)
    (array([[[-1.,  1.]]]), array([2.]), array([1.]))
    """
    y, mean, deviation = buffers.empty(x.shape, x.dtype), np.zeros(len(x)), np.ones(len(x))
    if y.size:
        arrays = [np.ascontiguousarray(a) for a in (x, gamma, beta)]
        split(_group_norm, len(x), *arrays, mean, deviation, y, float(eps), work=3 * x.size)
    return y, mean, deviation


@kernel(writes="gx sums", reassoc=True)
def _group_norm_grad(
    gy: ndarray, x: ndarray, gamma: ndarray, mean: ndarray, deviation: ndarray, gx: ndarray, sums: ndarray, start: int,
    stop: int,
) -> None:  # fmt: skip
    rows, channels, length = x.shape
    size = channels * length
    mine = sums[piece_at(start, rows)]  # of gy*xhat and of gy, for each channel, over the rows of this piece
    for row in range(start, stop):
        gradients, values, results = gy[row].reshape(size), x[row].reshape(size), gx[row].reshape(size)
        g, centre, scale = row % len(gamma), mean[row], 1 / deviation[row]
        ggamma, gbeta, weights = mine[0, g], mine[1, g], gamma[g]
        along, total = 0.0, 0.0  # of gy*gamma*xhat and of gy*gamma over the row
        if length == 1:
            for k in range(channels):
                product = gradients[k] * ((values[k] - centre) * scale)
                ggamma[k] += product
                gbeta[k] += gradients[k]
                along += product * weights[k]
                total += gradients[k] * weights[k]
        else:
            for k in range(channels):
                incoming, channel = gy[row, k], x[row, k]
                product, plain = 0.0, 0.0
                for s in range(length):
                    product += incoming[s] * ((channel[s] - centre) * scale)
                    plain += incoming[s]
                ggamma[k] += product
                gbeta[k] += plain
                along += product * weights[k]
                total += plain * weights[k]
        # gx = (gy*gamma - mean of gy*gamma - xhat * mean of gy*gamma*xhat) / deviation
        b = -scale * scale * along / size
        shift = -scale * total / size - b * centre
        if length == 1:
            for k in range(channels):
                results[k] = gradients[k] * (weights[k] * scale) + values[k] * b + shift
        else:
            for k in range(channels):
                incoming, channel, filled = gy[row, k], x[row, k], gx[row, k]
                a = weights[k] * scale
                for s in range(length):
                    filled[s] = incoming[s] * a + channel[s] * b + shift


def group_norm_grad(
    gy: ndarray, x: ndarray, gamma: ndarray, mean: ndarray, deviation: ndarray
) -> tuple[ndarray, ndarray, ndarray]:
    """Return gx like x, and ggamma and gbeta (G, K) in float64, given what `group_norm` returned."""
    gx, sums = buffers.empty(x.shape, x.dtype), np.zeros((max(1, pieces_of(len(x))), 2, *gamma.shape))
    if gx.size:
        arrays = [np.ascontiguousarray(a) for a in (gy, x, gamma)]
        split(_group_norm_grad, len(x), *arrays, mean, deviation, gx, sums, work=4 * x.size)
    ggamma, gbeta = sums.sum(0)
    return gx, ggamma, gbeta
