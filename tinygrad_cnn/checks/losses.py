"""The cases of losses on two tensors; those on labels are in layers.py."""

from __future__ import annotations

import numpy as np
from numpy import ndarray

from tinygrad_cnn import functional as F
from tinygrad_cnn import reference
from tinygrad_cnn.checks.case import Case, Draw, apart, labels, normal, positive, probabilities

WEIGHT = np.array([0.5, 2.0, 1.0, 1.5])  # of four classes, or of four columns
SIGNS = np.array([[1, -1, -1, 1], [-1, -1, 1, 1], [1, 1, -1, 1]])
SAMPLES = SIGNS[:, 0]


def within(*shape: int) -> Draw:
    """Draw probabilities that are not near 0 or 1."""
    return lambda rng: rng.uniform(0.2, 0.8, shape)


def yes_or_no(x: ndarray) -> ndarray:
    """Return targets 1 and 0 in the dtype of x."""
    return (SIGNS == 1).astype(x.dtype)


def likeness(x: ndarray, v: ndarray) -> ndarray:
    """Return the cosine embedding losses of rows for a margin of -0.9, where all of them count."""
    cosine = reference.cosine_similarity(x, v)
    return np.where(SAMPLES == 1, 1 - cosine, cosine + 0.9)


def triplets(x: ndarray, v: ndarray, w: ndarray) -> ndarray:
    """Return the triplet losses for a margin of 9, with swapped negatives."""
    near, far, swapped = (reference.pairwise_distance(*pair, 2.0, 1e-6) for pair in ((x, v), (x, w), (v, w)))
    return near - np.minimum(far, swapped) + 9


BINARY = (
    Case(
        "binary_cross_entropy",
        F.binary_cross_entropy,
        [within(3, 4), within(3, 4)],
        reference=lambda x, t: reference.binary_cross_entropy(x, t).mean(),
    ),
    Case(
        "binary_cross_entropy",
        lambda x, t: F.binary_cross_entropy(x, t, WEIGHT.astype(x.dtype), "none"),
        [within(3, 4), within(3, 4)],
        reference=lambda x, t: reference.binary_cross_entropy(x, t) * WEIGHT,
    ),
    Case(
        "binary_cross_entropy_with_logits",
        F.binary_cross_entropy_with_logits,
        [normal(3, 4), within(3, 4)],
        reference=lambda x, t: reference.binary_cross_entropy_with_logits(x, t).mean(),
    ),
    Case(
        "binary_cross_entropy_with_logits",
        lambda x, t: F.binary_cross_entropy_with_logits(x, t, WEIGHT.astype(x.dtype), "sum", np.array(3.0, x.dtype)),
        [normal(3, 4), within(3, 4)],
        reference=lambda x, t: (reference.binary_cross_entropy_with_logits(x, t, 3.0) * WEIGHT).sum(),
    ),
    Case(
        "sigmoid_focal_loss",
        lambda x: F.sigmoid_focal_loss(x, yes_or_no(x)),
        [normal(3, 4)],
        reference=lambda x: reference.sigmoid_focal_loss(x, yes_or_no(x), 0.25, 2.0),
    ),
    Case(
        "soft_margin_loss",
        lambda x: F.soft_margin_loss(x, SIGNS.astype(x.dtype)),
        [normal(3, 4)],
        reference=lambda x: reference.soft_margin_loss(x, SIGNS.astype(x.dtype)).mean(),
    ),
)

DIFFERENCES = (
    Case(
        "l1_loss",
        F.l1_loss,
        [apart(3, 4), apart(3, 4, shift=0.05)],
        reference=lambda x, t: np.mean(np.maximum(x - t, t - x)),
    ),
    Case(
        "smooth_l1_loss",
        lambda x, t: F.smooth_l1_loss(x, t, "none", 0.7),
        [apart(3, 4), apart(3, 4, shift=0.05)],
        reference=lambda x, t: reference.smooth_l1_loss(x, t, 0.7),
    ),
    Case(
        "huber_loss",
        lambda x, t: F.huber_loss(x, t, delta=0.7),
        [apart(3, 4), apart(3, 4, shift=0.05)],
        reference=lambda x, t: 0.7 * reference.smooth_l1_loss(x, t, 0.7).mean(),
    ),
    Case(
        "kl_div",
        lambda x, t: F.kl_div(x, t, "batchmean"),
        [normal(3, 4), probabilities(3, 4)],
        reference=lambda x, t: reference.kl_div(x, t).sum() / 3,
    ),
    Case(
        "kl_div",
        lambda x, t: F.kl_div(x, t, "none", True),
        [normal(3, 4), normal(3, 4)],
        reference=lambda x, t: reference.kl_div(x, np.exp(t)),
    ),
)

MARGINS = (
    Case(
        "pairwise_distance",
        lambda x, v: F.pairwise_distance(x, v, 3.0, 0.1),
        [positive(3, 4), positive(3, 4)],
        reference=lambda x, v: reference.pairwise_distance(x, v, 3.0, 0.1),
    ),
    Case(
        "pairwise_distance",
        lambda x, v: F.pairwise_distance(x, v, keepdim=True),
        [normal(3, 4), normal(3, 4)],
        reference=lambda x, v: reference.pairwise_distance(x, v, 2.0, 1e-6)[:, None],
    ),
    Case("cosine_similarity", F.cosine_similarity, [normal(3, 4), normal(3, 4)], reference=reference.cosine_similarity),
    Case(
        "cosine_embedding_loss",
        lambda x, v: F.cosine_embedding_loss(x, v, SAMPLES, -0.9, "none"),
        [positive(3, 4), positive(3, 4)],
        reference=likeness,
    ),
    Case(
        "triplet_margin_loss",
        lambda x, v, w: F.triplet_margin_loss(x, v, w, 9.0, swap=True, reduction="none"),
        [normal(3, 4), normal(3, 4), normal(3, 4)],
        reference=triplets,
    ),
    Case(
        "margin_ranking_loss",
        lambda x, v: F.margin_ranking_loss(x, v, SIGNS, 0.2),
        [apart(3, 4), apart(3, 4, shift=0.05)],
        reference=lambda x, v: np.mean(np.clip(0.2 - SIGNS * (x - v), 0, None)),
    ),
    Case(
        "hinge_embedding_loss",
        lambda x: F.hinge_embedding_loss(x, SIGNS, 0.4, "sum"),
        [apart(3, 4)],
        reference=lambda x: x[SIGNS == 1].sum() + np.clip(0.4 - x[SIGNS == -1], 0, None).sum(),
    ),
    Case(
        "multi_margin_loss",
        lambda x, t: F.multi_margin_loss(x, t, margin=1.05),
        [apart(5, 4), labels(4, 5)],
        reference=lambda x, t: reference.multi_margin_loss(x, t, 1, 1.05, None).mean(),
    ),
    Case(
        "multi_margin_loss",
        lambda x, t: F.multi_margin_loss(x, t, 2, 0.55, WEIGHT.astype(x.dtype), "none"),
        [apart(5, 4), labels(4, 5)],
        reference=lambda x, t: reference.multi_margin_loss(x, t, 2, 0.55, WEIGHT),
    ),
)

CASES = (*BINARY, *DIFFERENCES, *MARGINS)
