"""Losses. Classes lie along axis 1: scores are (N, C) or (N, C, d1, ...), labels (N) or (N, d1, ...).

A reduction is 'none' (the loss of every sample), 'sum' or 'mean'.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tinygrad_cnn.reference.precision import in_float64
from tinygrad_cnn.reference.softmax import log_softmax, softmax

Site = tuple[int, ...]  # where a sample stands: (n, d1, ...)


@in_float64
def nll_loss(
    logp: np.ndarray, target: np.ndarray, weight: np.ndarray | None, ignore_index: int, reduction: str
) -> np.ndarray:
    """Charge every sample minus the log-probability of its label.

        loss[n] = -weight[t] * logp[n, t],  t = target[n];  0 where t is ignore_index
        mean    = sum of loss / sum of weight[t] over the samples that are not ignored; NaN if there are none

    Args:
        logp: log-probabilities (N, C, ...).
        target: labels (N, ...), integers.
        weight: one number per class (C,), or None for ones.
        ignore_index: the label that does not count.
        reduction: 'none', 'mean' or 'sum'.

    Returns:
        The losses (N, ...) for 'none', else a 0-d array.

    Raises:
        IndexError: if a label is not one of the C classes.

    >>> logp = np.log([[0.5, 0.5], [0.25, 0.75]])
    >>> np.exp(-nll_loss(logp, np.array([1, 0]), weight=None, ignore_index=-100, reduction="none"))
    array([0.5 , 0.25])
    """
    classes = logp.shape[1]
    weight = np.ones(classes) if weight is None else weight
    logp = np.moveaxis(logp, 1, -1)  # (N, C, d1, ...) -> (N, d1, ..., C)
    losses = np.zeros(target.shape)
    for site, label in _labels(target, classes, ignore_index):
        losses[site] = -weight[label] * logp[site][label]
    return _reduce(losses, _mean_divisor(target, weight, ignore_index), reduction)


@in_float64
def cross_entropy(
    x: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray | None,
    ignore_index: int,
    reduction: str,
    label_smoothing: float,
) -> np.ndarray:
    """Compare scores with labels, or with the probabilities that the classes should have.

        q       = (1 - e) * target + e/C,  where a label t stands for probability 1 of class t, and e = label_smoothing
        loss[n] = -sum over c of weight[c] * q[n, c] * log_softmax(x)[n, c];  0 where the label is ignore_index
        mean    = sum of loss / sum of weight[t] over the labels t that are not ignored; NaN if there are none
                  sum of loss / number of samples, where the target is probabilities

    Args:
        x: scores (N, C, ...).
        target: labels (N, ...), integers; or probabilities of the shape of x, floats.
        weight: one number per class (C,), or None for ones.
        ignore_index: the label that does not count.
        reduction: 'none', 'mean' or 'sum'.
        label_smoothing: e, from 0 to 1.

    Returns:
        The losses (N, ...) for 'none', else a 0-d array.

    Raises:
        IndexError: if a label is not one of the C classes.

    >>> x = np.log([[1.0, 3.0]])
    >>> np.exp(-cross_entropy(x, np.array([1]), None, -100, reduction="none", label_smoothing=0.0))
    array([0.75])
    """
    classes = x.shape[1]
    logp = log_softmax(x, axis=1)
    if label_smoothing == 0 and target.dtype.kind != "f":  # so that a class at -inf costs nobody else: no 0 * inf
        return nll_loss(logp, target, weight, ignore_index, reduction)
    weight = np.ones(classes) if weight is None else weight
    logp = np.moveaxis(logp, 1, -1)  # (N, C, d1, ...) -> (N, d1, ..., C)
    losses = np.zeros(logp.shape[:-1])
    for site, q in _distributions(target, classes, ignore_index, label_smoothing):
        losses[site] = -(weight * q * logp[site]).sum()
    return _reduce(losses, _mean_divisor(target, weight, ignore_index), reduction)


@in_float64
def cross_entropy_grad(
    gy: np.ndarray | float,
    x: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray | None,
    ignore_index: int,
    reduction: str,
    label_smoothing: float,
) -> np.ndarray:
    """Return the gradient of `cross_entropy` for the scores.

        gx[n, c] = gy / divisor * (softmax(x)[n, c] * (sum over k of weight[k] * q[n, k]) - weight[c] * q[n, c])

    with q and the mean's divisor of `cross_entropy`; the divisor is 1 for 'sum' and 'none'. An ignored sample has the
    gradient 0, also where all are ignored.

    Args:
        gy: the gradient of the loss: a number, or (N, ...) for 'none'.
        x: as for `cross_entropy`, like all that follow.
        target: labels or probabilities.
        weight: one number per class, or None.
        ignore_index: the label that does not count.
        reduction: 'none', 'mean' or 'sum'.
        label_smoothing: e.

    Returns:
        gx, of the shape of x.

    >>> x = np.log([[1.0, 3.0]])
    >>> cross_entropy_grad(1.0, x, np.array([1]), None, -100, reduction="mean", label_smoothing=0.0)
    array([[ 0.25, -0.25]])
    """
    classes = x.shape[1]
    weight = np.ones(classes) if weight is None else weight
    p = np.moveaxis(softmax(x, axis=1), 1, -1)  # (N, C, d1, ...) -> (N, d1, ..., C)
    divisor = _mean_divisor(target, weight, ignore_index) if reduction == "mean" else 1
    scale = np.broadcast_to(np.divide(gy, divisor), p.shape[:-1])
    gx = np.zeros(p.shape)
    for site, q in _distributions(target, classes, ignore_index, label_smoothing):
        gx[site] = scale[site] * (p[site] * (weight * q).sum() - weight * q)
    return np.moveaxis(gx, -1, 1)


@in_float64
def mse_loss(x: np.ndarray, target: np.ndarray, reduction: str) -> np.ndarray:
    """Square the differences: loss = (x - target)**2; the mean is over all elements.

    Raises:
        ValueError: if the shapes differ.

    >>> mse_loss(np.array([1.0, 5.0]), np.array([1.0, 3.0]), reduction="mean")
    array(2.)
    """
    if x.shape != target.shape:
        raise ValueError(f"mse_loss: x {x.shape} and target {target.shape} differ in shape; reshape one of them")
    return _reduce((x - target) ** 2, x.size, reduction)


def _labels(target: np.ndarray, classes: int, ignore_index: int) -> Iterator[tuple[Site, int]]:
    """Yield where each sample stands and its label, leaving out the ignored ones."""
    for site, label in np.ndenumerate(target):
        if label == ignore_index:
            continue
        if not 0 <= label < classes:
            raise IndexError(f"label {label} at {site} is not one of the {classes} classes 0 to {classes - 1}")
        yield site, int(label)


def _distributions(
    target: np.ndarray, classes: int, ignore_index: int, label_smoothing: float
) -> Iterator[tuple[Site, np.ndarray]]:
    """Yield where each sample that counts stands and its smoothed probabilities q (C,)."""
    e = label_smoothing
    if target.dtype.kind == "f":
        probabilities = np.moveaxis(target, 1, -1)  # (N, C, d1, ...) -> (N, d1, ..., C)
        for site in np.ndindex(probabilities.shape[:-1]):
            yield site, (1 - e) * probabilities[site] + e / classes
    else:
        for site, label in _labels(target, classes, ignore_index):
            yield site, (1 - e) * np.eye(classes)[label] + e / classes


def _mean_divisor(target: np.ndarray, weight: np.ndarray, ignore_index: int) -> float:
    classes = len(weight)
    if target.dtype.kind == "f":
        return target.size / classes
    return sum(weight[label] for _, label in _labels(target, classes, ignore_index))


def _reduce(losses: np.ndarray, mean_divisor: float, reduction: str) -> np.ndarray:
    if reduction == "none":
        return losses
    if reduction == "sum":
        return losses.sum()
    if reduction == "mean":
        return losses.sum() / mean_divisor
    raise ValueError(f"reduction must be 'none', 'mean' or 'sum', got {reduction!r}")
