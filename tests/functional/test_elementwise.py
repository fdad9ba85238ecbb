from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import Tensor, grad
from tinygrad_cnn import functional as F
from tinygrad_cnn.checks.measure import error

# ours, NumPy's, and the interval from which inputs are drawn
UNARY = {
    "neg": (F.neg, np.negative, (-2, 2)),
    "exp": (F.exp, np.exp, (-2, 2)),
    "log": (F.log, np.log, (0.5, 2)),
    "sqrt": (F.sqrt, np.sqrt, (0.5, 2)),
    "sign": (F.sign, np.sign, (0.5, 2)),
    "abs": (F.abs, np.abs, (-2, 2)),
    "clamp": (lambda x: F.clamp(x, -0.5, 1.25), lambda x: np.clip(x, -0.5, 1.25), (-2, 2)),
    "clone": (F.clone, np.copy, (-2, 2)),
}


@pytest.mark.parametrize("op", UNARY)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_input(op: str, dtype: Any, draw: Callable[..., np.ndarray]) -> None:
    f, wanted, interval = UNARY[op]
    for shape in ((), (3, 4), (0, 2)):
        x = Tensor(draw(interval, *shape).astype(dtype), requires_grad=True)
        y = f(x)
        np.testing.assert_array_equal(y.data, wanted(x.data))
        (g,) = grad(y, x, np.ones(shape))
        assert type(y.data) is type(g.data) is type(f(x.data)) is np.ndarray
        assert y.dtype == g.dtype == dtype
        assert g.shape == shape


@pytest.mark.parametrize("op", UNARY)
def test_derivatives_of_one_input(op: str, draw: Callable[..., np.ndarray], derivatives: Callable[..., None]) -> None:
    f, _, interval = UNARY[op]
    derivatives(f, draw(interval, 3, 4))
    derivatives(lambda x: f(x) ** 3, draw(interval, 3, 4))


# --- dtypes ------------------------------------------------------------------------------------------------------

F32, F64, I64 = np.ones(2, np.float32), np.ones(2), np.ones(2, np.int64)


def test_astype() -> None:
    x = Tensor(F32, requires_grad=True)
    assert F.astype(x, np.float32) is x
    y = F.astype(x, np.float64)
    (y * y).sum().backward()
    assert y.dtype == np.float64
    assert x.grad.dtype == np.float32
    assert not F.astype(x, np.int64).requires_grad
    for dtype in (np.float16, np.complex128, object):
        with pytest.raises(TypeError, match=r"astype: .* is not supported"):
            F.astype(x, dtype)


# --- points without a derivative, extreme values -----------------------------------------------------------------


def slopes(f: Callable[..., Any], *values: float) -> list[float]:
    """The derivatives of f at the values, the same with and without create_graph."""
    leaves = [Tensor(np.array(float(v)), requires_grad=True) for v in values]
    fused = [g.item() for g in grad(f(*leaves), leaves)]
    assert fused == [g.item() for g in grad(f(*leaves), leaves, create_graph=True)]
    return fused


def test_chosen_derivatives() -> None:
    assert slopes(F.abs, 0.0) == [0]
    assert slopes(F.sign, 0.0) == [0]
    assert slopes(F.maximum, 3.0, 3.0) == slopes(F.minimum, 3.0, 3.0) == [0.5, 0.5]
    assert slopes(F.maximum, 3.0, 4.0) == slopes(F.minimum, 4.0, 3.0) == [0, 1]
    clamp = lambda x: F.clamp(x, -1, 2)
    assert [slopes(clamp, v)[0] for v in (-1.5, -1, 0, 2, 2.5, np.nan)] == [0, 1, 1, 1, 0, 0]
    assert [slopes(lambda x, p=p: x**p, 0.0)[0] for p in (0, 1, 2, 3)] == [0, 1, 0, 0]
    assert slopes(F.pow, 0.0, 2.0) == [0, 0]
    assert slopes(F.pow, 0.0, 1.0) == [1, 0]
    assert slopes(F.pow, 0.0, 0.0) == [0, 0]


