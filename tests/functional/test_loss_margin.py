from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import Tensor, grad, reference
from tinygrad_cnn import functional as F
from tinygrad_cnn.checks.measure import error


@pytest.mark.parametrize(("dtype", "bound"), [(np.float32, 2e-6), (np.float64, 1e-11)])
def test_values_are_the_references(dtype: Any, bound: float, rng: np.random.Generator) -> None:
    a, p, n = (rng.standard_normal((6, 4)).astype(dtype) for _ in range(3))
    sign, labels = np.array([1, -1, 1, 1, -1, -1]), np.array([0, 3, 1, 1, 2, 0])
    weight = rng.uniform(0.5, 2, 4).astype(dtype)
    cosine = reference.cosine_similarity(a, p)
    near, far, swapped = (reference.pairwise_distance(*pair, 2.0, 1e-6) for pair in ((a, p), (a, n), (p, n)))
    for y, wanted in [
        (F.pairwise_distance(a, p, 1), reference.pairwise_distance(a, p, 1.0, 1e-6)),
        (F.cosine_similarity(a, p), cosine),
        (
            F.cosine_embedding_loss(a, p, sign, 0.1, "none"),
            np.where(sign == 1, 1 - cosine, np.maximum(cosine - 0.1, 0)).astype(dtype),
        ),
        (F.triplet_margin_loss(a, p, n, reduction="none"), np.maximum(near - far + 1, 0)),
        (
            F.triplet_margin_loss(a, p, n, 0.5, swap=True, reduction="none"),
            np.maximum(near - np.minimum(far, swapped) + 0.5, 0),
        ),
        (F.margin_ranking_loss(a[:, 0], p[:, 0], sign, 0.3, "none"), np.maximum(0.3 - sign * (a - p)[:, 0], 0)),
        (
            F.hinge_embedding_loss(a[:, 0], sign, 0.3, "none"),
            np.where(sign == 1, a[:, 0], np.maximum(0.3 - a[:, 0], 0)),
        ),
        (F.multi_margin_loss(a, labels, reduction="none"), reference.multi_margin_loss(a, labels, 1, 1.0, None)),
        (
            F.multi_margin_loss(a, labels, 2, 0.4, weight, "none"),
            reference.multi_margin_loss(a, labels, 2, 0.4, weight),
        ),
    ]:
        assert y.dtype == dtype
        assert error(y, wanted) <= bound


def test_without_a_batch(rng: np.random.Generator) -> None:
    a, b, c = rng.standard_normal((3, 4))
    for reduction in ("mean", "none"):
        assert F.triplet_margin_loss(a, b, c, reduction=reduction).shape == ()
        assert F.cosine_embedding_loss(a, b, -1, reduction=reduction).shape == ()
        y = F.multi_margin_loss(a, 2, reduction=reduction)
        assert y.shape == ()
        assert y == pytest.approx(F.multi_margin_loss(a[None], np.array([2])))
    assert F.cosine_similarity(a, rng.standard_normal((5, 4)), -1).shape == (5,)
    assert F.pairwise_distance(a, rng.standard_normal((5, 4)), keepdim=True).shape == (5, 1)


@pytest.mark.parametrize("create_graph", [False, True])
def test_zero_vectors_have_finite_slopes(create_graph: bool) -> None:
    x, v = Tensor(np.zeros((1, 2)), requires_grad=True), np.array([[3.0, 4.0]])
    for y in (
        F.cosine_similarity(x, v),
        F.cosine_embedding_loss(x, v, np.array([1])),
        F.pairwise_distance(x, x.detach(), eps=0),
        F.triplet_margin_loss(x, np.zeros((1, 2)), v, eps=0),
    ):
        assert np.isfinite(grad(y.sum(), x, create_graph=create_graph)[0].data).all()


def test_the_right_class_alone_receives_no_gradient_at_the_margin() -> None:
    x = Tensor(np.array([[1.0, 0.0, -5.0]]), requires_grad=True)
    assert grad(F.multi_margin_loss(x, np.array([0])), x)[0].tolist() == [[0, 0, 0]]
    assert grad(F.multi_margin_loss(x, np.array([1])), x)[0].tolist() == [[1 / 3, -1 / 3, 0]]


X, SIGN = np.ones((2, 3)), np.array([1, -1])


