from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn.reference import log_softmax, log_softmax_grad, softmax, softmax_grad

PAIRS = [("softmax", softmax, softmax_grad), ("log_softmax", log_softmax, log_softmax_grad)]


def test_by_hand() -> None:
    x = np.log([[1.0, 3.0], [6.0, 2.0]])
    np.testing.assert_allclose(softmax(x, 1), [[0.25, 0.75], [0.75, 0.25]], rtol=1e-15)
    np.testing.assert_allclose(np.exp(log_softmax(x, 0)), [[1 / 7, 0.6], [6 / 7, 0.4]], rtol=1e-15)
    np.testing.assert_allclose(softmax_grad(np.array([2.0, 0.0]), np.array([0.25, 0.75]), 0), [0.375, -0.375])
    np.testing.assert_allclose(log_softmax_grad(np.array([2.0, 1.0]), np.log([0.25, 0.75]), 0), [1.25, -1.25])


def test_large_scores_do_not_overflow() -> None:
    x = np.array([1000.0, 1000.0 - np.log(3)])
    np.testing.assert_allclose(softmax(x, 0), [0.75, 0.25], rtol=1e-12)
    np.testing.assert_allclose(log_softmax(x, 0), np.log([0.75, 0.25]), rtol=1e-12)


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize(("name", "f", "grad"), PAIRS, ids=[pair[0] for pair in PAIRS])
def test_equals_torch(
    name: str, f: Any, grad: Any, axis: int, torch: Any, rng: np.random.Generator, agree: Callable[..., None]
) -> None:
    x, gy = 10 * rng.normal(size=(3, 4, 5)) + 1000, rng.normal(size=(3, 4, 5))
    tx = torch.tensor(x, requires_grad=True)
    ty = getattr(torch, name)(tx, axis)
    agree(f(x, axis), ty)
    ty.backward(torch.tensor(gy))
    agree(grad(gy, f(x, axis), axis), tx.grad)


@pytest.mark.parametrize(("name", "f", "grad"), PAIRS, ids=[pair[0] for pair in PAIRS])
def test_gradient_is_the_slope(name: str, f: Any, grad: Any, rng: np.random.Generator, slope: Any) -> None:
    x, gy, direction = rng.normal(size=(3, 2, 4, 5))  # three arrays (2, 4, 5)
    expected = slope(lambda x: (f(x, 1) * gy).sum(), x, direction, step=1e-6)
    assert (grad(gy, f(x, 1), 1) * direction).sum() == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize(("name", "f", "grad"), PAIRS, ids=[pair[0] for pair in PAIRS])
def test_infinities_and_float32(name: str, f: Any, grad: Any) -> None:
    x = np.array([[-np.inf, -np.inf], [np.inf, 0], [-np.inf, 5]], np.float32)
    y = f(x, 1)
    assert np.isnan(y).any(axis=1).tolist() == [True, True, False]
    assert (np.exp(y[2]) if name == "log_softmax" else y[2]).tolist() == [0, 1]
    assert y.dtype == grad(y, y, 1).dtype == np.float32
