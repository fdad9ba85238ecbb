"""Layer, group and instance normalisation: each group of numbers shifted and scaled by its own statistics.

All three are one kernel over rows: x is seen as (N*G, K, S), N images with G groups of K channels of S positions. Scale
and shift belong to the channel: gamma and beta are (G, K).

    group norm      (N, C, ...)  ->  K = C/G channels, S = H*W
    instance norm   (N, C, ...)  ->  G = C groups of one channel
    layer norm      (..., L)     ->  G = 1 group of K = L channels, each a single number: S = 1

Where S is 1 the loops run along K, else along S. Then gamma is as long as a row, and its gradient, a sum over images,
is made for some columns at a time. As in norm.py, statistics and arithmetic are in float64.
"""

from __future__ import annotations

import numpy as np
from numpy import ndarray

from tinygrad_cnn.kernels import buffers
from tinygrad_cnn.kernels.compile import kernel
from tinygrad_cnn.kernels.threads import PIECES, split

# Where channels are single numbers: so many at a time go through all images that their sums stay in the first cache.
_CHUNK = 1024


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
def _channels_grad(
    gy: ndarray, x: ndarray, gamma: ndarray, mean: ndarray, deviation: ndarray, gx: ndarray, sums: ndarray, start: int,
    stop: int,
) -> None:  # fmt: skip
    _, channels, length = x.shape
    for row in range(start, stop):
        centre, scale, weights = mean[row], 1 / deviation[row], gamma[row % len(gamma)]
        along, total = 0.0, 0.0  # of gy*gamma*xhat and of gy*gamma over the row
        for k in range(channels):
            incoming, channel = gy[row, k], x[row, k]
            product, plain = 0.0, 0.0
            for s in range(length):
                product += incoming[s] * (channel[s] - centre)
                plain += incoming[s]
            product *= scale
            sums[0, row, k], sums[1, row, k] = product, plain
            along += product * weights[k]
            total += plain * weights[k]
        # gx = (gy*gamma - mean of gy*gamma - xhat * mean of gy*gamma*xhat) / deviation
        b = -scale * scale * along / (channels * length)
        shift = -scale * total / (channels * length) - b * centre
        for k in range(channels):
            incoming, channel, filled = gy[row, k], x[row, k], gx[row, k]
            a = weights[k] * scale
            for s in range(length):
                filled[s] = incoming[s] * a + channel[s] * b + shift


@kernel(writes="means", reassoc=True)
def _row_means(
    gy: ndarray, x: ndarray, gamma: ndarray, mean: ndarray, deviation: ndarray, means: ndarray, start: int, stop: int
) -> None:
    for row in range(start, stop):
        incoming, values, weights, centre = gy[row], x[row], gamma[row % len(gamma)], mean[row]
        along, total = 0.0, 0.0
        for k in range(len(values)):
            along += incoming[k] * (values[k] - centre) * weights[k]
            total += incoming[k] * weights[k]
        means[row, 0], means[row, 1] = along / (deviation[row] * len(values)), total / len(values)


@kernel(writes="gx sums")
def _columns_grad(
    gy: ndarray, x: ndarray, gamma: ndarray, mean: ndarray, deviation: ndarray, means: ndarray, gx: ndarray,
    sums: ndarray, start: int, stop: int,
) -> None:  # fmt: skip
    blocks, _, groups, channels = sums.shape
    images, chunks = len(x) // groups, -(-channels // _CHUNK)
    for unit in range(start, stop):
        block, g, first = unit // (groups * chunks), unit // chunks % groups, unit % chunks * _CHUNK
        last = min(first + _CHUNK, channels)
        weights, ggamma, gbeta = gamma[g, first:last], np.zeros(last - first), np.zeros(last - first)
        for n in range(images * block // blocks, images * (block + 1) // blocks):
            row = n * groups + g
            incoming, values, results = gy[row, first:last], x[row, first:last], gx[row, first:last]
            centre, scale, along, total = mean[row], 1 / deviation[row], means[row, 0], means[row, 1]
            for k in range(len(results)):
                g_k, xhat = incoming[k], (values[k] - centre) * scale
                ggamma[k] += g_k * xhat
                gbeta[k] += g_k
                results[k] = g_k * (weights[k] * scale) - (total + xhat * along) * scale
        sums[block, 0, g, first:last], sums[block, 1, g, first:last] = ggamma, gbeta


def group_norm_grad(
    gy: ndarray, x: ndarray, gamma: ndarray, mean: ndarray, deviation: ndarray
) -> tuple[ndarray, ndarray, ndarray]:
    """Return gx like x, and ggamma and gbeta (G, K), given what `group_norm` returned."""
    gx, (groups, channels) = buffers.empty(x.shape, x.dtype), gamma.shape
    gy, x, gamma = (np.ascontiguousarray(a) for a in (gy, x, gamma))
    if not gx.size:
        return gx, *np.zeros((2, groups, channels), x.dtype)
    if x.shape[2] > 1:
        sums = np.empty((2, len(x), channels))
        split(_channels_grad, len(x), gy, x, gamma, mean, deviation, gx, sums, work=4 * x.size)
        return gx, *sums.reshape(2, -1, groups, channels).sum(1).astype(x.dtype)
    gy, x, means = gy.reshape(-1, channels), x.reshape(-1, channels), np.empty((len(x), 2))
    split(_row_means, len(x), gy, x, gamma, mean, deviation, means, work=2 * x.size)
    columns = groups * -(-channels // _CHUNK)
    sums = buffers.empty((min(len(x) // groups, -(-PIECES // columns)), 2, groups, channels), x.dtype)
    arrays = gy, x, gamma, mean, deviation, means, gx.reshape(x.shape), sums
    split(_columns_grad, len(sums) * columns, *arrays, work=4 * x.size)
    return gx, *(sums[0] if len(sums) == 1 else sums.sum(0))
