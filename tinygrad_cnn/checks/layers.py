"""The cases of what networks are made of: convolution, pooling, activations, normalisation, losses, dropout.

Height and width are unequal everywhere, in images, kernels, strides, paddings and dilations: swapping them must fail.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_cnn import functional as F
from tinygrad_cnn import reference
from tinygrad_cnn.checks.case import BILINEAR, Case, apart, labels, normal, positive, probabilities

WEIGHT = np.array([0.5, 2.0, 1.0, 1.5])  # of four classes
NONE, ONE = ((0, 0), (0, 0)), (1, 1)  # no padding; stride or dilation 1


def dropped(x: Any) -> Any:
    """Drop with the same mask on every call."""
    return F.dropout(x, 0.4, generator=np.random.default_rng(0))


def dropped_reference(x: np.ndarray) -> np.ndarray:
    """Find the mask from what became of ones, and scale by 1 / (1 - p) what it keeps."""
    return np.where(dropped(np.ones(x.shape)) == 0, 0, x / 0.6)


def trained(x: Any, w: Any, b: Any) -> Any:
    """Normalise with the statistics of the batch."""
    return F.batch_norm(x, weight=w, bias=b, training=True, eps=0.1)


def trained_reference(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Normalise with the reference's statistics."""
    return reference.batch_norm(x, w, b, *reference.batch_norm_statistics(x), 0.1)


def evaluated(x: Any, w: Any, b: Any) -> Any:
    """Normalise with statistics of long ago."""
    mean, var = (np.array(v, x.dtype) for v in ([0.5, -1.0, 0.0], [2.0, 1.0, 0.5]))
    return F.batch_norm(x, mean, var, w, b, eps=0.1)


