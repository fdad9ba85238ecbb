from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_cnn import Tensor, grad, reference
from tinygrad_cnn import functional as F
from tinygrad_cnn.checks.measure import error

# name -> (our call, the reference, PyTorch's arguments)
OPS: dict[str, tuple[Callable[[Any], Any], Callable[[np.ndarray], np.ndarray], dict[str, Any]]] = {
    "celu": (lambda x: F.celu(x, 0.7), lambda x: reference.celu(x, 0.7), {"alpha": 0.7}),
    "elu": (lambda x: F.elu(x, 1.5), lambda x: reference.elu(x, 1.5), {"alpha": 1.5}),
    "gelu": (F.gelu, lambda x: reference.gelu(x, "none"), {}),
    "gelu-tanh": (lambda x: F.gelu(x, "tanh"), lambda x: reference.gelu(x, "tanh"), {"approximate": "tanh"}),
    "hardsigmoid": (F.hardsigmoid, reference.hardsigmoid, {}),
    "hardswish": (F.hardswish, reference.hardswish, {}),
    "hardtanh": (
        lambda x: F.hardtanh(x, -0.5, 2.0),
        lambda x: reference.hardtanh(x, -0.5, 2.0),
        {"min_val": -0.5, "max_val": 2.0},
    ),
    "logsigmoid": (F.logsigmoid, reference.logsigmoid, {}),
    "mish": (F.mish, reference.mish, {}),
    "relu6": (F.relu6, lambda x: reference.hardtanh(x, 0, 6), {}),
    "selu": (F.selu, reference.selu, {}),
    "silu": (F.silu, reference.silu, {}),
    "softplus": (
        lambda x: F.softplus(x, 0.5, 3.0),
        lambda x: reference.softplus(x, 0.5, 3.0),
        {"beta": 0.5, "threshold": 3.0},
    ),
    "softsign": (F.softsign, reference.softsign, {}),
}
each_op = pytest.mark.parametrize("op", OPS)
KINKS = (-3, -0.5, 0, 2, 3, 6)


def away_from_kinks(rng: np.random.Generator, *shape: int) -> np.ndarray:
    x = rng.uniform(-7, 8, shape)
    for kink in KINKS:
        x = np.where(abs(x - kink) < 0.05, kink + 0.1, x)
    return x


@each_op
@pytest.mark.parametrize(("dtype", "bound"), [(np.float32, 2e-6), (np.float64, 1e-12)])
def test_value_is_the_references(op: str, dtype: Any, bound: float, rng: np.random.Generator) -> None:
    f, wanted, _ = OPS[op]
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
    x = away_from_kinks(rng, 2, 4, 3)
    derivatives(OPS[op][0], x)
    both_orders(OPS[op][0], x)


@each_op
@given(shape=st.lists(st.integers(0, 4), max_size=4))
@settings(derandomize=True, max_examples=8, deadline=None)
def test_any_shape(op: str, shape: list[int]) -> None:
    f, wanted, _ = OPS[op]
    x = Tensor(np.random.default_rng(1).standard_normal(shape), requires_grad=True)
    y = f(x)
    assert y.shape == tuple(shape)
    np.testing.assert_allclose(y.data, wanted(x.data) if x.size else x.data, rtol=1e-11, atol=1e-13)
    (g,) = grad(y.sum(), x)
    assert type(g.data) is np.ndarray
    assert g.shape == x.shape


def slope_at(op: Callable[[Any], Any], value: float, create_graph: bool) -> float:
    x = Tensor(np.array([float(value)]), requires_grad=True)
    (g,) = grad(op(x).sum(), x, create_graph=create_graph)
    return g.item()


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize(
    ("op", "at", "slope"),
    [
        (F.relu6, 0, 0),
        (F.relu6, 6, 0),
        (F.hardtanh, -1, 0),
        (F.hardtanh, 1, 0),
        (F.hardsigmoid, -3, 0),
        (F.hardsigmoid, 3, 0),
        (F.hardswish, -3, 0),
        (F.hardswish, 3, 1),
        (lambda x: F.elu(x, 0.3), 0, 0.3),
        (lambda x: F.celu(x, 0.3), 0, 1),
        (F.selu, 0, 1.7580993408473768),
        (F.softsign, 0, 1),
    ],
)
def test_slopes_at_the_kinks(op: Callable[[Any], Any], at: float, slope: float, create_graph: bool) -> None:
    assert slope_at(op, at, create_graph) == pytest.approx(slope, rel=1e-14)


@pytest.mark.parametrize("op", ["relu6", "hardtanh", "hardsigmoid", "hardswish"])
def test_gradients_are_selected_not_multiplied(op: str) -> None:
    x = Tensor(np.array([-9.0]), requires_grad=True)
    for create_graph in (False, True):
        (g,) = grad(OPS[op][0](x), x, np.array([np.inf]), create_graph=create_graph)
        assert g.tolist() == [0]


@each_op
def test_second_order_far_from_zero_is_finite(op: str) -> None:
    x = Tensor(np.array([-700.0, 700.0]), requires_grad=True)
    (g,) = grad(OPS[op][0](x).sum(), x, create_graph=True)
    if g.requires_grad:
        (gg,) = grad(g.sum(), x)
        assert np.isfinite(gg.data).all()


@each_op
def test_integers_are_refused(op: str) -> None:
    with pytest.raises(TypeError, match=rf"{op.split('-')[0]}: needs float32 or float64.*int64.*astype"):
        OPS[op][0](np.array([[1, 2]]))


@pytest.mark.parametrize(
    ("call", "error_type", "message"),
    [
        (lambda x: F.gelu(x, "erf"), ValueError, "gelu: approximate must be 'none' or 'tanh', got 'erf'"),
        (lambda x: F.hardtanh(x, 2.0, 1.0), ValueError, "hardtanh: min_val 2.0 is larger than max_val 1.0"),
        (lambda x: F.softplus(x, 0), ValueError, "softplus: beta divides the result and must not be 0"),
        (lambda x: F.celu(x, 0.0), ValueError, "celu: alpha divides the input and must not be 0"),
        (lambda x: F.elu(x, "1"), TypeError, "elu: alpha must be a number, got '1'"),
        (lambda x: F.softplus(x, 1.0, None), TypeError, "softplus: threshold must be a number, got None"),
        (lambda x: F.silu([1.0]), TypeError, "silu: needs float32 or float64"),
    ],
)
def test_bad_arguments(call: Callable[[Any], Any], error_type: type[Exception], message: str) -> None:
    with pytest.raises(error_type, match=message):
        call(np.ones(3))


def test_inplace_computes_a_new_tensor() -> None:
    x = np.array([-1.0, 1.0])
    for op in (F.relu6, F.hardsigmoid, F.hardswish, F.elu, F.selu, F.celu, F.silu, F.mish, F.hardtanh):
        op(x, inplace=True)
    assert x.tolist() == [-1, 1]


@each_op
def test_agrees_with_torch(op: str, rng: np.random.Generator, torch: Any, same_as_torch: Callable[..., None]) -> None:
    theirs = getattr(torch.nn.functional, op.split("-")[0])
    for _ in range(50):
        x = rng.uniform(-4, 8, rng.integers(1, 5, rng.integers(0, 5)))  # further left PyTorch's GELU has no digits
        if x.ndim == 1:
            x[:] = rng.choice(KINKS, x.shape)
        bound = 1e-7 if op in ("celu", "hardsigmoid") else 1e-10  # PyTorch rounds the constants of these to float32
        same_as_torch(OPS[op][0], lambda t: theirs(t, **OPS[op][2]), x, bound=bound)
