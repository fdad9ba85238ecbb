from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_cnn
from tinygrad_cnn import Tensor, grad, reference
from tinygrad_cnn import functional as F
from tinygrad_cnn.checks.measure import error

OPS = {
    "relu": (F.relu, reference.relu),
    "leaky_relu": (lambda x: F.leaky_relu(x, 0.3), lambda x: reference.leaky_relu(x, 0.3)),
    "sigmoid": (F.sigmoid, reference.sigmoid),
    "tanh": (F.tanh, reference.tanh),
    "softmax": (lambda x: F.softmax(x, 1), lambda x: reference.softmax(x, 1)),
    "log_softmax": (lambda x: F.log_softmax(x, 1), lambda x: reference.log_softmax(x, 1)),
    "softmin": (lambda x: F.softmin(x, 1), lambda x: reference.softmax(-x, 1)),
}
each_op = pytest.mark.parametrize("op", OPS)


def away_from_zero(rng: np.random.Generator, *shape: int) -> np.ndarray:
    x = rng.standard_normal(shape)
    return x + 0.1 * np.sign(x)


@each_op
@pytest.mark.parametrize(("dtype", "bound"), [(np.float32, 2e-6), (np.float64, 1e-12)])
def test_value_is_the_references(op: str, dtype: Any, bound: float, rng: np.random.Generator) -> None:
    f, wanted = OPS[op]
    x = (3 * rng.standard_normal((4, 5, 3, 2))).astype(dtype)
    y = f(x)
    assert type(y) is np.ndarray
    assert y.dtype == dtype
    assert error(y, wanted(x)) <= bound
    assert isinstance(f(Tensor(x)), Tensor)


@each_op
def test_derivatives_of_both_orders(
    op: str, rng: np.random.Generator, derivatives: Callable[..., None], both_orders: Callable[..., None]
) -> None:
    x = away_from_zero(rng, 2, 4, 3)
    derivatives(OPS[op][0], x)
    both_orders(OPS[op][0], x)


@each_op
def test_any_layout_gives_the_same_bits(op: str, rng: np.random.Generator) -> None:
    f = OPS[op][0]
    x = rng.standard_normal((6, 5, 4)).astype(np.float32)
    for other in (np.asfortranarray(x), x[::-1].copy()[::-1], np.repeat(x, 2, 2)[:, :, ::2]):
        np.testing.assert_array_equal(f(other), f(x))


@each_op
def test_empty_batch(op: str) -> None:
    x = Tensor(np.zeros((0, 3), np.float32), requires_grad=True)
    y = OPS[op][0](x)
    y.backward(np.zeros((0, 3), np.float32))
    assert y.shape == x.grad.shape == (0, 3)


@each_op
def test_integers_are_refused(op: str) -> None:
    with pytest.raises(TypeError, match=rf"{op}: needs float32 or float64.*int64.*astype"):
        OPS[op][0](np.array([[1, 2]]))


@pytest.mark.parametrize("op", ["relu", "leaky_relu", "sigmoid", "tanh"])
def test_numbers_without_axes_stay_arrays(op: str) -> None:
    x = Tensor(np.float32(0.5), requires_grad=True)
    OPS[op][0](x).backward()
    assert type(x.grad.data) is np.ndarray
    assert x.grad.shape == ()
    assert x.grad.dtype == np.float32


def slope_at(f: Callable[[Tensor], Tensor], value: float, create_graph: bool) -> float:
    x = Tensor(np.array([value]), requires_grad=True)
    (g,) = grad(f(x).sum(), x, create_graph=create_graph)
    return g.item()


@pytest.mark.parametrize("create_graph", [False, True])
def test_slopes_at_the_kink(create_graph: bool) -> None:
    assert slope_at(F.relu, 0.0, create_graph) == 0
    assert slope_at(lambda x: F.leaky_relu(x, 0.25), 0.0, create_graph) == 0.25


def test_relu_selects_instead_of_multiplying() -> None:
    x = Tensor(np.array([-1.0, 2.0]), requires_grad=True)
    for create_graph in (False, True):
        (g,) = grad(F.relu(x), x, np.array([np.inf, np.inf]), create_graph=create_graph)
        assert g.data.tolist() == [0, np.inf]