def evaluated_reference(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Normalise with the same statistics."""
    return reference.batch_norm(x, w, b, np.array([0.5, -1.0, 0.0]), np.array([2.0, 1.0, 0.5]), 0.1)


CONVOLUTION = (
    Case(
        "conv2d",
        F.conv2d,
        [normal(2, 3, 5, 6), normal(4, 3, 3, 2), normal(4)],
        BILINEAR,
        lambda x, w, b: reference.conv2d(x, w, b, ONE, NONE, ONE, 1),
    ),
    Case(
        "conv2d",
        lambda x, w: F.conv2d(x, w, None, (2, 1), ((2, 0), (1, 3)), (1, 2)),
        [normal(1, 2, 6, 5), normal(3, 2, 2, 3)],
        BILINEAR,
        lambda x, w: reference.conv2d(x, w, None, (2, 1), ((2, 0), (1, 3)), (1, 2), 1),
    ),
    Case(
        "conv2d",
        lambda x, w, b: F.conv2d(x, w, b, (1, 3), (1, 0), groups=2),
        [normal(2, 4, 4, 7), normal(6, 2, 3, 2), normal(6)],
        BILINEAR,
        lambda x, w, b: reference.conv2d(x, w, b, (1, 3), ((1, 1), (0, 0)), ONE, 2),
    ),
    Case(
        "conv2d",
        lambda x, w: F.conv2d(x, w, padding="same", groups=3),
        [normal(2, 3, 4, 5), normal(3, 1, 3, 4)],
        BILINEAR,
        lambda x, w: reference.conv2d(x, w, None, ONE, ((1, 1), (1, 2)), ONE, 3),
    ),
)

POOLING = (
    Case(
        "max_pool2d",
        lambda x: F.max_pool2d(x, 2),
        [apart(2, 2, 4, 6)],
        reference=lambda x: reference.max_pool2d(x, (2, 2), (2, 2), NONE, ONE, (2, 3))[0],
    ),
    Case(
        "max_pool2d",
        lambda x: F.max_pool2d(x, (3, 2), (1, 2), (1, 0), (1, 2), True, return_indices=True),
        [apart(1, 2, 4, 6)],
        reference=lambda x: reference.max_pool2d(x, (3, 2), (1, 2), ((1, 1), (0, 0)), (1, 2), (4, 3)),
    ),
    Case(
        "avg_pool2d",
        lambda x: F.avg_pool2d(x, (2, 3), (1, 2), (1, 0)),
        [normal(2, 2, 4, 7)],
        BILINEAR,
        lambda x: reference.avg_pool2d(x, (2, 3), (1, 2), ((1, 1), (0, 0)), (5, 3), True, None),
    ),
    Case(
        "avg_pool2d",
        lambda x: F.avg_pool2d(x, (3, 2), (2, 3), (1, 1), True, False),
        [normal(1, 2, 6, 5)],
        BILINEAR,
        lambda x: reference.avg_pool2d(x, (3, 2), (2, 3), ((1, 1), (1, 1)), (4, 2), False, None),
    ),
    Case(
        "avg_pool2d",
        lambda x: F.avg_pool2d(x, (2, 3), divisor_override=5),
        [normal(1, 2, 4, 6)],
        BILINEAR,
        lambda x: reference.avg_pool2d(x, (2, 3), (2, 3), NONE, (2, 2), True, 5),
    ),
    Case(
        "adaptive_avg_pool2d",
        lambda x: F.adaptive_avg_pool2d(x, (3, 2)),
        [normal(2, 2, 5, 7)],
        BILINEAR,
        lambda x: reference.adaptive_avg_pool2d(x, (3, 2)),
    ),
)

ACTIVATIONS = (
    Case("relu", F.relu, [apart(3, 4)], reference=reference.relu),
    Case("leaky_relu", lambda x: F.leaky_relu(x, 0.2), [apart(3, 4)], reference=lambda x: reference.leaky_relu(x, 0.2)),
    Case("sigmoid", F.sigmoid, [normal(3, 4)], reference=reference.sigmoid),
    Case("tanh", F.tanh, [normal(3, 4)], reference=reference.tanh),
    Case("softmax", lambda x: F.softmax(x, 1), [normal(3, 4)], reference=lambda x: reference.softmax(x, 1)),
    Case("softmax", lambda x: F.softmax(x, 1), [normal(2, 3, 4)], reference=lambda x: reference.softmax(x, 1)),
    Case(
        "log_softmax", lambda x: F.log_softmax(x, -1), [normal(3, 4)], reference=lambda x: reference.log_softmax(x, 1)
    ),
    Case("log_softmax", lambda x: F.log_softmax(x, 0), [normal(3, 4)], reference=lambda x: reference.log_softmax(x, 0)),
)

NORMALISATION = (
    Case("batch_norm", trained, [normal(4, 3, 2, 3), positive(3), normal(3)], reference=trained_reference),
    Case("batch_norm", evaluated, [normal(2, 3, 3, 2), positive(3), normal(3)], reference=evaluated_reference),
    Case("batch_norm", trained, [normal(5, 3), positive(3), normal(3)], reference=trained_reference),
)

LOSSES = (
    Case(
        "nll_loss",
        lambda x, t: F.nll_loss(x, t, WEIGHT.astype(x.dtype), 1),
        [normal(5, 4), labels(4, 5)],
        BILINEAR,
        lambda x, t: reference.nll_loss(x, t, WEIGHT, 1, "mean"),
    ),
    Case(
        "nll_loss",
        lambda x, t: F.nll_loss(x, t, reduction="none"),
        [normal(2, 4, 3), labels(4, 2, 3)],
        BILINEAR,
        lambda x, t: reference.nll_loss(x, t, None, -100, "none"),
    ),
    Case(
        "cross_entropy",
        F.cross_entropy,
        [normal(5, 4), labels(4, 5)],
        reference=lambda x, t: reference.cross_entropy(x, t, None, -100, "mean", 0.0),
    ),
    Case(
        "cross_entropy",
        lambda x, t: F.cross_entropy(x, t, WEIGHT.astype(x.dtype), 1, "mean", 0.1),
        [normal(3, 4, 2), labels(4, 3, 2)],
        reference=lambda x, t: reference.cross_entropy(x, t, WEIGHT, 1, "mean", 0.1),
    ),
    Case(
        "cross_entropy",
        lambda x, t: F.cross_entropy(x, t, reduction="none"),
        [normal(3, 4), labels(4, 3)],
        reference=lambda x, t: reference.cross_entropy(x, t, None, -100, "none", 0.0),
    ),
    Case(
        "cross_entropy",
        lambda x, t: F.cross_entropy(x, t, WEIGHT.astype(x.dtype), label_smoothing=0.2),
        [normal(3, 4, 2), probabilities(3, 4, 2)],
        reference=lambda x, t: reference.cross_entropy(x, t, WEIGHT, -100, "mean", 0.2),
    ),
    Case("mse_loss", F.mse_loss, [normal(3, 4), normal(3, 4)], reference=lambda x, t: reference.mse_loss(x, t, "mean")),
    Case(
        "mse_loss",
        lambda x, t: F.mse_loss(x, t, "none"),
        [normal(3, 4), normal(3, 4)],
        reference=lambda x, t: reference.mse_loss(x, t, "none"),
    ),
)

DROPOUT = (Case("dropout", dropped, [normal(3, 4)], BILINEAR, dropped_reference),)

CASES = (*CONVOLUTION, *POOLING, *ACTIVATIONS, *NORMALISATION, *LOSSES, *DROPOUT)
