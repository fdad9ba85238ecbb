from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import Tensor, grad
from tinygrad_cnn import functional as F
from tinygrad_cnn.checks.measure import error

REDUCTIONS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "sum": (F.sum, np.sum),
    "mean": (F.mean, np.mean),
    "var": (F.var, lambda x, axis, keepdims: np.var(x, axis, ddof=1, keepdims=keepdims)),
    "std": (F.std, lambda x, axis, keepdims: np.std(x, axis, ddof=1, keepdims=keepdims)),
    "amax": (F.amax, np.max),
    "amin": (F.amin, np.min),
    "prod": (F.prod, np.prod),
}
each_reduction = pytest.mark.parametrize("op", REDUCTIONS)
AXES = [None, 0, 1, 2, -1, (0, 2), (-1, 1), (0, 1, 2)]


def distinct(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.permutation(int(np.prod(shape))).reshape(shape) * 0.1 - 1.15


@each_reduction
@pytest.mark.parametrize("axis", AXES, ids=str)
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize(("dtype", "bound"), [(np.float32, 1e-6), (np.float64, 1e-13)])
def test_every_axis(op: str, axis: Any, keepdims: bool, dtype: Any, bound: float, rng: np.random.Generator) -> None:
    if op == "prod" and isinstance(axis, tuple):
        return  # as in PyTorch: one axis or all
    f, wanted = REDUCTIONS[op]
    x = distinct(rng, 2, 3, 4).astype(dtype)
    leaf = Tensor(x, requires_grad=True)
    y = f(leaf, axis, keepdim=keepdims)
    assert y.shape == wanted(x, axis=axis, keepdims=keepdims).shape
    assert error(y.data, wanted(x.astype(np.float64), axis=axis, keepdims=keepdims)) <= bound
    if op != "prod":
        np.testing.assert_array_equal(f(x, axis=axis, keepdims=keepdims), y.data)
    (g,) = grad(y, leaf, np.ones(y.shape))
    assert type(y.data) is type(g.data) is np.ndarray
    assert y.dtype == g.dtype == dtype
    assert g.shape == x.shape


@each_reduction
@pytest.mark.parametrize("axis", [None, 1, -1, (0, 2)], ids=str)
@pytest.mark.parametrize("keepdims", [False, True])
def test_derivatives(
    op: str, axis: Any, keepdims: bool, rng: np.random.Generator, derivatives: Callable[..., None]
) -> None:
    if op == "prod" and isinstance(axis, tuple):
        return
    x = distinct(rng, 2, 3, 3) + 1.7
    derivatives(lambda x: REDUCTIONS[op][0](x, axis, keepdim=keepdims), x)
    derivatives(lambda x: REDUCTIONS[op][0](x * x, axis, keepdim=keepdims) ** 2, x)


@pytest.mark.parametrize("op", ["sum", "mean", "var"])
def test_long_float32_sums_keep_their_digits(op: str) -> None:
    x = np.full(1_000_000, 0.1, np.float32)
    x[::2] = np.float32(0.3)
    for array in (x, x.reshape(-1, 2), x.reshape(2, -1).T):  # NumPy's own sum over axis 0 is not pairwise
        wanted = np.asarray(getattr(np, op)(array.astype(np.float64), 0))
        assert error(REDUCTIONS[op][0](array, 0, **({"correction": 0} if op == "var" else {})), wanted) <= 1e-6


def test_variance_far_from_zero(rng: np.random.Generator) -> None:
    x = (rng.standard_normal(1000) + 10_000).astype(np.float32)
    assert error(F.var(x), np.asarray(np.var(x.astype(np.float64), ddof=1))) <= 1e-6
    assert F.var(np.array([1.0, 3.0]), correction=0) == 1
    assert np.isnan(F.var(np.array([1.0])))
    assert np.isnan(F.std(Tensor(np.ones((2, 1), np.float32)), 1).data).all()


@pytest.mark.parametrize(
    "values", [[2.0, 3.0, 4.0, 5.0], [0.0, 3.0, 4.0], [0.0, 3.0, 0.0, 2.0], [7.0], [0.0, 0.0, 0.0]]
)
def test_products_with_zeros(values: list[float], derivatives: Callable[..., None]) -> None:
    x = Tensor(np.array(values), requires_grad=True)
    y = F.prod(x)
    wanted = [np.prod(values[:i] + values[i + 1 :]) for i in range(len(values))]
    assert y.item() == np.prod(values)
    assert grad(y, x)[0].tolist() == wanted
    if len(values) > 1:
        derivatives(F.prod, x.data)


def test_integers_and_bools() -> None:
    x = np.array([[200, 100], [3, 4]], np.uint8)
    assert F.sum(x).dtype == np.int64
    assert F.sum(x, 1).tolist() == [300, 7]
    assert F.sum(x > 50) == 2
    assert F.amax(x).dtype == np.uint8
    assert F.max(x, 0)[0].tolist() == [200, 100]


@each_reduction
def test_nothing_to_reduce(op: str) -> None:
    f = REDUCTIONS[op][0]
    x = Tensor(np.zeros((0, 3), np.float32), requires_grad=True)
    if op in ("amax", "amin"):
        with pytest.raises(ValueError, match=rf"{op}: nothing to choose from: shape \(0, 3\) is empty along dim"):
            f(x, 0)
    else:
        wanted = {"sum": 0.0, "prod": 1.0}.get(op, np.nan)
        y = f(x, 0)
        np.testing.assert_array_equal(y.data, np.full(3, wanted, np.float32))
        assert grad(y, x, np.ones(3))[0].shape == (0, 3)
    assert f(x, 1).shape == (0,)


@pytest.mark.parametrize(
    ("call", "error_type", "message"),
    [
        (lambda x: F.sum(x, 2), IndexError, r"sum: dim 2 is out of range for 2 dimensions \(-2 to 1\)"),
        (lambda x: F.sum(x, (0, -2)), ValueError, "names an axis twice"),
        (lambda x: F.sum(x, 0, axis=1), TypeError, "dim and axis are two names"),
        (lambda x: F.mean(F.astype(x, int)), TypeError, r"mean: needs a float tensor, got int64.*\.float\(\)"),
        (lambda x: F.var(F.astype(x, int)), TypeError, "var: needs a float tensor"),
        (lambda x: F.max(x, (0, 1)), TypeError, "max: dim must be an int"),
        (lambda x: F.argmax(x[:0]), ValueError, "argmax: nothing to choose from"),
        (lambda x: F.max(x[:, :0], 1), ValueError, "max: nothing to choose from"),
        (lambda x: F.prod(x, 1.5), TypeError, "prod: dim must be an int"),
    ],
)
def test_errors_teach(call: Callable[..., Any], error_type: type[Exception], message: str) -> None:
    for x in (np.ones((2, 3)), Tensor(np.ones((2, 3)), requires_grad=True)):
        with pytest.raises(error_type, match=message):
            call(x)


@pytest.mark.parametrize("op", REDUCTIONS)
def test_agrees_with_torch(op: str, rng: np.random.Generator, torch: Any) -> None:
    ties = op in ("amax", "amin", "prod")
    array = rng.integers(0, 3, (2, 3, 4)).astype(np.float64) if ties else rng.standard_normal((2, 3, 4))
    for dim in (0, -1):
        x, t = Tensor(array, requires_grad=True), torch.tensor(array, requires_grad=True)
        y, z = REDUCTIONS[op][0](x, dim), getattr(torch, op)(t, dim)
        assert error(y.data, z.detach().numpy()) <= 1e-14
        u = rng.standard_normal(y.shape)
        y.backward(u)
        z.backward(torch.tensor(u))
        assert error(x.grad.data, t.grad.numpy()) <= 1e-13


def test_truth_is_bools_without_a_gradient() -> None:
    x = Tensor([[1.0, 0.0, 2.0], [3.0, 4.0, 5.0]], requires_grad=True)
    assert x.all(1).tolist() == [False, True]
    assert x.any(0, keepdim=True).tolist() == [[True, True, True]]
    assert not x.all()
    assert (x == x).all()
    assert not (x > 9).any(axis=(0, 1))
    assert F.all(x.data, 0).tolist() == [True, False, True]
    assert not x.any().requires_grad
    assert bool(np.all(x > -1))
    assert not np.any(x.detach() < 0)


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.int32, np.int64])
def test_a_product_of_integers_does_not_wrap(dtype: Any) -> None:
    x = np.array([[100, 200], [3, 1]]).astype(dtype)
    for dim in (None, 0):
        y = F.prod(x, dim)
        assert y.dtype == np.int64
        np.testing.assert_array_equal(y, np.prod(x, dim, dtype=np.int64))
    assert F.prod(x, axis=1, keepdims=True).shape == (2, 1)


@pytest.mark.parametrize(
    "op", ["sum", "mean", "var", "std", "prod", "all", "any", "max", "min", "amax", "amin", "argmax", "argmin", "exp"]
)
@pytest.mark.parametrize("x", [[1.0, 2.0], 3.0])
def test_a_list_is_no_tensor(op: str, x: Any) -> None:
    with pytest.raises(TypeError, match=f"(?i)^{op}: needs a Tensor or an ndarray, got (list|float)"):
        getattr(F, op)(x)
