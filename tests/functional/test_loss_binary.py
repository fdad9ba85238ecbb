from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import Tensor, grad, reference
from tinygrad_cnn import functional as F
from tinygrad_cnn.checks.measure import error

BOUNDS = pytest.mark.parametrize(("dtype", "bound"), [(np.float32, 2e-6), (np.float64, 1e-13)])


@BOUNDS
def test_values_are_the_references(dtype: Any, bound: float, rng: np.random.Generator) -> None:
    x, t = (4 * rng.standard_normal((5, 7))).astype(dtype), rng.uniform(0, 1, (5, 7)).astype(dtype)
    p, sign = rng.uniform(0, 1, (5, 7)).astype(dtype), np.where(t > 0.5, 1, -1).astype(dtype)
    p[0], t[0, :3], t[0, 3:], p[0, 1] = 1, 1, 0, 0
    w = np.array(2.5, dtype)
    for y, wanted in [
        (F.binary_cross_entropy(p, t, None, "none"), reference.binary_cross_entropy(p, t)),
        (
            F.binary_cross_entropy_with_logits(x, t, None, "none", w),
            reference.binary_cross_entropy_with_logits(x, t, 2.5),
        ),
        (F.sigmoid_focal_loss(x, (t > 0.5).astype(dtype)), reference.sigmoid_focal_loss(x, t > 0.5, 0.25, 2.0)),
        (F.soft_margin_loss(x, sign, "none"), reference.soft_margin_loss(x, sign)),
    ]:
        assert y.dtype == dtype
        assert error(y, wanted) <= bound


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_certain_scores_lose_no_digits(dtype: Any) -> None:
    x, t = np.array([20, -20, 800, -800, 800, -800], dtype), np.array([1, 0, 1, 0, 0, 1], dtype)
    wanted = np.array([np.log1p(np.exp(-20.0))] * 2 + [0, 0, 800, 800])
    for pos_weight in (None, np.ones((), dtype)):
        y = F.binary_cross_entropy_with_logits(x, t, None, "none", pos_weight)
        np.testing.assert_allclose(y, wanted, rtol=1e-6 if dtype == np.float32 else 1e-14)
    for create_graph in (False, True):
        leaf = Tensor(x, requires_grad=True)
        losses = F.binary_cross_entropy_with_logits(leaf, t, reduction="sum") + F.sigmoid_focal_loss(leaf, t).sum()
        assert np.isfinite(grad(losses, leaf, create_graph=create_graph)[0].data).all()


def test_certain_probabilities() -> None:
    x = Tensor(np.array([0.0, 0.0, 1.0, 1.0]), requires_grad=True)
    t = np.array([0.0, 1.0, 0.0, 1.0])
    for create_graph in (False, True):
        y = F.binary_cross_entropy(x, t, reduction="none")
        assert y.tolist() == [0, 100, 100, 0]
        assert grad(y.sum(), x, create_graph=create_graph)[0].tolist() == [0, -1e12, 1e12, 0]


def test_the_slope_of_a_score_of_zero_is_between(rng: np.random.Generator) -> None:
    x = Tensor(np.zeros(2), requires_grad=True)
    assert grad(F.binary_cross_entropy_with_logits(x, np.array([0.0, 1.0]), reduction="sum"), x)[0].tolist() == [
        0.5,
        -0.5,
    ]
    assert grad(F.soft_margin_loss(x, np.array([1.0, -1.0]), "sum"), x)[0].tolist() == [-0.5, 0.5]


@pytest.mark.parametrize("options", [{}, {"alpha": -1}, {"alpha": 0.0, "gamma": 0}, {"gamma": 0.5}])
def test_focal_loss_options(options: Any, rng: np.random.Generator, derivatives: Callable[..., None]) -> None:
    x, t = rng.standard_normal((3, 4)), rng.integers(0, 2, (3, 4)).astype(float)
    derivatives(lambda x: F.sigmoid_focal_loss(x, t, **options), x)
    if options == {"alpha": -1}:
        plain = F.sigmoid_focal_loss(x, t, -1, 0)
        np.testing.assert_allclose(plain, F.binary_cross_entropy_with_logits(x, t, reduction="none"), rtol=1e-13)


