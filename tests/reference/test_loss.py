from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn.reference import cross_entropy, cross_entropy_grad, log_softmax, mse_loss, nll_loss

REDUCTIONS = ["none", "mean", "sum"]
WEIGHT = np.array([0.5, 2.0, 1.0, 3.0])  # four classes
SHAPES = [(6, 4), (3, 4, 5), (2, 4, 3, 5)]


def labels(shape: tuple, rng: np.random.Generator) -> np.ndarray:
    target = rng.integers(0, 4, (shape[0], *shape[2:]))
    target.flat[1] = 9  # ignored by the tests below
    return target


def test_by_hand() -> None:
    logp = np.array([[-1.0, -2.0], [-3.0, -4.0], [-5.0, -6.0]])
    target, weight = np.array([1, 0, 7]), np.array([2.0, 3.0])
    assert nll_loss(logp, target, weight, 7, "none").tolist() == [6, 6, 0]
    assert nll_loss(logp, target, weight, 7, "sum") == 12
    assert nll_loss(logp, target, weight, 7, "mean") == 12 / 5
    assert nll_loss(logp, target, None, 7, "mean") == 2.5


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
@pytest.mark.parametrize("shape", SHAPES)
def test_nll_equals_torch(
    shape: tuple, weight: Any, reduction: str, torch: Any, rng: np.random.Generator, agree: Callable[..., None]
) -> None:
    logp, target = log_softmax(rng.normal(size=shape), 1), labels(shape, rng)
    t_weight = None if weight is None else torch.tensor(weight)
    expected = torch.nn.functional.nll_loss(
        torch.tensor(logp), torch.tensor(target), t_weight, ignore_index=9, reduction=reduction
    )
    agree(nll_loss(logp, target, weight, 9, reduction), expected)


@pytest.mark.parametrize("kind", ["labels", "probabilities"])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
@pytest.mark.parametrize("shape", SHAPES)
def test_cross_entropy_equals_torch(
    shape: tuple, weight: Any, reduction: str, smoothing: float, kind: str, torch: Any, rng: Any, agree: Any
) -> None:
    x = 3 * rng.normal(size=shape)
    target, ignore = (labels(shape, rng), 9) if kind == "labels" else (rng.dirichlet(np.ones(4), size=shape[0]), -100)
    if kind == "probabilities":
        target = np.broadcast_to(target.reshape(shape[0], 4, *[1] * (len(shape) - 2)), shape).copy()
    tx = torch.tensor(x, requires_grad=True)
    t_weight = None if weight is None else torch.tensor(weight)
    ty = torch.nn.functional.cross_entropy(
        tx, torch.tensor(target), t_weight, ignore_index=ignore, reduction=reduction, label_smoothing=smoothing
    )
    y = cross_entropy(x, target, weight, ignore, reduction, smoothing)
    agree(y, ty)
    gy = rng.normal(size=y.shape)
    ty.backward(torch.tensor(gy))
    agree(cross_entropy_grad(np.asarray(gy), x, target, weight, ignore, reduction, smoothing), tx.grad)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_gradient_is_the_slope(reduction: str, rng: np.random.Generator, slope: Any) -> None:
    x, direction = rng.normal(size=(2, 3, 4, 5))  # two arrays (3, 4, 5)
    rest = (labels(x.shape, rng), WEIGHT, 9, reduction, 0.2)
    expected = slope(lambda x: cross_entropy(x, *rest), x, direction, step=1e-5)
    assert (cross_entropy_grad(1.0, x, *rest) * direction).sum() == pytest.approx(expected, rel=1e-8)


def test_the_formula_of_smoothing(rng: np.random.Generator) -> None:
    x, e, C = rng.normal(size=(5, 4)), 0.3, 4
    target = np.array([1, 0, 9, 3, 3])
    logp, kept = log_softmax(x, 1), target != 9
    nll = -WEIGHT[target[kept]] * logp[kept, target[kept]]
    smooth = -(WEIGHT * logp[kept]).sum(axis=1)
    expected = ((1 - e) * nll + e / C * smooth).sum() / WEIGHT[target[kept]].sum()
    assert cross_entropy(x, target, WEIGHT, 9, "mean", e) == pytest.approx(expected, rel=1e-13)


