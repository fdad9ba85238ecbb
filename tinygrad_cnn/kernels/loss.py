"""Cross-entropy and negative log-likelihood for class labels, one loss for each sample; the caller reduces them.

Squared differences stand at the end.

Scores are (N, C, S): N samples, C classes, S positions (1 for plain classification). With w = weight and e =
label_smoothing the loss of a sample with label t is

    (1 - e) * w[t] * -log p[t]  +  (e / C) * sum over c of w[c] * -log p[c],        p = softmax of the scores,

and 0 where t is ignore_index. 'sum' adds the losses, 'mean' divides that by the sum of the sample weights, which are
returned beside the losses. Both are float64. Labels must be in range(C) or ignore_index: kernels do not check.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy import ndarray

from tinygrad_cnn.kernels import buffers
from tinygrad_cnn.kernels.activation import decay
from tinygrad_cnn.kernels.compile import kernel
from tinygrad_cnn.kernels.softmax import largest_of
from tinygrad_cnn.kernels.threads import split
from tinygrad_cnn.kernels.tile import LONGEST_CHAIN


def _class_last(x: ndarray) -> ndarray:
    """(N, C) or (N, C, S) -> (N*S, C)"""
    if x.ndim == 2:
        return np.ascontiguousarray(x)
    return np.ascontiguousarray(x.transpose(0, 2, 1)).reshape(x.shape[0] * x.shape[2], x.shape[1])


@lru_cache(maxsize=64)
def _ones(classes: int, dtype: str) -> ndarray:
    ones = np.ones(classes, dtype)
    ones.flags.writeable = False
    return ones


def _weights(weight: ndarray | None, classes: int, dtype: np.dtype) -> ndarray:
    return _ones(classes, dtype.char) if weight is None else np.ascontiguousarray(weight, dtype)


@kernel(writes="results", reassoc=True)
def _cross_entropy(
    x: ndarray, target: ndarray, weight: ndarray, results: ndarray, ignore_index: int, smoothing: float, start: int,
    stop: int,
) -> None:  # fmt: skip
    losses, weights, log_sums = results[0], results[1], results[2]
    zero = x.dtype.type(0)
    for sample in range(start, stop):
        label, scores = target[sample], x[sample]
        largest = largest_of(scores)
        total = 0.0
        for first in range(0, len(scores), LONGEST_CHAIN):
            block, part = scores[first : first + LONGEST_CHAIN], zero
            for c in range(len(block)):
                part += decay(block[c] - largest)
            total += part
        log_sum = largest + math.log(total)
        log_sums[sample] = log_sum
        if label == ignore_index:
            losses[sample], weights[sample] = 0, 0
            continue
        losses[sample], weights[sample] = weight[label] * (log_sum - scores[label]), weight[label]
        if smoothing > 0:
            smooth = 0.0
            for c in range(len(scores)):
                smooth += weight[c] * (log_sum - scores[c])
            losses[sample] = (1 - smoothing) * losses[sample] + smoothing / len(scores) * smooth


def cross_entropy(
    x: ndarray, target: ndarray, weight: ndarray | None, ignore_index: int, label_smoothing: float
) -> ndarray:
    """Return the loss, the weight and log(sum(e**x)) of every sample: float64 (3, N, S).

    Args:
        x: scores (N, C, S), or (N, C) where S is 1; then labels are (N,) and results (3, N).
        target: int64 labels (N, S).
        weight: one weight for each class, (C,), or None for ones.
        ignore_index: the label of samples that do not count.
        label_smoothing: the share e of the loss that is spread over all classes.

    >>> losses, weights, _ = cross_entropy(np.zeros((1, 4, 1)), np.array([[2]]), None, -100, 0.0)
    >>> float(losses.sum() / weights.sum())  # log(4)
    1.3862943611198906
    """
    results = np.empty((3, target.size))
    arrays = _class_last(x), np.ascontiguousarray(target).reshape(-1), _weights(weight, x.shape[1], x.dtype), results
    split(_cross_entropy, target.size, *arrays, int(ignore_index), float(label_smoothing), work=4 * x.size)
    return results.reshape(3, *target.shape)


@kernel(writes="gx")
def _cross_entropy_grad(
    x: ndarray, gy: ndarray, target: ndarray, weight: ndarray, log_sums: ndarray, gx: ndarray, ignore_index: int,
    smoothing: float, start: int, stop: int,
) -> None:  # fmt: skip
    number = x.dtype.type
    share = smoothing / len(weight)
    everything = 0.0
    for c in range(len(weight)):
        everything += weight[c]
    for sample in range(start, stop):
        label, scores, results, log_sum = target[sample], x[sample], gx[sample], log_sums[sample]
        g = gy[min(sample, len(gy) - 1)]
        if label == ignore_index:
            results[:] = 0  # even where the cotangent is not finite
            continue
        own = (1 - smoothing) * weight[label]
        both, smooth = number(g * (own + share * everything)), number(g * share)
        for c in range(len(scores)):
            results[c] = both * decay(number(scores[c] - log_sum)) - smooth * weight[c]
        results[label] -= number(g * own)


def cross_entropy_grad(
    gy: ndarray, x: ndarray, target: ndarray, weight: ndarray | None, log_sums: ndarray, ignore_index: int,
    label_smoothing: float,
) -> ndarray:  # fmt: skip
    """Return the gradient of x for the cotangent gy (N, S) of the losses, or one for all; exactly 0 where ignored.

        gx[c] = gy * (p[c] * ((1-e)*w[t] + e/C * sum(w))  -  (1-e)*w[t] * (c == t)  -  e/C * w[c])

    ``log_sums`` is the third result of `cross_entropy`. For the mean gy is 1 / sum of the sample weights.
    """
    rows, classes = _class_last(x), x.shape[1]
    gx = buffers.empty(rows.shape, x.dtype)
    arrays = (
        rows,
        np.ascontiguousarray(gy, np.float64).reshape(-1),
        np.ascontiguousarray(target).reshape(-1),
        _weights(weight, classes, x.dtype),
        np.ascontiguousarray(log_sums).reshape(-1),
    )
    split(_cross_entropy_grad, len(gx), *arrays, gx, int(ignore_index), float(label_smoothing), work=4 * x.size)
    return gx if x.ndim == 2 else np.ascontiguousarray(gx.reshape(len(x), x.shape[2], classes).transpose(0, 2, 1))


@kernel(writes="results")
def _nll_loss(
    logp: ndarray, target: ndarray, weight: ndarray, results: ndarray, ignore_index: int, start: int, stop: int
) -> None:
    losses, weights = results[0], results[1]
    for n in range(start, stop):
        for s in range(target.shape[1]):
            label = target[n, s]
            if label == ignore_index:
                losses[n, s], weights[n, s] = 0, 0
            else:
                losses[n, s], weights[n, s] = -weight[label] * logp[n, label, s], weight[label]


def nll_loss(logp: ndarray, target: ndarray, weight: ndarray | None, ignore_index: int) -> ndarray:
    """Return the loss -w[t] * logp[t] and the weight w[t] of every sample: float64 (2, N, S); logp is (N, C, S)."""
    results = np.empty((2, *target.shape))
    arrays = np.ascontiguousarray(logp), np.ascontiguousarray(target), _weights(weight, logp.shape[1], logp.dtype)
    split(_nll_loss, len(target), *arrays, results, int(ignore_index), work=4 * target.size)
    return results


@kernel(writes="gx")
def _nll_loss_grad(
    weight: ndarray, gy: ndarray, target: ndarray, gx: ndarray, ignore_index: int, start: int, stop: int
) -> None:
    positions = target.shape[1]
    for n in range(start, stop):
        gx[n] = 0
        for s in range(positions):
            label = target[n, s]
            if label != ignore_index:
                gx[n, label, s] = -weight[label] * gy[min(n * positions + s, len(gy) - 1)]


def nll_loss_grad(
    gy: ndarray, target: ndarray, weight: ndarray | None, ignore_index: int, x_shape: tuple[int, int, int],
    dtype: np.dtype,
) -> ndarray:  # fmt: skip
    """Return the gradient of logp for the cotangent gy (N, S), or one for all: -w[t] * gy at the label, 0 elsewhere."""
    gx = buffers.empty(x_shape, dtype)
    gy = np.ascontiguousarray(gy, np.float64).reshape(-1)
    arrays = _weights(weight, x_shape[1], gx.dtype), gy, np.ascontiguousarray(target)
    split(_nll_loss_grad, len(gx), *arrays, gx, int(ignore_index), work=gx.size)
    return gx


# Each block has a sum of its own, and these are added in order: the same bits for every number of threads.
_BLOCK = 4096


@kernel(writes="sums", reassoc=True)
def _mse_loss(x: ndarray, target: ndarray, sums: ndarray, start: int, stop: int) -> None:
    for block in range(start, stop):
        a, b = x[block * _BLOCK : (block + 1) * _BLOCK], target[block * _BLOCK : (block + 1) * _BLOCK]
        total = 0.0
        for i in range(len(a)):
            difference = a[i] - b[i]
            total += difference * difference
        sums[block] = total


def mse_loss(x: ndarray, target: ndarray) -> float:
    """Return the sum of (x - target)**2, added in float64.

    >>> mse_loss(np.array([1.0, 5.0]), np.array([1.0, 3.0]))
    4.0
    """
    sums = np.empty(-(-x.size // _BLOCK))
    arrays = np.ascontiguousarray(x).reshape(-1), np.ascontiguousarray(target).reshape(-1)
    split(_mse_loss, len(sums), *arrays, sums, work=x.size)
    return float(sums.sum())


@kernel(writes="gx")
def _mse_loss_grad(x: ndarray, target: ndarray, gx: ndarray, factor: float, start: int, stop: int) -> None:
    x, target, gx = x[start:stop], target[start:stop], gx[start:stop]
    factor = gx.dtype.type(factor)
    for i in range(len(gx)):
        gx[i] = factor * (x[i] - target[i])


def mse_loss_grad(gy: float, x: ndarray, target: ndarray) -> ndarray:
    """Return the gradient of x for the cotangent gy of the sum: 2 * gy * (x - target)."""
    gx = buffers.empty(x.shape, x.dtype)
    arrays = np.ascontiguousarray(x).reshape(-1), np.ascontiguousarray(target).reshape(-1), gx.reshape(-1)
    split(_mse_loss_grad, gx.size, *arrays, 2.0 * gy, work=gx.size)
    return gx