def test_weights(rng: np.random.Generator) -> None:
    x, t, w = rng.standard_normal((3, 4)), rng.uniform(0, 1, (3, 4)), rng.uniform(1, 2, (3, 1))
    for f, first in ((F.binary_cross_entropy_with_logits, x), (F.binary_cross_entropy, t[::-1])):
        np.testing.assert_allclose(f(first, t, w, "none"), w * f(first, t, reduction="none"), rtol=1e-14)
        assert f(first, t, w) == pytest.approx((w * f(first, t, reduction="none")).mean())


ONES = np.ones((2, 3))


@pytest.mark.parametrize(
    ("call", "error_type", "message"),
    [
        (lambda: F.binary_cross_entropy(2 * ONES, ONES), ValueError, "input must be probabilities .* got 2.0 to 2.0"),
        (lambda: F.binary_cross_entropy(ONES * np.nan, ONES), ValueError, "got nan to nan"),
        (lambda: F.binary_cross_entropy(ONES, -ONES), ValueError, "target must be probabilities .*with_logits"),
        (
            lambda: F.binary_cross_entropy(ONES, ONES, np.ones(2)),
            ValueError,
            r"weight \(2,\) must broadcast to the input \(2, 3",
        ),
        (lambda: F.binary_cross_entropy(ONES, ONES, np.ones(3, np.float32)), TypeError, "weight float32"),
        (
            lambda: F.binary_cross_entropy_with_logits(ONES, ONES, pos_weight=np.ones(2)),
            ValueError,
            r"pos_weight \(2,\) must broadcast",
        ),
        (
            lambda: F.binary_cross_entropy_with_logits(ONES, ONES, pos_weight=[1.0]),
            TypeError,
            "binary_cross_entropy_with_logits: needs .* pos_weight list",
        ),
        (lambda: F.sigmoid_focal_loss(ONES, ONES, alpha=1.5), ValueError, "alpha must be from 0 to 1, or -1"),
    ],
)
def test_errors_teach(call: Callable[[], Any], error_type: type[Exception], message: str) -> None:
    with pytest.raises(error_type, match=message):
        call()


@pytest.mark.parametrize("seed", range(50))
def test_agrees_with_torch(seed: int, same_as_torch: Callable[..., None], torch: Any) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 6, rng.integers(1, 4)))
    x, t, p = 5 * rng.standard_normal(shape), rng.uniform(0, 1, shape), rng.uniform(0.01, 0.99, shape)
    r, w = str(rng.choice(["mean", "sum", "none"])), rng.uniform(0.5, 2, shape[-1:])
    tw, T = torch.tensor(w), torch.nn.functional
    same_as_torch(
        lambda p, t: F.binary_cross_entropy(p, t, w, r),
        lambda p, t: T.binary_cross_entropy(p, t, tw, reduction=r),
        p,
        t,
    )
    same_as_torch(
        lambda x, t: F.binary_cross_entropy_with_logits(x, t, w, r, w),
        lambda x, t: T.binary_cross_entropy_with_logits(x, t, tw, reduction=r, pos_weight=tw),
        x,
        t,
    )
    sign = np.where(t > 0.5, 1.0, -1.0)
    same_as_torch(
        lambda x: F.soft_margin_loss(x, sign, r), lambda x: T.soft_margin_loss(x, torch.tensor(sign), reduction=r), x
    )

    def focal(x: Any) -> Any:  # as torchvision writes it
        y = torch.tensor((t > 0.5).astype(float))
        s, ce = torch.sigmoid(x), T.binary_cross_entropy_with_logits(x, y, reduction="none")
        return (0.3 * y + 0.7 * (1 - y)) * ce * (1 - (s * y + (1 - s) * (1 - y))) ** 1.5

    same_as_torch(lambda x: F.sigmoid_focal_loss(x, (t > 0.5).astype(float), 0.3, 1.5), focal, x)