def test_where() -> None:
    c = np.array([True, False, True])
    a, b = (Tensor(np.array(v), requires_grad=True) for v in ([1.0, 2.0, 3.0], 9.0))
    y = F.where(Tensor(c), a, b)
    assert y.tolist() == [1, 9, 3]
    for u in ([np.inf, 5.0, 7.0], [2.0, np.inf, 7.0]):
        ga, gb = grad(y, [a, b], np.array(u), retain_graph=True)
        assert ga.tolist() == [u[0], 0, u[2]]  # selected: inf * 0 would be NaN
        assert gb.item() == u[1]
    x = Tensor(np.array([-1.0, 4.0]), requires_grad=True)
    safe = F.where(x > 0, F.sqrt(F.where(x > 0, x, 1.0)), 0.0)
    safe.sum().backward()
    assert x.grad.tolist() == [0, 0.25]


def test_where_derivatives(rng: np.random.Generator, derivatives: Callable[..., None]) -> None:
    c = rng.random((3, 4)) < 0.5
    derivatives(lambda a, b: F.where(c, a * a, a * b), rng.standard_normal((3, 4)), rng.standard_normal((1, 4)))


def test_a_clone_is_a_copy() -> None:
    x = Tensor(np.ones(2), requires_grad=True)
    y = F.clone(x)
    assert not np.shares_memory(x.data, y.data)
    y.sum().backward()
    assert x.grad.tolist() == [1, 1]


# --- errors ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error_type", "message"),
    [
        (
            lambda: F.add(np.ones((2, 3)), np.ones((2, 4))),
            ValueError,
            r"Add: shapes \(2, 3\) and \(2, 4\) do not",
        ),
        (lambda: Tensor([1.0]) * None, TypeError, "Mul: cannot combine"),
        (lambda: Tensor([1.0]) + "1", TypeError, "Add: cannot combine"),
        (lambda: F.add(Tensor([1.0]), [1.0]), TypeError, "Add: cannot combine a Tensor with list"),
        (lambda: F.where(np.ones(2), 1.0, 2.0), TypeError, "where: the condition must be of dtype bool, got float64"),
        (lambda: F.where(np.ones(2, bool), np.ones(3), 0.0), ValueError, "where: shapes .* do not broadcast"),
        (
            lambda: Tensor([1.0]) * np.array([1j]),
            TypeError,
            "Mul: takes real .* got float32 and complex128",
        ),
        (
            lambda: Tensor([1]) + np.array([1], object),
            TypeError,
            "Add: takes real .* got int64 and object",
        ),
        (lambda: -Tensor([True]), TypeError, "Neg: takes numbers, got bool"),
        (lambda: F.clamp(F64), ValueError, "clamp: give at least one of min and max"),
        (lambda: F.clamp(F64, Tensor(F64)), TypeError, r"clamp: min must be a number.*maximum\(\)"),
    ],
)
def test_errors_teach(call: Callable[[], Any], error_type: type[Exception], message: str) -> None:
    with pytest.raises(error_type, match=message):
        call()


def test_a_condition_has_no_derivative() -> None:
    assert not (Tensor(F64, requires_grad=True) > 0).requires_grad
    assert slopes(lambda x: F.where(x > 0, x * 3, x), 2.0) == [3]


@pytest.mark.parametrize("op", UNARY)
def test_agrees_with_torch(op: str, rng: np.random.Generator, draw: Callable[..., np.ndarray], torch: Any) -> None:
    f, _, interval = UNARY[op]
    theirs = {"clamp": lambda x: torch.clamp(x, -0.5, 1.25)}.get(op) or getattr(torch, op)
    x = draw(interval, 3, 4)
    if op == "clamp":
        x[0] = [-0.5, 1.25, 3, -3]
    leaves, others = [Tensor(x, requires_grad=True)], [torch.tensor(x, requires_grad=True)]
    y, z = f(*leaves), theirs(*others)
    assert error(y.data, z.detach().numpy()) <= 1e-14
    u = rng.standard_normal((3, 4))
    for g, h in zip(grad(y, leaves, u), torch.autograd.grad(z, others, torch.tensor(u)), strict=True):
        assert error(g.data, h.numpy()) <= 1e-14