def test_the_formula_of_probabilities(rng: np.random.Generator) -> None:
    x, target, e, C = rng.normal(size=(2, 4, 3)), rng.dirichlet(np.ones(4), size=(2, 3)).transpose(0, 2, 1), 0.3, 4
    losses = -(WEIGHT[:, None] * ((1 - e) * target + e / C) * log_softmax(x, 1)).sum(axis=1)
    np.testing.assert_allclose(cross_entropy(x, target, WEIGHT, -100, "none", e), losses, rtol=1e-13)
    assert cross_entropy(x, target, WEIGHT, -100, "mean", e) == pytest.approx(losses.sum() / 6, rel=1e-13)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_all_ignored_is_nan_without_gradient(smoothing: float) -> None:
    x, target = np.ones((2, 3)), np.array([-100, -100])
    assert np.isnan(cross_entropy(x, target, None, -100, "mean", smoothing))
    assert np.isnan(nll_loss(x, target, None, -100, "mean"))
    assert cross_entropy(x, target, None, -100, "sum", smoothing) == 0
    assert (cross_entropy_grad(1.0, x, target, None, -100, "mean", smoothing) == 0).all()


def test_a_class_at_minus_infinity() -> None:
    x = np.array([[0.0, -np.inf, 0.0]])
    assert cross_entropy(x, np.array([0]), None, -100, "mean", 0.0) == pytest.approx(np.log(2))
    assert np.isposinf(cross_entropy(x, np.array([1]), None, -100, "mean", 0.0))
    assert np.isposinf(cross_entropy(x, np.array([0]), None, -100, "mean", 0.1))
    assert cross_entropy_grad(1.0, x, np.array([0]), None, -100, "mean", 0.0).tolist() == [[-0.5, 0, 0.5]]


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_mse(reduction: str, torch: Any, rng: np.random.Generator, agree: Callable[..., None]) -> None:
    x, target = rng.normal(size=(2, 3, 4))  # two arrays (3, 4)
    expected = torch.nn.functional.mse_loss(torch.tensor(x), torch.tensor(target), reduction=reduction)
    agree(mse_loss(x, target, reduction), expected)


def test_mse_by_hand() -> None:
    x, target = np.array([1.0, 5.0], np.float32), np.array([2.0, 2.0], np.float32)
    assert mse_loss(x, target, "none").tolist() == [1, 9]
    assert mse_loss(x, target, "sum") == 10
    assert mse_loss(x, target, "mean") == 5
    assert mse_loss(x, target, "mean").dtype == np.float32


def test_float32_stays_float32(rng: np.random.Generator) -> None:
    x, target = rng.normal(size=(5, 4)).astype(np.float32), np.array([0, 1, 2, 3, 0])
    loss = cross_entropy(x, target, WEIGHT, -100, "mean", 0.1)
    gx = cross_entropy_grad(loss, x, target, WEIGHT, -100, "mean", 0.1)
    assert (type(loss), loss.shape, loss.dtype, gx.dtype) == (np.ndarray, (), np.float32, np.float32)
    assert nll_loss(x, target, None, -100, "none").dtype == np.float32


def test_errors() -> None:
    x = np.zeros((2, 3))
    for wrong in (3, -1):
        target = np.array([0, wrong])
        message = rf"label {wrong} at \(1,\) is not one of the 3 classes 0 to 2"
        with pytest.raises(IndexError, match=message):
            cross_entropy(x, target, None, -100, "mean", 0.0)
        with pytest.raises(IndexError, match=message):
            nll_loss(x, target, None, -100, "mean")
        with pytest.raises(IndexError, match=message):
            cross_entropy_grad(1.0, x, target, None, -100, "sum", 0.1)
    with pytest.raises(ValueError, match="reduction must be 'none', 'mean' or 'sum', got 'average'"):
        mse_loss(x, x, "average")
    with pytest.raises(ValueError, match=r"x \(2, 3\) and target \(2, 1\) differ in shape"):
        mse_loss(x, x[:, :1], "mean")
