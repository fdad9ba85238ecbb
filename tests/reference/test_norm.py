from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn.reference import batch_norm, batch_norm_grad, batch_norm_statistics

SHAPES = [(6, 3), (4, 3, 5), (2, 3, 4, 5)]


def test_by_hand() -> None:
    x = np.array([[1.0, 10.0], [3.0, 10.0]])
    mean, var = batch_norm_statistics(x)
    assert mean.tolist() == [2, 10]
    assert var.tolist() == [1, 0]
    y = batch_norm(x, np.array([5.0, 5.0]), np.array([0.0, 7.0]), mean, np.array([1.0, 4.0]), eps=0.0)
    assert y.tolist() == [[-5, 7], [5, 7]]
    assert batch_norm(x, np.ones(2), np.zeros(2), mean, var, eps=3.0)[1].tolist() == [0.5, 0]


@pytest.mark.parametrize("shape", SHAPES)
def test_equals_torch(shape: tuple, torch: Any, rng: np.random.Generator, agree: Callable[..., None]) -> None:
    x, (gamma, beta) = 3 * rng.normal(size=shape) + 5, rng.normal(size=(2, 3))
    tx, t_gamma, t_beta = (torch.tensor(a, requires_grad=True) for a in (x, gamma, beta))
    ty = torch.nn.functional.batch_norm(tx, None, None, t_gamma, t_beta, training=True, eps=1e-3)
    mean, var = batch_norm_statistics(x)
    agree(batch_norm(x, gamma, beta, mean, var, 1e-3), ty)
    gy = rng.normal(size=shape)
    ty.backward(torch.tensor(gy))
    gx, ggamma, gbeta = batch_norm_grad(gy, x, gamma, mean, var, 1e-3)
    agree(gx, tx.grad)
    agree(ggamma, t_gamma.grad)
    agree(gbeta, t_beta.grad)


def test_running_statistics_equal_torch(torch: Any, rng: np.random.Generator, agree: Callable[..., None]) -> None:
    x, (gamma, beta, mean), var = rng.normal(size=(2, 3, 4, 5)), rng.normal(size=(3, 3)), rng.uniform(1, 2, 3)
    expected = torch.nn.functional.batch_norm(*map(torch.tensor, (x, mean, var, gamma, beta)), training=False, eps=0.1)
    agree(batch_norm(x, gamma, beta, mean, var, 0.1), expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_are_the_slopes(shape: tuple, rng: np.random.Generator, slope: Any) -> None:
    x, gy, direction = (rng.normal(size=shape) for _ in range(3))
    gamma, beta, step = rng.normal(size=(3, 3))

    def loss(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray) -> np.ndarray:
        return (batch_norm(x, gamma, beta, *batch_norm_statistics(x), 0.1) * gy).sum()

    gx, ggamma, gbeta = batch_norm_grad(gy, x, gamma, *batch_norm_statistics(x), 0.1)
    along_x = slope(lambda x: loss(x, gamma, beta), x, direction, step=1e-5)
    assert (gx * direction).sum() == pytest.approx(along_x, rel=1e-7)
    assert ggamma @ step == pytest.approx(slope(lambda gamma: loss(x, gamma, beta), gamma, step, step=1.0), rel=1e-10)
    assert gbeta @ step == pytest.approx(slope(lambda beta: loss(x, gamma, beta), beta, step, step=1.0), rel=1e-10)


def test_a_large_mean_does_not_drown_the_variance() -> None:
    x = np.array([[1e4 - 1], [1e4 + 1]], np.float32)
    mean, var = batch_norm_statistics(x)
    assert mean.dtype == var.dtype == np.float64
    assert (mean[0], var[0]) == (1e4, 1)
    x = np.array([[1e9 - 1], [1e9 + 1]])
    assert batch_norm_statistics(x)[1] == 1  # E[x**2] - E[x]**2 gives 0


def test_float32_stays_float32(rng: np.random.Generator) -> None:
    x, gamma = rng.normal(size=(4, 3, 2)).astype(np.float32), np.ones(3, np.float32)
    mean, var = batch_norm_statistics(x)
    y = batch_norm(x, gamma, gamma, mean, var, 1e-5)
    assert y.dtype == np.float32
    assert {g.dtype for g in batch_norm_grad(y, x, gamma, mean, var, 1e-5)} == {np.dtype(np.float32)}
