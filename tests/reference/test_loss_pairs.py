from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import reference


def test_by_hand() -> None:
    one, half = np.ones(1), np.full(1, 0.5)
    log2 = np.log(2)
    assert reference.binary_cross_entropy(half, half)[0] == pytest.approx(log2)
    assert reference.binary_cross_entropy(one, 0 * one)[0] == 100
    assert reference.binary_cross_entropy_with_logits(0 * one, one, 3.0)[0] == pytest.approx(3 * log2)
    assert reference.sigmoid_focal_loss(0 * one, 0 * one, 0.25, 2.0)[0] == pytest.approx(0.75 * 0.25 * log2)
    assert reference.soft_margin_loss(0 * one, -one)[0] == pytest.approx(log2)
    assert reference.smooth_l1_loss(np.array([1.0, -4.0]), np.zeros(2), 2.0).tolist() == [0.25, 3]
    assert reference.kl_div(-one, one)[0] == 1
    assert reference.cosine_similarity(np.array([[1.0, 1.0]]), np.array([[0.0, -2.0]]))[0] == pytest.approx(-(0.5**0.5))
    assert reference.pairwise_distance(np.array([[1.0, -2.0]]), np.zeros((1, 2)), 1.0, 0.5)[0] == 3
    scores, weight = np.array([[1.0, 3.0, 2.5]]), np.array([1.0, 1.0, 2.0])
    assert reference.multi_margin_loss(scores, np.array([2]), 2, 1.0, weight)[0] == pytest.approx(2 * 1.5**2 / 3)


@pytest.mark.parametrize("seed", range(3))
def test_equal_to_torch(seed: int, agree: Callable[..., None], torch: Any) -> None:
    rng = np.random.default_rng(seed)
    x, v = rng.standard_normal((2, 5, 4))
    p, t, labels = rng.uniform(0, 1, (5, 4)), rng.uniform(0, 1, (5, 4)), rng.integers(0, 4, 5)
    tx, tv, tp, tt, tl = map(torch.tensor, (x, v, p, t, labels))
    T, none = torch.nn.functional, {"reduction": "none"}
    agree(reference.binary_cross_entropy(p, t), T.binary_cross_entropy(tp, tt, **none))
    agree(
        reference.binary_cross_entropy_with_logits(x, t, 2.0),
        T.binary_cross_entropy_with_logits(tx, tt, pos_weight=torch.tensor(2.0), **none),
    )
    agree(reference.soft_margin_loss(x, np.sign(v)), T.soft_margin_loss(tx, tv.sign(), **none))
    agree(reference.smooth_l1_loss(x, v, 0.3), T.smooth_l1_loss(tx, tv, beta=0.3, **none))
    agree(reference.kl_div(x, t), T.kl_div(tx, tt, **none))
    agree(reference.cosine_similarity(x, v), T.cosine_similarity(tx, tv))
    agree(reference.pairwise_distance(x, v, 3.0, 1e-6), T.pairwise_distance(tx, tv, 3.0))
    agree(
        reference.multi_margin_loss(x, labels, 2, 0.7, t[0]),
        T.multi_margin_loss(tx, tl, 2, 0.7, tt[0], **none),
    )
