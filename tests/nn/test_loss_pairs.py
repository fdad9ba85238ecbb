from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import functional as F
from tinygrad_cnn import nn

RNG = np.random.default_rng(0)
X, V, W = RNG.standard_normal((3, 5, 4))
P, T = RNG.uniform(0.1, 0.9, (2, 5, 4))
SIGNS, LABELS, WEIGHT = np.array([1, -1, -1, 1, 1]), np.array([0, 3, 1, 1, 2]), np.array([1.0, 2.0, 0.5, 3.0])
EACH = np.where(T > 0.5, 1.0, -1.0)

# layer, function, inputs, settings by name: other than the defaults, so that one that is lost is noticed
LOSSES: list[tuple[Any, Any, tuple[np.ndarray, ...], dict[str, Any]]] = [
    (nn.BCELoss, F.binary_cross_entropy, (P, T), {"weight": WEIGHT}),
    (nn.BCEWithLogitsLoss, F.binary_cross_entropy_with_logits, (X, T), {"weight": WEIGHT, "pos_weight": WEIGHT[::-1]}),
    (nn.SoftMarginLoss, F.soft_margin_loss, (X, EACH), {}),
    (nn.L1Loss, F.l1_loss, (X, V), {}),
    (nn.SmoothL1Loss, F.smooth_l1_loss, (X, V), {"beta": 0.3}),
    (nn.HuberLoss, F.huber_loss, (X, V), {"delta": 0.3}),
    (nn.KLDivLoss, F.kl_div, (X, T), {"log_target": True}),
    (nn.MarginRankingLoss, F.margin_ranking_loss, (X, V, EACH), {"margin": 0.4}),
    (nn.CosineEmbeddingLoss, F.cosine_embedding_loss, (X, V, SIGNS), {"margin": -0.5}),
    (nn.HingeEmbeddingLoss, F.hinge_embedding_loss, (X, EACH), {"margin": 0.4}),
    (nn.MultiMarginLoss, F.multi_margin_loss, (X, LABELS), {"p": 2, "margin": 0.4, "weight": WEIGHT}),
    (nn.TripletMarginLoss, F.triplet_margin_loss, (X, V, W), {"margin": 2.0, "p": 3.0, "eps": 0.1, "swap": True}),
]


@pytest.mark.parametrize(
    ("layer", "function", "inputs", "settings"), LOSSES, ids=lambda v: getattr(v, "__name__", None)
)
def test_losses_are_the_functions(layer: Any, function: Any, inputs: Any, settings: dict[str, Any]) -> None:
    for reduction in ("mean", "sum", "none"):
        for given in ({}, settings):
            found = layer(**given, reduction=reduction)(*inputs)
            np.testing.assert_array_equal(np.asarray(found), function(*inputs, **given, reduction=reduction))
    with pytest.raises(ValueError, match=rf"{layer.__name__}: reduction must be one of .* got 'avg'"):
        layer(reduction="avg")


def test_the_divergence_per_sample() -> None:
    assert nn.KLDivLoss(reduction="batchmean")(X, T) == F.kl_div(X, T, "batchmean")
    with pytest.raises(ValueError, match=r"L1Loss: reduction must be one of .* got 'batchmean'"):
        nn.L1Loss(reduction="batchmean")


def test_distances() -> None:
    np.testing.assert_array_equal(nn.CosineSimilarity(0, 0.1)(X, V), F.cosine_similarity(X, V, 0, 0.1))
    np.testing.assert_array_equal(nn.PairwiseDistance(3, 0.1, True)(X, V), F.pairwise_distance(X, V, 3, 0.1, True))


def test_weights_are_buffers() -> None:
    assert list(nn.BCELoss(WEIGHT).state_dict()) == ["weight"]
    assert list(nn.BCEWithLogitsLoss(pos_weight=WEIGHT).state_dict()) == ["pos_weight"]
    assert list(nn.MultiMarginLoss(weight=WEIGHT).state_dict()) == ["weight"]
    assert not nn.BCELoss().state_dict()
