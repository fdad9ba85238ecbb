from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn import functional as F
from tinygrad_cnn.functional.reduction import check_pair, check_reduction, reduced

# Losses of an input and a target of one shape, in their positional order up to the reduction.
PAIRS = (
    F.mse_loss,
    F.l1_loss,
    F.smooth_l1_loss,
    F.huber_loss,
    F.kl_div,
    F.binary_cross_entropy,
    F.binary_cross_entropy_with_logits,
    F.sigmoid_focal_loss,
    F.soft_margin_loss,
)
each_pair_loss = pytest.mark.parametrize("f", PAIRS, ids=lambda f: f.__name__)


def test_reductions(rng: np.random.Generator) -> None:
    losses = rng.standard_normal((3, 4))
    assert reduced(losses, "none") is losses
    assert reduced(losses, "mean") == pytest.approx(losses.mean())
    assert reduced(losses, "sum") == pytest.approx(losses.sum())
    for word in ("mean", "sum", "none"):
        check_reduction("op", word)
    with pytest.raises(ValueError, match="op: reduction must be 'mean', 'sum' or 'none', got 'avg'"):
        check_reduction("op", "avg")
    with pytest.raises(ValueError, match="op: reduction"):
        check_pair("op", losses, losses, "avg")


@each_pair_loss
def test_mean_and_sum_reduce_what_none_returns(f: object, rng: np.random.Generator) -> None:
    assert callable(f)
    for dtype in (np.float32, np.float64):
        x, t = rng.uniform(0.1, 0.9, (2, 3, 4)).astype(dtype)
        losses = f(x, t, reduction="none")
        assert losses.shape == x.shape
        assert losses.dtype == f(x, t, reduction="sum").dtype == dtype
        np.testing.assert_allclose(f(x, t, reduction="mean"), losses.mean(), rtol=1e-5)
        np.testing.assert_allclose(f(x, t, reduction="sum"), losses.sum(), rtol=1e-5)
    assert f(x[:0], t[:0], reduction="none").shape == (0, 4)


@each_pair_loss
def test_input_and_target_must_match(f: object) -> None:
    assert callable(f)
    with pytest.raises(ValueError, match=r"input \(3, 1\) and target \(3,\) must have one shape"):
        f(np.ones((3, 1)), np.ones(3))
    with pytest.raises(TypeError, match="input float64, target float32"):
        f(np.ones(3), np.ones(3, np.float32))
    with pytest.raises(TypeError, match="needs float32 or float64"):
        f(np.ones(3, int), np.ones(3, int))
    with pytest.raises(ValueError, match="reduction must be 'mean', 'sum' or 'none', got 'batch'"):
        f(np.ones(3), np.ones(3), reduction="batch")
