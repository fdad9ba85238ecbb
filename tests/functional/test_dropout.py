from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import Tensor, grad, manual_seed
from tinygrad_cnn import functional as F


def seeded() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_survivors_are_scaled_and_the_gradient_has_the_same_mask(dtype: Any) -> None:
    x = Tensor(np.full((40, 25), 3, dtype), requires_grad=True)
    y = F.dropout(x, 0.25, generator=seeded())
    y.sum().backward()
    assert y.dtype == x.grad.dtype == dtype
    kept = y.data != 0
    assert 700 < kept.sum() < 800
    np.testing.assert_allclose(y.data[kept], 3 / 0.75, rtol=1e-6)
    np.testing.assert_allclose(x.grad.data, kept / 0.75, rtol=1e-6)


def test_every_order_has_the_mask(derivatives: Callable[..., None], rng: np.random.Generator) -> None:
    x = rng.standard_normal((3, 4))
    derivatives(lambda x: F.dropout(x, 0.4, generator=seeded()), x, steps=(1.0,))
    derivatives(lambda x: F.dropout(x * x * x, 0.4, generator=seeded()), x)
    leaf = Tensor(x, requires_grad=True)
    y = F.dropout(leaf * leaf, 0.5, generator=seeded())
    (g,) = grad(y.sum(), leaf, create_graph=True)
    (gg,) = grad(g.sum(), leaf)
    np.testing.assert_array_equal(gg.data, 4.0 * (y.data != 0))


def test_it_is_its_own_adjoint(rng: np.random.Generator) -> None:
    x, u = rng.standard_normal((2, 5, 6))
    leaf = Tensor(x, requires_grad=True)
    y = F.dropout(leaf, 0.3, generator=seeded())
    (g,) = grad(y, leaf, u)
    assert np.vdot(y.data, u) == pytest.approx(np.vdot(x, g.data), rel=1e-14)


def test_all_or_nothing() -> None:
    x = Tensor(np.array([1.0, np.inf]), requires_grad=True)
    y = F.dropout(x, 1.0)
    y.sum().backward()
    assert y.tolist() == [0, 0]
    assert x.grad.tolist() == [0, 0]
    assert F.dropout(x, 0.0) is x
    assert F.dropout(x, 0.5, training=False) is x
    array = np.ones(3)
    assert F.dropout(array, 0.5, False) is array


def test_the_default_generator_is_seeded_and_left_alone() -> None:
    x = np.ones(50)
    manual_seed(3)
    a = F.dropout(x)
    b = F.dropout(x)
    manual_seed(3)
    F.dropout(x, generator=seeded())
    F.dropout(x, training=False)
    np.testing.assert_array_equal(F.dropout(x, inplace=True), a)
    assert (a != b).any()
    assert x.tolist() == [1] * 50


@pytest.mark.parametrize("p", [-0.1, 1.5, float("nan")])
def test_what_is_no_probability(p: float) -> None:
    with pytest.raises(ValueError, match="dropout: p is the probability of a zero, from 0 to 1, got"):
        F.dropout(np.ones(2), p)


def test_wrong_types() -> None:
    with pytest.raises(TypeError, match="dropout: p must be a number"):
        F.dropout(np.ones(2), "half")
    with pytest.raises(TypeError, match="dropout: needs float32 or float64"):
        F.dropout(np.ones(2, int))


def test_empty_batch() -> None:
    assert F.dropout(np.ones((0, 3))).shape == (0, 3)
