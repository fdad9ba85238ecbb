from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import Tensor, grad
from tinygrad_cnn import functional as F
from tinygrad_cnn.numpy_protocol import FUNCTIONS, UFUNCS

X = np.array([[0.5, 1.5, 2.5], [3.0, 1.0, 2.0]])
A = np.array([2.0, 0.25, 1.0])


def leaf(array: Any = X) -> Tensor:
    return Tensor(array, requires_grad=True)


# --- operators ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("symbol", ["add", "sub", "mul", "truediv", "pow"])
@pytest.mark.parametrize("other", [A, np.float32(2), np.float64(2.5), np.array(1.5), np.int64(3)], ids=repr)
def test_arrays_and_scalars_beside_a_tensor_make_a_tensor(symbol: str, other: Any) -> None:
    f = getattr(operator, symbol)
    for left, right in ((other, leaf()), (leaf(), other)):
        y = f(left, right)
        assert isinstance(y, Tensor)
        assert y.requires_grad
        np.testing.assert_allclose(y.data, f(*(getattr(v, "data", v) for v in (left, right))), rtol=1e-15)


def test_a_strong_array_keeps_float32_weak_scalars() -> None:
    x = leaf(X.astype(np.float32))
    assert (np.float64(2) * x).dtype == (x * np.array(2.0)).dtype == np.float32
    assert (A * x).dtype == np.float64
    (A * x).sum().backward()
    assert x.grad.dtype == np.float32
    np.testing.assert_array_equal(x.grad.data, np.broadcast_to(A, X.shape))


def test_matrix_products_and_comparisons() -> None:
    x = leaf()
    y = X.T @ x
    y.sum().backward()
    assert isinstance(y, Tensor)
    np.testing.assert_allclose(y.data, X.T @ X, rtol=1e-15)
    np.testing.assert_allclose(x.grad.data, np.broadcast_to(X.sum(1)[:, None], X.shape), rtol=1e-15)
    for f in (operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge):
        y = f(A, x)
        assert isinstance(y, Tensor)
        np.testing.assert_array_equal(y.data, f(A, X))


def test_an_array_is_never_updated_by_a_tensor() -> None:
    a = A.copy()
    with pytest.raises(TypeError, match=r"np.add\(out=\) is not available for tensors"):
        a += leaf(A)
    np.testing.assert_array_equal(a, A)


# --- functions ---------------------------------------------------------------------------------------------------

# Each is applied to tensors and to arrays: the same value, and a gradient.
CALLS: dict[str, Callable[[Any], Any]] = {
    "add": lambda x: np.add(x, A),
    "subtract": lambda x: np.subtract(A, x),
    "multiply": lambda x: np.multiply(x, x),
    "divide": lambda x: np.divide(A, x),
    "power": lambda x: np.power(x, A),
    "negative": lambda x: np.negative(x),
    "exp": lambda x: np.exp(x),
    "log": lambda x: np.log(x),
    "sqrt": lambda x: np.sqrt(x),
    "abs": lambda x: np.abs(x),
    "sign": lambda x: np.sign(x),
    "square": lambda x: np.square(x),
    "maximum": lambda x: np.maximum(x, A),
    "minimum": lambda x: np.minimum(A, x),
    "tanh": lambda x: np.tanh(x),
    "matmul": lambda x: np.matmul(x, A),
    "sum": lambda x: np.sum(x),
    "sum over an axis": lambda x: np.sum(x, axis=0, keepdims=True),
    "mean": lambda x: np.mean(x, axis=(0, 1)),
    "var divides by n": lambda x: np.var(x, axis=1),
    "var with ddof": lambda x: np.var(x, ddof=1, keepdims=True),
    "std": lambda x: np.std(x, 0),
    "max": lambda x: np.max(x, axis=1),
    "amin": lambda x: np.amin(x),
    "min": lambda x: np.min(x, 0, keepdims=True),
    "amax": lambda x: np.amax(x),
    "prod": lambda x: np.prod(x, axis=1),
    "reshape": lambda x: np.reshape(x, (3, -1)),
    "ravel": lambda x: np.ravel(x),
    "squeeze": lambda x: np.squeeze(np.expand_dims(x, 1), axis=1),
    "transpose reverses": lambda x: np.transpose(np.expand_dims(x, 2)),
    "transpose reorders": lambda x: np.transpose(np.expand_dims(x, 2), (1, 2, 0)),
    "swapaxes": lambda x: np.swapaxes(x, 0, 1),
    "broadcast_to": lambda x: np.broadcast_to(x, (4, 2, 3)),
    "concatenate": lambda x: np.concatenate([x, x * 2, X], axis=1),
    "stack": lambda x: np.stack([x, X], axis=-1),
    "where": lambda x: np.where(X > 1, x, 0.0),
    "clip": lambda x: np.clip(x, 0.75, 2.25),
    "clip by name": lambda x: np.clip(x, a_min=None, a_max=1.25),
    "pad": lambda x: np.pad(x, ((1, 0), (0, 2))),
    "pad alike": lambda x: np.pad(x, 1, constant_values=3.0),
    "dot": lambda x: np.dot(x, A),
    "dot of matrices": lambda x: np.dot(x, X.T),
    "dot of a number": lambda x: np.dot(x, 3.0),
    "copy": lambda x: np.copy(x),
    "split": lambda x: np.split(x, 3, axis=1)[2],
    "split at places": lambda x: np.split(x, [1, -1], 1)[1],
    "tile": lambda x: np.tile(x, (2, 1, 3)),
    "tile once": lambda x: np.tile(x, 2),
    "flip": lambda x: np.flip(x),
    "flip an axis": lambda x: np.flip(x, 1),
    "roll": lambda x: np.roll(x, 2),
    "roll an axis": lambda x: np.roll(x, 1, axis=1),
    "cumsum": lambda x: np.cumsum(x),
    "cumsum along an axis": lambda x: np.cumsum(x, axis=1),
    "sort": lambda x: np.sort(x, axis=0),
    "take_along_axis": lambda x: np.take_along_axis(x, np.array([[-1], [0]]), 1),
    "einsum": lambda x: np.einsum("ij,j->i", x, A),
}


