from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import Tensor, grad, reference
from tinygrad_cnn import functional as F
from tinygrad_cnn.checks.measure import error
from tinygrad_cnn.functional.linalg import same_float

PRODUCTS = [
    ((2, 3), (3, 4)),
    ((3,), (3,)),
    ((3,), (3, 4)),
    ((2, 3), (3,)),
    ((5, 2, 3), (5, 3, 4)),
    ((5, 1, 2, 3), (4, 3, 2)),
    ((2, 3), (5, 3, 4)),
    ((3,), (5, 3, 4)),
    ((5, 2, 3), (3,)),
    ((1, 1), (1, 1)),
    ((2, 0), (0, 3)),
    ((0, 3), (3, 2)),
]
each_product = pytest.mark.parametrize(("a", "b"), PRODUCTS)


@each_product
@pytest.mark.parametrize(("dtype", "bound"), [(np.float32, 2e-6), (np.float64, 1e-13)])
def test_matmul_follows_numpy(a: Any, b: Any, dtype: Any, bound: float, rng: np.random.Generator) -> None:
    x1, x2 = rng.standard_normal(a).astype(dtype), rng.standard_normal(b).astype(dtype)
    leaves = [Tensor(x1, requires_grad=True), Tensor(x2, requires_grad=True)]
    y = F.matmul(*leaves)
    wanted = np.asarray(np.matmul(x1, x2, dtype=np.float64))
    assert y.shape == wanted.shape
    assert error(y.data, wanted) <= bound
    for g, leaf in zip(grad(y, leaves, np.ones(y.shape)), leaves, strict=True):
        assert type(g.data) is type(y.data) is np.ndarray
        assert g.shape == leaf.shape
        assert g.dtype == y.dtype == dtype
    assert error(F.rmatmul(x2, x1), wanted) <= bound


@each_product
def test_matmul_derivatives(a: Any, b: Any, rng: np.random.Generator, derivatives: Callable[..., None]) -> None:
    derivatives(F.matmul, rng.standard_normal(a), rng.standard_normal(b), steps=(1.0,))


@pytest.mark.parametrize("shape", [(4, 3), (3,), (2, 5, 3), (0, 3)])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("dtype", "bound"), [(np.float32, 2e-6), (np.float64, 1e-13)])
def test_linear(
    shape: Any, bias: bool, dtype: Any, bound: float, rng: np.random.Generator, derivatives: Callable[..., None]
) -> None:
    x, w, b = (rng.standard_normal(s).astype(dtype) for s in (shape, (2, 3), (2,)))
    arrays = (x, w, b) if bias else (x, w)
    y = F.linear(*arrays)
    assert y.shape == (*shape[:-1], 2)
    assert y.dtype == dtype
    assert error(y.reshape(-1, 2), reference.linear(x.reshape(-1, 3), w, b if bias else None)) <= bound
    if dtype == np.float64:
        derivatives(F.linear, *arrays, steps=(1.0,))


@pytest.mark.parametrize("shape", [(4, 0), (4, 2, 0), (0, 2, 0), (0,)])
def test_linear_of_no_features_is_the_bias(shape: tuple[int, ...]) -> None:
    x, w, b = (Tensor(np.zeros(s), requires_grad=True) for s in (shape, (3, 0), (3,)))
    y = F.linear(x, w, b + 1)
    np.testing.assert_array_equal(y.data, np.ones((*shape[:-1], 3)))
    y.sum().backward()
    assert (x.grad.shape, w.grad.shape) == (shape, (3, 0))
    np.testing.assert_array_equal(b.grad.data, np.full(3, math.prod(shape[:-1])))


def test_a_long_float32_bias_gradient_keeps_its_digits() -> None:
    x, w = Tensor(np.zeros((262_144, 1), np.float32)), Tensor(np.zeros((2, 1), np.float32))
    b = Tensor(np.zeros(2, np.float32), requires_grad=True)
    y = F.linear(x, w, b)
    (g,) = grad(y, b, np.full(y.shape, 0.1, np.float32))
    np.testing.assert_allclose(g.data, 26214.4, rtol=1e-6)


