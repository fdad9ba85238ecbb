from __future__ import annotations

import operator
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import mutually_broadcastable_shapes

from tinygrad_cnn import Tensor, grad
from tinygrad_cnn import functional as F
from tinygrad_cnn.checks.measure import error

# ours, NumPy's, and the interval from which inputs are drawn
BINARY = {
    "add": (F.add, np.add, (-2, 2)),
    "sub": (F.sub, np.subtract, (-2, 2)),
    "rsub": (F.rsub, lambda a, b: b - a, (-2, 2)),
    "mul": (F.mul, np.multiply, (-2, 2)),
    "div": (F.div, np.true_divide, (0.5, 2)),
    "rdiv": (F.rdiv, lambda a, b: b / a, (0.5, 2)),
    "pow": (F.pow, np.power, (0.5, 2)),
    "rpow": (F.rpow, lambda a, b: b**a, (0.5, 2)),
    "maximum": (F.maximum, np.maximum, (-2, 2)),
    "minimum": (F.minimum, np.minimum, (-2, 2)),
}

COMPARE = {
    "eq": (F.eq, operator.eq),
    "ne": (F.ne, operator.ne),
    "lt": (F.lt, operator.lt),
    "le": (F.le, operator.le),
    "gt": (F.gt, operator.gt),
    "ge": (F.ge, operator.ge),
}
SMALL = ((), (2,), (3, 2), (1, 2), (3, 1))


F32, F64, I64 = np.ones(2, np.float32), np.ones(2), np.ones(2, np.int64)


@pytest.mark.parametrize("op", BINARY)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_two_inputs_broadcast(op: str, dtype: Any, draw: Callable[..., np.ndarray]) -> None:
    f, wanted, interval = BINARY[op]
    for a, b in product(SMALL, SMALL):
        x1, x2 = (draw(interval, *shape).astype(dtype) for shape in (a, b))
        leaves = [Tensor(x1, requires_grad=True), Tensor(x2, requires_grad=True)]
        y = f(*leaves)
        assert type(y.data) is np.ndarray
        assert y.dtype == dtype
        np.testing.assert_array_equal(y.data, wanted(x1, x2))
        assert type(f(x1, x2)) is np.ndarray
        for g, leaf in zip(grad(y, leaves, np.ones(y.shape)), leaves, strict=True):
            assert type(g.data) is np.ndarray
            assert g.shape == leaf.shape
            assert g.dtype == dtype


@pytest.mark.parametrize("op", BINARY)
def test_derivatives_of_two_inputs(op: str, draw: Callable[..., np.ndarray], derivatives: Callable[..., None]) -> None:
    f, _, interval = BINARY[op]
    x1, x2 = draw(interval, 3, 2), draw(interval, 2)
    x2 = np.where(np.abs(x1 - x2).min(0) < 0.05, x2 + 0.1, x2)  # no tie for maximum and minimum
    derivatives(f, x1, x2)
    derivatives(lambda x: f(x, 1.5), x1)
    derivatives(lambda x: f(1.5, x), x1)


@given(mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=3, min_side=0))
@settings(derandomize=True, max_examples=50, deadline=None)
def test_broadcasting_is_undone(shapes: Any) -> None:
    leaves = [Tensor(np.ones(shape), requires_grad=True) for shape in shapes.input_shapes]
    y = leaves[0] + leaves[1]
    assert y.shape == shapes.result_shape
    for g, leaf in zip(grad(y, leaves, np.ones(y.shape)), leaves, strict=True):
        assert g.shape == leaf.shape
        if leaf.size:
            assert (g.data == y.size / leaf.size).all()


@pytest.mark.parametrize("op", COMPARE)
def test_comparisons_give_bools_without_a_gradient(op: str) -> None:
    f, wanted = COMPARE[op]
    x1, x2 = np.array([1.0, 2.0, np.nan]), np.array([[2.0], [1.0]])
    y = f(Tensor(x1, requires_grad=True), x2)
    assert y.dtype == bool
    assert not y.requires_grad
    np.testing.assert_array_equal(y.data, wanted(x1, x2))
    np.testing.assert_array_equal(f(x1, 2.0), wanted(x1, 2.0))