@pytest.mark.parametrize("name", CALLS)
def test_functions_follow_numpy_and_differentiate(name: str) -> None:
    f, x = CALLS[name], leaf()
    y = f(x)
    assert isinstance(y, Tensor)
    assert y.requires_grad
    assert y.shape == np.shape(f(X))
    np.testing.assert_allclose(y.data, f(X), rtol=1e-15)
    u = np.random.default_rng(0).standard_normal(y.shape)
    (g,) = grad(y, x, u)
    for site in np.ndindex(X.shape):
        step = np.zeros_like(X)
        step[site] = 1e-6
        slope = np.vdot(u, f(X + step) - f(X - step)) / 2e-6
        assert g.data[site] == pytest.approx(slope, rel=1e-7, abs=1e-8)


def test_functions_without_a_gradient() -> None:
    x = leaf()
    assert np.argmax(x, axis=1).tolist() == [2, 0]
    assert np.argmin(x).item() == 0
    assert np.argsort(x).tolist() == [[0, 1, 2], [1, 2, 0]]
    assert (np.all(x, axis=1).tolist(), np.any(x, axis=0).tolist()) == (np.all(X, 1).tolist(), np.any(X, 0).tolist())
    assert (np.shape(x), np.ndim(x), np.size(x)) == ((2, 3), 2, 6)
    assert np.greater(x, 1.0).tolist() == (X > 1).tolist()


def test_every_entry_of_the_tables_is_called_here() -> None:
    called = {name.split()[0] for name in CALLS}
    names = {f.__name__ for f in (*UFUNCS, *FUNCTIONS)}
    names -= {"equal", "not_equal", "less", "less_equal", "greater", "greater_equal"}  # by operators, above
    names -= {"all", "any", "argmax", "argmin", "argsort", "shape", "ndim", "size"}
    assert names - {"absolute", "expand_dims"} == called - {"abs"}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: np.sin(x), "np.sin has no derivative here; use a function of tinygrad_cnn, or t.detach"),
        (lambda x: np.isnan(x), "np.isnan has no derivative here"),
        (lambda x: np.floor_divide(x, 2), "np.floor_divide has no derivative here"),
        (lambda x: np.add.reduce(x), "np.add.reduce is not available for tensors"),
        (lambda x: np.add.at(A.copy(), [0], x), "np.add.at is not available"),
        (lambda x: np.multiply.outer(x, A), "np.multiply.outer is not available"),
        (lambda x: np.exp(x, out=X.copy()), r"np.exp\(out=\) is not available"),
        (lambda x: np.exp(x, where=X > 1), r"np.exp\(where=\) is not available"),
        (lambda x: np.median(x), "np.median has no derivative here"),
        (lambda x: np.kron(x, x), "np.kron has no derivative here"),
        (lambda x: np.linalg.norm(x), "np.norm has no derivative here"),
        (lambda x: np.zeros_like(x), "np.zeros_like has no derivative here"),
        (lambda x: np.sum(x, dtype=np.float32), "dtype"),
        (lambda x: np.dot(X[None], np.expand_dims(x, 0)), "np.dot of more than two axes"),
        (lambda x: np.where(x), "missing 2 required"),
    ],
)
def test_what_is_not_in_the_tables_raises(call: Callable[[Any], Any], message: str) -> None:
    for x in (leaf(), Tensor(X)):
        with pytest.raises(TypeError, match=message):
            call(x)


# --- conversion --------------------------------------------------------------------------------------------------


def test_an_array_of_a_recorded_tensor_is_refused() -> None:
    for x in (leaf(), leaf() * 2):
        for convert in (np.asarray, np.array, lambda x: np.asarray(x, np.float32), lambda x: X.__setitem__(0, x[0])):
            with pytest.raises(RuntimeError, match=r"requires a gradient.*detach\(\)\.numpy\(\)"):
                convert(x)
        with pytest.raises(RuntimeError, match="requires a gradient"):
            np.mean([x, x])


def test_an_array_of_a_constant_shows_its_memory_and_protects_it() -> None:
    t = Tensor(X.copy())
    a = np.asarray(t)
    assert np.shares_memory(a, t.data)
    assert not a.flags.writeable
    assert t.data.flags.writeable
    b = np.array(t)
    assert b.flags.writeable
    assert not np.shares_memory(b, t.data)
    assert np.asarray(t, np.float32).dtype == np.float32
    assert np.asarray(leaf().detach()).tolist() == X.tolist()
    assert not np.shares_memory(t.__array__(copy=True), t.data)
    with pytest.raises(ValueError, match="cannot convert float64 to float32 without a copy"):
        np.array(t, np.float32, copy=False)


def test_dlpack() -> None:
    t = Tensor(X)
    assert np.shares_memory(np.from_dlpack(t), X)
    with pytest.raises(BufferError, match=r"requires a gradient; share t\.detach\(\)"):
        np.from_dlpack(leaf())


def test_dlpack_with_torch() -> None:
    torch = pytest.importorskip("torch")
    t = torch.from_dlpack(Tensor(X.copy()))
    assert t.tolist() == X.tolist()
    y = np.from_dlpack(t)
    assert isinstance(F.relu(Tensor(y)), Tensor)
