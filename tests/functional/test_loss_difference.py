from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import Tensor, grad, reference
from tinygrad_cnn import functional as F
from tinygrad_cnn.checks.measure import error


@pytest.mark.parametrize(("dtype", "bound"), [(np.float32, 2e-6), (np.float64, 1e-13)])
def test_values_are_the_references(dtype: Any, bound: float, rng: np.random.Generator) -> None:
    x, t, p = (rng.standard_normal((5, 7)).astype(dtype) for _ in range(3))
    p = np.abs(p)
    p[0, 0] = 0
    for y, wanted in [
        (F.l1_loss(x, t, "none"), np.where(x > t, x - t, t - x)),
        (F.smooth_l1_loss(x, t, "none", 0.4), reference.smooth_l1_loss(x, t, 0.4)),
        (F.smooth_l1_loss(x, t, "none", 0), np.where(x > t, x - t, t - x)),
        (F.huber_loss(x, t, "none", 0.4), 0.4 * reference.smooth_l1_loss(x, t, 0.4)),
        (F.kl_div(x, p, "none"), reference.kl_div(x, p)),
        (F.kl_div(x, t, "none", True), reference.kl_div(x, np.exp(t.astype(np.float64)).astype(dtype))),
    ]:
        assert y.dtype == dtype
        assert error(y, wanted) <= bound


def test_slopes_at_the_corners() -> None:
    x = Tensor(np.array([-2.0, -0.5, 0.0, 0.5, 2.0]), requires_grad=True)
    zeros = np.zeros(5)
    for create_graph in (False, True):
        slopes = lambda y, c=create_graph: grad(y, x, create_graph=c)[0].tolist()
        assert slopes(F.l1_loss(x, zeros, "sum")) == [-1, -1, 0, 1, 1]
        assert slopes(F.smooth_l1_loss(x, zeros, "sum", 0.5)) == [-1, -1, 0, 1, 1]
        assert slopes(F.huber_loss(x, zeros, "sum", 0.5)) == [-0.5, -0.5, 0, 0.5, 0.5]


def test_kl_of_a_distribution_from_itself_is_zero(rng: np.random.Generator) -> None:
    x = rng.standard_normal((3, 4))
    logp = F.log_softmax(x, 1)
    assert abs(F.kl_div(logp, np.exp(logp), "batchmean")) < 1e-15
    assert F.kl_div(logp, logp, "batchmean", True) == 0
    assert F.kl_div(x, np.exp(x), "batchmean") == pytest.approx(F.kl_div(x, np.exp(x), "sum") / 3)


@pytest.mark.parametrize("reduction", ["sum", "mean", "batchmean"])
def test_kl_summed_is_the_sum_of_kl(reduction: str, rng: np.random.Generator) -> None:
    x = Tensor(rng.standard_normal((3, 4)), requires_grad=True)
    t = Tensor(np.array([[0.0, 0.5, 0.2, 0.3]] * 3), requires_grad=True)
    parts = F.kl_div(x, t, "none").sum() / {"sum": 1, "mean": 12, "batchmean": 3}[reduction]
    y = F.kl_div(x, t, reduction)
    assert y.item() == pytest.approx(parts.item())
    for create_graph in (False, True):
        for g, wanted in zip(
            *(grad(z, [x, t], retain_graph=True, create_graph=create_graph) for z in (y, parts)), strict=True
        ):
            np.testing.assert_allclose(g.detach().numpy(), wanted.detach().numpy())
    assert F.kl_div(np.array(1.0), np.array(1.0), "batchmean") == -1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: F.smooth_l1_loss(x, x, beta=-1), "smooth_l1_loss: beta must not be negative, got -1"),
        (lambda x: F.smooth_l1_loss(x, x, beta=np.nan), "beta must not be negative, got nan"),
        (lambda x: F.huber_loss(x, x, delta=0), "huber_loss: delta must be positive, got 0"),
        (lambda x: F.l1_loss(x, x, "batchmean"), "l1_loss: reduction must be"),
    ],
)
def test_errors_teach(call: Callable[..., Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(np.ones(3))


@pytest.mark.parametrize("seed", range(50))
def test_agrees_with_torch(seed: int, same_as_torch: Callable[..., None], torch: Any) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 6, rng.integers(1, 4)))
    x, t, p = rng.standard_normal(shape), rng.standard_normal(shape), rng.uniform(0.01, 1, shape)
    r, width = str(rng.choice(["mean", "sum", "none"])), float(rng.uniform(0.1, 2))
    T = torch.nn.functional
    same_as_torch(lambda x, t: F.l1_loss(x, t, r), lambda x, t: T.l1_loss(x, t, reduction=r), x, t)
    same_as_torch(
        lambda x, t: F.smooth_l1_loss(x, t, r, width),
        lambda x, t: T.smooth_l1_loss(x, t, reduction=r, beta=width),
        x,
        t,
    )
    same_as_torch(
        lambda x, t: F.huber_loss(x, t, r, width), lambda x, t: T.huber_loss(x, t, reduction=r, delta=width), x, t
    )
    same_as_torch(lambda x, t: F.kl_div(x, t, "sum"), lambda x, t: T.kl_div(x, t, reduction="sum"), x, p)
    same_as_torch(lambda x, t: F.kl_div(x, t, "batchmean"), lambda x, t: T.kl_div(x, t, reduction="batchmean"), x, p)
    same_as_torch(
        lambda x, t: F.kl_div(x, t, "none", True),
        lambda x, t: T.kl_div(x, t, reduction="none", log_target=True),
        x,
        t,
    )
