from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn.reference import (
    leaky_relu,
    leaky_relu_grad,
    prelu,
    prelu_grad,
    relu,
    relu_grad,
    sigmoid,
    sigmoid_grad,
    tanh,
    tanh_grad,
)

# name, y(x), gx(gy, x, y)
PAIRS = [
    ("relu", relu, lambda gy, x, y: relu_grad(gy, y)),
    ("leaky_relu", lambda x: leaky_relu(x, 0.2), lambda gy, x, y: leaky_relu_grad(gy, x, 0.2)),
    ("sigmoid", sigmoid, lambda gy, x, y: sigmoid_grad(gy, y)),
    ("tanh", tanh, lambda gy, x, y: tanh_grad(gy, y)),
]


@pytest.mark.parametrize(("name", "f", "grad"), PAIRS, ids=[pair[0] for pair in PAIRS])
def test_gradient_is_the_slope(name: str, f: Any, grad: Any, rng: np.random.Generator, slope: Any) -> None:
    x = rng.uniform(0.1, 2, (3, 4)) * rng.choice([-1, 1], (3, 4))  # away from the kink
    gy, direction = rng.normal(size=x.shape), rng.normal(size=x.shape)
    expected = slope(lambda x: (f(x) * gy).sum(), x, direction, step=1e-6)
    assert (grad(gy, x, f(x)) * direction).sum() == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize(("name", "f", "grad"), PAIRS, ids=[pair[0] for pair in PAIRS])
def test_equals_torch(name: str, f: Any, grad: Any, torch: Any, agree: Callable[..., None]) -> None:
    x = np.array([-800.0, -3.0, -1e-3, -0.0, 0.0, 1e-3, 3.0, 800.0, np.inf, -np.inf])
    tx = torch.tensor(x, requires_grad=True)
    ty = torch.nn.functional.leaky_relu(tx, 0.2) if name == "leaky_relu" else getattr(torch, name)(tx)
    y = f(x)
    finite = np.isfinite(y)
    agree(y[finite], ty.detach()[finite])
    assert (y[~finite] == ty.detach().numpy()[~finite]).all()
    gy = np.arange(1.0, 11.0)
    ty.backward(torch.tensor(gy))
    agree(grad(gy, x, y), tx.grad)


@pytest.mark.parametrize(("name", "f", "grad"), PAIRS, ids=[pair[0] for pair in PAIRS])
def test_nan_stays_nan_and_float32_float32(name: str, f: Any, grad: Any) -> None:
    x = np.array([np.nan, 0.5], np.float32)
    y = f(x)
    assert y.dtype == grad(y, x, y).dtype == np.float32
    assert np.isnan(y).tolist() == [True, False]


def test_slopes_at_zero() -> None:
    zero, one = np.zeros(1), np.ones(1)
    assert relu_grad(one, zero) == 0
    assert leaky_relu_grad(one, zero, 0.2) == 0.2
    assert sigmoid_grad(one, sigmoid(zero)) == 0.25
    assert tanh_grad(one, tanh(zero)) == 1
    assert relu_grad(one, np.array([np.nan])) == 1


def test_prelu_gradients_are_the_slopes(rng: np.random.Generator, slope: Any) -> None:
    x = rng.uniform(0.1, 2, (2, 3, 4)) * rng.choice([-1, 1], (2, 3, 4))
    gy, along, w = rng.normal(size=x.shape), rng.normal(size=x.shape), rng.normal(size=3)
    gx, gw = prelu_grad(gy, x, w)
    assert (gx * along).sum() == pytest.approx(slope(lambda x: (prelu(x, w) * gy).sum(), x, along, step=1e-6), rel=1e-8)
    assert (gw * w).sum() == pytest.approx(slope(lambda w: (prelu(x, w) * gy).sum(), w, w, step=1e-6), rel=1e-8)