@pytest.mark.parametrize(
    ("call", "error_type", "message"),
    [
        (
            lambda: F.pairwise_distance(X, np.ones((2, 2))),
            ValueError,
            r"must broadcast, got x1 \(2, 3\), x2 \(2, 2",
        ),
        (lambda: F.pairwise_distance(X[0, 0], X[0, 0]), ValueError, "got numbers"),
        (lambda: F.pairwise_distance(np.array(1.0), np.array(1.0)), ValueError, "needs vectors"),
        (lambda: F.cosine_similarity(X, X.astype(np.float32)), TypeError, "x1 float64, x2 float32"),
        (lambda: F.cosine_similarity(X, X, 2), IndexError, "cosine_similarity: dim 2"),
        (lambda: F.cosine_embedding_loss(X, X[0], SIGN), ValueError, r"needs two inputs \(N, D\) or \(D,\)"),
        (lambda: F.cosine_embedding_loss(X, X, SIGN[:1]), ValueError, r"target must have shape \(2,\).* got \(1,\)"),
        (lambda: F.cosine_embedding_loss(X, X, SIGN * 2), ValueError, "must hold 1 and -1 only, got 2"),
        (lambda: F.cosine_embedding_loss(X, X, SIGN, reduction="avg"), ValueError, "cosine_embedding_loss: reduction"),
        (lambda: F.triplet_margin_loss(X, X, np.ones(2)), ValueError, r"must broadcast, got anchor .*negative \(2,\)"),
        (lambda: F.triplet_margin_loss(X, X, X[:, :2] > 0), TypeError, "negative bool"),
        (lambda: F.margin_ranking_loss(X, X[0], X), ValueError, "the inputs must have one shape"),
        (lambda: F.margin_ranking_loss(X, X, X * 0), ValueError, "must hold 1 and -1 only, got 0.0"),
        (lambda: F.hinge_embedding_loss(X, SIGN), ValueError, r"target must have shape \(2, 3\)"),
        (lambda: F.hinge_embedding_loss(X[0], np.array([0, 1, 1])), ValueError, "1 and -1 only, got 0"),
        (lambda: F.multi_margin_loss(X, np.array([0, 3])), IndexError, "label 3 at position"),
        (lambda: F.multi_margin_loss(X, np.array([0])), ValueError, r"target must have shape \(2,\)"),
        (lambda: F.multi_margin_loss(X, np.array([0.0, 1])), TypeError, "labels must be integers"),
        (lambda: F.multi_margin_loss(X, SIGN * 0, 3), ValueError, "p must be 1 or 2, got 3"),
        (lambda: F.multi_margin_loss(X, SIGN * 0, weight=np.ones(2)), ValueError, r"weight must be \(3,\)"),
        (lambda: F.multi_margin_loss(X[None], SIGN), ValueError, r"input must be \(N, C\) or \(C,\)"),
    ],
)
def test_errors_teach(call: Callable[[], Any], error_type: type[Exception], message: str) -> None:
    with pytest.raises(error_type, match=message):
        call()


@pytest.mark.parametrize("seed", range(50))
def test_agrees_with_torch(seed: int, same_as_torch: Callable[..., None], torch: Any) -> None:
    rng = np.random.default_rng(seed)
    N, D = rng.integers(2, 7, 2)
    a, p, n = rng.standard_normal((3, N, D))
    r, margin, power = str(rng.choice(["mean", "sum", "none"])), float(rng.uniform(0, 1)), int(rng.integers(1, 4))
    sign, labels, weight = rng.choice([-1.0, 1.0], N), rng.integers(0, D, N), rng.uniform(0.5, 2, D)
    ts, tw, swap = torch.tensor(sign), torch.tensor(weight), bool(rng.integers(2))
    T = torch.nn.functional
    same_as_torch(
        lambda a, p: F.pairwise_distance(a, p, power, keepdim=swap),
        lambda a, p: T.pairwise_distance(a, p, power, keepdim=swap),
        a,
        p,
    )
    same_as_torch(lambda a, p: F.cosine_similarity(a, p, 0), lambda a, p: T.cosine_similarity(a, p, 0), a, p[:, :1])
    same_as_torch(
        lambda a, p: F.cosine_embedding_loss(a, p, sign, margin, r),
        lambda a, p: T.cosine_embedding_loss(a, p, ts, margin, reduction=r),
        a,
        p,
    )
    same_as_torch(
        lambda a, p, n: F.triplet_margin_loss(a, p, n, margin, power, swap=swap, reduction=r),
        lambda a, p, n: T.triplet_margin_loss(a, p, n, margin, power, swap=swap, reduction=r),
        a,
        p,
        n,
    )
    same_as_torch(
        lambda a, p: F.margin_ranking_loss(a, p, sign, margin, r),
        lambda a, p: T.margin_ranking_loss(a, p, ts, margin, reduction=r),
        a[:, 0],
        p[:, 0],
    )
    same_as_torch(
        lambda a: F.hinge_embedding_loss(a, sign, margin, r),
        lambda a: T.hinge_embedding_loss(a, ts, margin, reduction=r),
        a[:, 0],
    )
    same_as_torch(
        lambda a, t: F.multi_margin_loss(a, t, power % 2 + 1, margin, weight, r),
        lambda a, t: T.multi_margin_loss(a, t, power % 2 + 1, margin, tw, reduction=r),
        a,
        labels,
    )