@pytest.mark.parametrize(
    "layout", [np.asfortranarray, lambda a: np.repeat(a, 2, 1)[:, ::2], lambda a: a[::-1].copy()[::-1]]
)
def test_any_layout_gives_the_same_bits(layout: Any, rng: np.random.Generator) -> None:
    a, b = rng.standard_normal((7, 9)).astype(np.float32), rng.standard_normal((9, 5)).astype(np.float32)
    np.testing.assert_array_equal(F.matmul(layout(a), layout(b)), F.matmul(a, b))
    np.testing.assert_array_equal(F.linear(layout(a), layout(b.T.copy())), F.linear(a, b.T.copy()))


def test_nan_and_infinity_pass() -> None:
    y = F.matmul(np.array([[np.inf, 1.0], [0.0, 1.0]]), np.array([[1.0], [np.nan]]))
    assert np.isnan(y).all()
    assert F.matmul(np.array([[np.inf, 1.0]]), np.array([[1.0], [2.0]])).item() == np.inf


def test_same_float() -> None:
    same_float("op", x=np.ones(1), w=Tensor(np.ones(1)), b=None)
    for w in (np.ones(1, np.float32), np.ones(1, int)):
        message = rf"op: needs float32 or float64 and one .* x float64, w {w.dtype}; convert with .astype\(\)"
        with pytest.raises(TypeError, match=message):
            same_float("op", x=np.ones(1), w=w)
    with pytest.raises(TypeError, match=r"got x float64, w list, b float; wrap w and b: Tensor\(...\)$"):
        same_float("op", x=np.ones(1), w=[1.0], b=2.0)
    with pytest.raises(TypeError, match="got x float16"):
        same_float("op", x=np.ones(1, np.float16))


@pytest.mark.parametrize(
    ("call", "error_type", "message"),
    [
        (lambda: F.matmul(np.ones((2, 3)), np.ones((4, 5))), ValueError, r"last size of the first \(3\).*second \(4\)"),
        (lambda: F.matmul(np.ones((2, 3)), np.ones(4)), ValueError, r"must equal the only size of the second \(4\)"),
        (lambda: F.matmul(np.array(1.0), np.ones(4)), ValueError, r"at least one axis on each side, got shapes \(\)"),
        (lambda: F.matmul(np.ones((2, 2, 3)), np.ones((3, 3, 4))), ValueError, "leading sizes .* do not broadcast"),
        (lambda: F.matmul(np.ones((2, 3)), np.ones((3, 4), np.float32)), TypeError, "input float64, other float32"),
        (lambda: F.matmul(np.ones((2, 3), int), np.ones((3, 4), int)), TypeError, "matmul: needs float32 or float64"),
        (lambda: F.linear(np.ones((2, 3)), np.ones((4, 5))), ValueError, r"got input \(2, 3\) and weight \(4, 5\)"),
        (lambda: F.linear(np.ones((2, 3)), np.ones((4, 3)), np.ones(3)), ValueError, r"bias must have shape \(4,\)"),
        (lambda: F.linear(np.ones((2, 3)), np.ones((4, 3)), np.ones(4, np.float32)), TypeError, "bias float32"),
        (lambda: F.linear(np.ones((2, 3)), np.ones(3)), ValueError, r"weight \(O, I\)"),
    ],
)
def test_errors_teach(call: Callable[[], Any], error_type: type[Exception], message: str) -> None:
    with pytest.raises(error_type, match=message):
        call()


@each_product
def test_agrees_with_torch(a: Any, b: Any, rng: np.random.Generator, torch: Any) -> None:
    arrays = rng.standard_normal(a), rng.standard_normal(b)
    leaves = [Tensor(x, requires_grad=True) for x in arrays]
    others = [torch.tensor(x, requires_grad=True) for x in arrays]
    y, z = F.matmul(*leaves), torch.matmul(*others)
    assert error(y.data, z.detach().numpy()) <= 1e-13
    u = np.asarray(rng.standard_normal(y.shape))
    for g, h in zip(grad(y, leaves, u), torch.autograd.grad(z, others, torch.tensor(u)), strict=True):
        assert error(g.data, h.numpy()) <= 1e-13
