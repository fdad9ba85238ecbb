from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn.reference import (
    group_norm,
    group_norm_grad,
    local_response_norm,
    local_response_norm_grad,
)


def test_group_norm_gradient_is_the_slope(rng: np.random.Generator, slope: Any) -> None:
    x, gy, along = rng.normal(size=(3, 4, 3, 5))
    gamma, beta = rng.normal(size=(2, 2, 3))
    gx, ggamma, gbeta = group_norm_grad(gy, x, gamma, *group_norm(x, gamma, beta, 0.1)[1:])
    expected = slope(lambda x: (group_norm(x, gamma, beta, 0.1)[0] * gy).sum(), x, along, step=1e-6)
    assert (gx * along).sum() == pytest.approx(expected, rel=1e-7)
    for g, f in (
        (ggamma, lambda v: (group_norm(x, v, beta, 0.1)[0] * gy).sum()),
        (gbeta, lambda v: (group_norm(x, gamma, v, 0.1)[0] * gy).sum()),
    ):
        assert (g * gamma).sum() == pytest.approx(slope(f, gamma, gamma, step=1e-6), rel=1e-7)


def test_lrn_gradient_is_the_slope(rng: np.random.Generator, slope: Any) -> None:
    x, gy, along = rng.normal(size=(3, 2, 6, 3))
    settings = 2, 1, 0.5, 0.75
    _, d = local_response_norm(x, *settings, 1.0)
    expected = slope(lambda x: (local_response_norm(x, *settings, 1.0)[0] * gy).sum(), x, along, step=1e-6)
    assert (local_response_norm_grad(gy, x, d, *settings) * along).sum() == pytest.approx(expected, rel=1e-7)


def test_group_norm_equals_torch(rng: np.random.Generator, torch: Any, agree: Callable[..., None]) -> None:
    x, (w, b) = rng.normal(size=(3, 6, 4, 5)), rng.normal(size=(2, 6))
    y, mean, _ = group_norm(x.reshape(9, 2, 20), w.reshape(3, 2), b.reshape(3, 2), 1e-5)
    agree(y.reshape(x.shape), torch.nn.functional.group_norm(*map(torch.tensor, (x,)), 3, *map(torch.tensor, (w, b))))
    np.testing.assert_allclose(mean, x.reshape(9, -1).mean(1))


def test_lrn_equals_torch(rng: np.random.Generator, torch: Any, agree: Callable[..., None]) -> None:
    x = rng.normal(size=(3, 7, 4, 5))
    y, _ = local_response_norm(x, 2, 1, 0.5 / 4, 0.75, 2.0)
    agree(y, torch.nn.functional.local_response_norm(torch.tensor(x), 4, 0.5, 0.75, 2.0))