def test_nan_passes() -> None:
    for op in ("relu", "leaky_relu", "sigmoid", "tanh"):
        assert np.isnan(OPS[op][0](np.array([np.nan, 1.0]))[0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_far_from_zero_nothing_overflows(dtype: Any) -> None:
    x = Tensor(np.array([-800.0, 800.0], dtype), requires_grad=True)
    assert F.sigmoid(x).tolist() == [0, 1]
    assert F.tanh(x).tolist() == [-1, 1]
    assert F.softmax(x, 0).tolist() == [0, 1]
    assert F.log_softmax(x, 0).tolist() == [-1600, 0]
    for f in (F.sigmoid, F.tanh, lambda x: F.softmax(x, 0), lambda x: F.log_softmax(x, 0)):
        (g,) = grad(f(x), x, np.array([1.0, 2.0], dtype))
        assert np.isfinite(g.data).all()


def test_minus_infinity_among_the_scores() -> None:
    x = np.array([[-np.inf, 1.0, 1.0], [-np.inf, -np.inf, -np.inf]])
    y = F.softmax(x, 1)
    assert y[0].tolist() == [0, 0.5, 0.5]
    assert np.isnan(y[1]).all()


@given(shape=st.lists(st.integers(1, 4), min_size=1, max_size=4), data=st.data())
@settings(derandomize=True, max_examples=25, deadline=None)
def test_probabilities_along_any_axis(shape: list[int], data: Any) -> None:
    dim = data.draw(st.integers(-len(shape), len(shape) - 1))
    x = np.random.default_rng(0).standard_normal(shape)
    y = F.softmax(x, dim)
    np.testing.assert_allclose(y.sum(dim), 1, rtol=1e-14)
    assert error(y, reference.softmax(x, dim % len(shape))) <= 1e-13
    np.testing.assert_array_equal(F.softmax(x, axis=dim), y)
    np.testing.assert_allclose(np.exp(F.log_softmax(x, dim)), y, rtol=1e-13)


def test_the_axis_must_be_named_once_and_exist() -> None:
    x = np.zeros((2, 3))
    with pytest.raises(TypeError, match="softmax: say along which dim"):
        F.softmax(x)
    with pytest.raises(TypeError, match="two names of one argument"):
        F.log_softmax(x, 1, axis=1)
    with pytest.raises(IndexError, match=r"dim 2 is out of range for 2 dimensions \(-2 to 1\)"):
        F.softmax(x, 2)


def test_inplace_computes_a_new_tensor() -> None:
    x = np.array([-1.0, 1.0])
    assert F.relu(x, inplace=True).tolist() == [0, 1]
    assert F.leaky_relu(x, 0.5, inplace=True).tolist() == [-0.5, 1]
    assert x.tolist() == [-1, 1]


@each_op
def test_agrees_with_torch(op: str, rng: np.random.Generator, torch: Any) -> None:
    theirs = {
        "leaky_relu": lambda x: torch.nn.functional.leaky_relu(x, 0.3),
        "softmax": lambda x: torch.softmax(x, 1),
        "softmin": lambda x: torch.nn.functional.softmin(x, 1),
        "log_softmax": lambda x: torch.log_softmax(x, 1),
    }.get(op) or getattr(torch, op)
    array, u, v = rng.standard_normal((3, 4, 5, 3))
    array[0, 0, 0] = 0
    x = Tensor(array, requires_grad=True)
    (g,) = grad(OPS[op][0](x), x, Tensor(u), create_graph=True)
    t = torch.tensor(array, requires_grad=True)
    (h,) = torch.autograd.grad(theirs(t), t, torch.tensor(u), create_graph=True)
    assert error(g.data, h.detach().numpy()) <= 1e-13
    if g.requires_grad and h.requires_grad and op not in ("relu", "leaky_relu"):
        (gg,), (hh,) = grad(g, x, v), torch.autograd.grad(h, t, torch.tensor(v))
        assert error(gg.data, hh.numpy()) <= 1e-12


PRELU_SHAPES = [((2, 3, 4, 5), 3), ((4, 3), 3), ((2, 3, 4), 1), ((5,), 1), ((), 1)]


@pytest.mark.parametrize(("shape", "slopes"), PRELU_SHAPES)
def test_prelu(
    shape: tuple[int, ...],
    slopes: int,
    rng: np.random.Generator,
    derivatives: Callable[..., None],
    both_orders: Callable[..., None],
) -> None:
    x, w = np.asarray(away_from_zero(rng, *shape)), rng.standard_normal(slopes)
    y = F.prelu(x, w)
    by_channel = w.reshape(-1, *(1,) * (x.ndim - 2)) if slopes > 1 else w[0]
    np.testing.assert_array_equal(y, np.where(x > 0, x, by_channel * x))
    derivatives(F.prelu, x, w)
    both_orders(F.prelu, x, w)


@pytest.mark.parametrize("create_graph", [False, True])
def test_prelu_at_zero_has_its_slope_and_selects(create_graph: bool) -> None:
    x, w = Tensor(np.array([[0.0, -1.0, 2.0]]), requires_grad=True), Tensor(np.array([0.3]), requires_grad=True)
    gx, gw = grad(F.prelu(x, w), [x, w], np.array([[1.0, 2.0, np.inf]]), create_graph=create_graph)
    assert gx.tolist() == [[0.3, 0.6, np.inf]]
    assert gw.tolist() == [-2]


def test_prelu_agrees_with_torch(rng: np.random.Generator, torch: Any, same_as_torch: Callable[..., None]) -> None:
    for _ in range(50):
        x = rng.standard_normal(rng.integers(1, 5, rng.integers(2, 5)))
        w = rng.standard_normal(rng.choice([1, x.shape[1]]))
        same_as_torch(F.prelu, torch.nn.functional.prelu, x, w)


@pytest.mark.parametrize(
    ("shape", "weight"), [((2, 3), np.ones(2)), ((3,), np.ones(3)), ((2, 3), np.ones((3, 1))), ((2, 3), np.ones(0))]
)
def test_prelu_takes_one_slope_or_one_for_each_channel(shape: tuple[int, ...], weight: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"prelu: weight must have shape \(1,\) or \(\d,\), one slope for each"):
        F.prelu(np.ones(shape), weight)


def test_prelu_mixes_no_dtypes() -> None:
    with pytest.raises(TypeError, match=r"prelu: .* input float64, weight float32"):
        F.prelu(np.ones((2, 3)), np.ones(3, np.float32))


def test_gumbel_softmax_draws_from_the_distribution(rng: np.random.Generator) -> None:
    p = np.array([0.1, 0.2, 0.7])
    y = F.gumbel_softmax(np.tile(np.log(p), (20_000, 1)), hard=True, generator=rng)
    assert set(y.ravel().tolist()) == {0, 1}
    assert (y.sum(1) == 1).all()
    np.testing.assert_allclose(y.mean(0), p, atol=0.01)


def test_gumbel_softmax_is_sharper_the_smaller_tau() -> None:
    x = np.zeros((4, 5), np.float32)
    cold, hot = (F.gumbel_softmax(x, tau, generator=np.random.default_rng(0)) for tau in (0.01, 100.0))
    assert cold.dtype == np.float32
    assert cold.max(1).min() > 0.99
    np.testing.assert_allclose(hot, 0.2, atol=0.03)
    np.testing.assert_allclose(cold.sum(1), 1, rtol=1e-6)
    along_0 = F.gumbel_softmax(x, dim=0, generator=np.random.default_rng(0))
    np.testing.assert_allclose(along_0.sum(0), 1, rtol=1e-6)


def test_a_hard_choice_has_the_gradient_of_the_soft_one(
    rng: np.random.Generator, derivatives: Callable[..., None]
) -> None:
    x, u = Tensor(rng.standard_normal((3, 4)), requires_grad=True), rng.standard_normal((3, 4))
    (soft,), (hard,) = (
        grad(F.gumbel_softmax(x, 0.5, hard, generator=np.random.default_rng(1)), x, u) for hard in (False, True)
    )
    np.testing.assert_array_equal(soft.data, hard.data)
    derivatives(lambda x: F.gumbel_softmax(x, 0.5, generator=np.random.default_rng(1)), x.data)


def test_gumbel_softmax_follows_the_seed() -> None:
    tinygrad_cnn.manual_seed(3)
    a = F.gumbel_softmax(np.zeros((2, 3)))
    tinygrad_cnn.manual_seed(3)
    np.testing.assert_array_equal(F.gumbel_softmax(np.zeros((2, 3))), a)


def test_gumbel_softmax_of_bad_arguments() -> None:
    with pytest.raises(ValueError, match="gumbel_softmax: the temperature tau must be above 0, got 0"):
        F.gumbel_softmax(np.zeros(3), 0)
    with pytest.raises(TypeError, match="gumbel_softmax: needs float32 or float64"):
        F.gumbel_softmax(np.zeros(3, int))
    with pytest.raises(IndexError, match="dim 1 is out of range"):
        F.gumbel_softmax(np.zeros(3), dim=1)
    with pytest.raises(TypeError, match="generator"):
        F.gumbel_softmax(np.zeros(3), generator=3)
