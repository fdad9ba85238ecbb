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


CHANNELS = {
    "dropout1d": (F.dropout1d, (5, 7, 4)),
    "dropout2d": (F.dropout2d, (5, 7, 2, 3)),
    "dropout3d": (F.dropout3d, (5, 7, 2, 1, 3)),
}
each_rank = pytest.mark.parametrize("name", CHANNELS)


@each_rank
def test_whole_channels_are_dropped(name: str, derivatives: Callable[..., None], rng: np.random.Generator) -> None:
    f, shape = CHANNELS[name]
    y = f(np.ones(shape, np.float32), 0.4, generator=seeded())
    assert y.dtype == np.float32
    channels = y.reshape(35, -1)
    assert (channels == channels[:, :1]).all()
    assert set(np.round(channels[:, 0] * 0.6, 6).tolist()) == {0, 1}
    derivatives(lambda x: f(x, 0.4, generator=seeded()), rng.standard_normal(shape), steps=(1.0,))


@each_rank
def test_channels_all_or_nothing(name: str) -> None:
    f, shape = CHANNELS[name]
    x = np.ones(shape)
    assert not f(x, 1.0).any()
    assert f(x, 0.0) is x
    assert f(x, 0.5, False) is x
    assert f(x[:0]).shape == (0, *shape[1:])


@each_rank
def test_channels_need_their_layout(name: str) -> None:
    f, shape = CHANNELS[name]
    with pytest.raises(ValueError, match=rf"{name}: needs shape \(N, C, .*L|W\), got \(5, 7\)"):
        f(np.ones(shape[:2]))
    with pytest.raises(ValueError, match=f"{name}: p is the probability"):
        f(np.ones(shape), 2.0)
    with pytest.raises(TypeError, match=f"{name}: needs float32 or float64"):
        f(np.ones(shape, int))


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_alpha_dropout_keeps_mean_and_variance(p: float, rng: np.random.Generator) -> None:
    y = F.alpha_dropout(rng.standard_normal(400_000), p, True, generator=seeded())
    assert abs(y.mean()) < 0.01
    assert abs(y.var() - 1) < 0.02


def test_alpha_dropout(derivatives: Callable[..., None], rng: np.random.Generator) -> None:
    derivatives(lambda x: F.alpha_dropout(x, 0.4, True, generator=seeded()), rng.standard_normal((3, 4)))
    x = np.ones(3, np.float32)
    assert F.alpha_dropout(x) is x
    assert F.alpha_dropout(x, 0.0, True) is x
    assert not F.alpha_dropout(x, 1.0, True).any()
    assert F.alpha_dropout(x, 0.5, True).dtype == np.float32
    with pytest.raises(ValueError, match="alpha_dropout: p is the probability"):
        F.alpha_dropout(x, -1)


@pytest.mark.parametrize("scalar", [np.float16, np.float64, np.longdouble])
@pytest.mark.parametrize("name", ["dropout", "dropout2d", "alpha_dropout"])
def test_any_float_is_a_probability(name: str, scalar: Any, rng: np.random.Generator) -> None:
    x = rng.standard_normal((2, 3, 4, 5)).astype(np.float32)
    found, wanted = (getattr(F, name)(x, p, True, generator=seeded()) for p in (scalar(0.5), 0.5))
    assert found.dtype == np.float32
    assert found.tobytes() == wanted.tobytes()