@pytest.mark.parametrize(
    ("other", "dtype"),
    [
        (2, np.float32),
        (2.5, np.float32),
        (True, np.float32),
        (np.float64(2.5), np.float32),  # NumPy's scalars are as weak as Python's numbers
        (np.array(2.5), np.float32),  # so are arrays without axes
        (np.int64(2), np.float32),
        (I64, np.float32),
        (F32, np.float32),
        (F64, np.float64),
    ],
)
@pytest.mark.parametrize("op", ["add", "rsub", "mul", "div", "rdiv", "pow", "maximum"])
def test_what_float32_becomes(op: str, other: Any, dtype: Any) -> None:
    f = BINARY[op][0]
    for wrapped in (other, Tensor(other)) if isinstance(other, np.ndarray) else (other,):
        x = Tensor(F32, requires_grad=True)
        y = f(x, wrapped)
        assert y.dtype == dtype
        y.sum().backward()
        assert x.grad.dtype == np.float32
    assert f(F32, other).dtype == dtype


def test_each_gradient_returns_in_its_own_dtype() -> None:
    a, b = Tensor(F32, requires_grad=True), Tensor(F64, requires_grad=True)
    (a * b).sum().backward()
    assert (a.grad.dtype, b.grad.dtype) == (np.float32, np.float64)


def test_integers() -> None:
    i = Tensor([7, -2])
    assert (i + 1).dtype == (i * i).dtype == (-i).dtype == abs(i).dtype == np.int64
    assert (i / 2).dtype == (i / i).dtype == (i * 0.5).dtype == F.exp(i).dtype == np.float32
    assert (i / 2).tolist() == [3.5, -1]
    assert F.clamp(i, 0, 5).tolist() == [5, 0]
    assert F.clamp(i, 0, 5).dtype == np.int64
    assert F.clamp(i, 0.5, 5).dtype == np.float32
    assert F.where(i > 0, i, 0).dtype == np.int64
    assert F.sqrt(np.array([4], np.uint8)).dtype == np.float32


def test_powers_at_zero_up_to_the_third_order() -> None:
    for p, wanted in ((1, [1, 0, 0]), (2, [0, 2, 0]), (3, [0, 0, 6])):
        x = Tensor(np.array(0.0), requires_grad=True)
        y, found = x**p, []
        for _ in range(3):
            (y,) = grad(y, x, create_graph=True, allow_unused=True) if y.requires_grad else (Tensor(np.array(0.0)),)
            y = Tensor(np.array(0.0)) if y is None else y
            found.append(y.item())
        assert found == wanted


def test_the_exponent_zero() -> None:
    """The derivative of x**p by x is 0 for p = 0 at any x; its own derivative by p is 1/x there."""
    x = Tensor([0.0, 4.0, np.inf], requires_grad=True)
    (x ** np.zeros(3, np.float32)).sum().backward()
    assert x.grad.tolist() == [0, 0, 0]
    x, p = (Tensor(np.array(v), requires_grad=True) for v in (4.0, 0.0))
    (gx,) = grad(x**p, x, create_graph=True)
    assert grad(gx, p)[0].item() == 0.25


def test_nan_propagates_through_maximum() -> None:
    assert np.isnan(F.maximum(np.array([np.nan, 1.0]), np.array([1.0, np.nan]))).all()
    assert np.isnan(F.minimum(np.array([np.nan, 1.0]), np.array([1.0, np.nan]))).all()


@pytest.mark.parametrize("op", BINARY)
def test_agrees_with_torch(op: str, rng: np.random.Generator, draw: Callable[..., np.ndarray], torch: Any) -> None:
    f, _, interval = BINARY[op]
    theirs = {"rdiv": lambda a, b: b / a, "rpow": lambda a, b: b**a}.get(op) or getattr(torch, op)
    arrays = [draw(interval, 3, 4) for _ in range(2)]
    if op in ("maximum", "minimum"):
        arrays[1][0] = arrays[0][0]
    leaves = [Tensor(a, requires_grad=True) for a in arrays]
    others = [torch.tensor(a, requires_grad=True) for a in arrays]
    y, z = f(*leaves), theirs(*others)
    assert error(y.data, z.detach().numpy()) <= 1e-14
    u = rng.standard_normal((3, 4))
    for g, h in zip(grad(y, leaves, u), torch.autograd.grad(z, others, torch.tensor(u)), strict=True):
        assert error(g.data, h.numpy()) <= 1e-14
