from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_cnn import Tensor, grad
from tinygrad_cnn import functional as F


@given(st.lists(st.integers(1, 4), min_size=1, max_size=3), st.integers(0, 2), st.integers(0, 6))
@settings(derandomize=True, max_examples=60, deadline=None)
def test_picking_and_adding_are_adjoints(shape: list[int], dim: int, count: int) -> None:
    rng, dim = np.random.default_rng(0), dim % len(shape)
    smaller = [count if i == dim else int(rng.integers(1, n + 1)) for i, n in enumerate(shape)]
    index = rng.integers(0, shape[dim], smaller)
    x, u = rng.standard_normal(shape), rng.standard_normal(smaller)
    picked, added = F.gather(x, dim, index), F.scatter_add(np.zeros(shape), dim, index, u)
    assert picked.shape == u.shape
    assert np.vdot(picked, u) == pytest.approx(np.vdot(x, added), abs=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values(dtype: Any, rng: np.random.Generator) -> None:
    x = rng.standard_normal((3, 4)).astype(dtype)
    index = np.array([[2, 0, 2]])
    np.testing.assert_array_equal(F.gather(x, 0, index), [[x[2, 0], x[0, 1], x[2, 2]]])
    np.testing.assert_array_equal(F.gather(x, 1, index.astype(np.uint8)), [[x[0, 2], x[0, 0], x[0, 2]]])
    y = F.scatter_add(x, 1, index, np.ones((2, 4), dtype))
    np.testing.assert_array_equal(y - x, np.array([[1, 0, 2, 0], [0] * 4, [0] * 4]) + y * 0)
    assert y.dtype == dtype
    many = F.scatter_add(np.zeros(1, dtype), 0, np.zeros(1_000_000, int), np.full(1_000_000, 0.1, dtype))
    np.testing.assert_allclose(many, 1e6 * float(dtype(0.1)), rtol=1e-7)


def test_take_along_axis_is_numpys(rng: np.random.Generator) -> None:
    x = rng.standard_normal((3, 4, 2))
    for shape, axis in (((3, 5, 2), 1), ((1, 4, 2), 0), ((3, 1, 6), -1), ((1, 2, 1), 1)):
        index = rng.integers(-x.shape[axis], x.shape[axis], shape)
        np.testing.assert_array_equal(F.take_along_axis(x, index, axis), np.take_along_axis(x, index, axis))
    np.testing.assert_array_equal(
        F.take_along_axis(x[:1], rng.integers(0, 4, (3, 1, 1)) * 0, 1), np.repeat(x[:1, :1], 3, 0)
    )
    assert F.take_along_axis(np.arange(300.0), np.array([-1, 5], np.int8), 0).tolist() == [299, 5]


@pytest.mark.parametrize("dtype", [np.float16, np.longdouble, ">f4"])
def test_arrays_of_floats_without_a_kernel_are_left_to_numpy(dtype: Any) -> None:
    x = np.array([[1.0, 3.0, 2.0]]).astype(dtype)
    assert F.gather(x, 1, np.array([[2, 0]])).tolist() == [[2, 1]]
    assert F.cumsum(x, 1).tolist() == [[1, 4, 6]]
    assert F.topk(x, 1)[0].tolist() == [[3]]
    assert F.max(x, 1)[0].tolist() == [3]


def test_derivatives(rng: np.random.Generator, derivatives: Callable[..., None]) -> None:
    x, v, index = rng.standard_normal((3, 4)), rng.standard_normal((2, 3)), rng.integers(0, 3, (2, 3))
    derivatives(lambda x: F.gather(x * x, 0, index), x)
    derivatives(lambda x, v: F.scatter_add(x * x, 0, index, v * v * v), x, v)
    derivatives(lambda x: F.take_along_axis(x * x, index[:, :1] * 0 - 1, 1), x[:2])


def test_an_index_written_later_does_no_harm() -> None:
    x, index = Tensor(np.arange(3.0), requires_grad=True), np.array([2, 2])
    y = F.gather(x, 0, index)
    index[:] = 0
    assert grad(y.sum(), x)[0].tolist() == [0, 0, 2]


INDEX = np.array([[0, 1]])


@pytest.mark.parametrize(
    ("call", "error_type", "message"),
    [
        (lambda x: F.gather(x, 0, INDEX * 2), IndexError, "gather: index 2 is out of range: dim 0 has size 2"),
        (lambda x: F.gather(x, 1, -INDEX), IndexError, "gather: index -1 is out of range"),
        (lambda x: F.gather(x, 1, INDEX * 0.5), TypeError, "gather: index must hold integers, got float64"),
        (lambda x: F.gather(x, 1, INDEX > 0), TypeError, "got bool"),
        (lambda x: F.gather(x, 1, INDEX[0]), ValueError, r"index \(2,\) must have as many axes as the input \(2, 3\)"),
        (lambda x: F.gather(x, 1, np.zeros((3, 1), int)), ValueError, r"index \(3, 1\) .* no larger, but along dim 1"),
        (lambda x: F.gather(x, 2, INDEX), IndexError, "gather: dim 2"),
        (lambda x: F.gather([1.0], 0, INDEX), TypeError, "gather: needs a Tensor or an ndarray, got list"),
        (lambda x: F.scatter_add(x, 0, INDEX, np.ones((1, 1))), ValueError, r"src \(1, 1\) must be at least as large"),
        (lambda x: F.scatter_add(x, 0, INDEX, np.ones(2)), ValueError, "src .* must be at least as large"),
        (lambda x: F.scatter_add(x, 0, INDEX, np.ones((1, 2), np.float32)), TypeError, "input float64, src float32"),
        (lambda x: F.scatter_add(x, 0, INDEX + 1, np.ones((1, 2))), IndexError, "scatter_add: index 2"),
        (lambda x: F.take_along_axis(x, INDEX + 2, 1), IndexError, "take_along_axis: index 3 is out of range"),
        (lambda x: F.take_along_axis(x, INDEX - 4, 1), IndexError, "take_along_axis: index -1 is out of range"),
        (lambda x: F.take_along_axis(x, INDEX[0], 1), ValueError, "as many axes as the array"),
        (
            lambda x: F.take_along_axis(x, np.zeros((3, 1), int), 1),
            ValueError,
            "must agree or be 1 except along axis 1",
        ),
    ],
)
def test_errors_teach(call: Callable[..., Any], error_type: type[Exception], message: str) -> None:
    for x in (np.ones((2, 3)), Tensor(np.ones((2, 3)), requires_grad=True)):
        with pytest.raises(error_type, match=message):
            call(x)


@pytest.mark.parametrize("seed", range(50))
def test_agrees_with_torch(seed: int, same_as_torch: Callable[..., None], torch: Any) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 6, rng.integers(1, 5)))
    dim = int(rng.integers(-len(shape), len(shape)))
    smaller = [int(rng.integers(1, n + 1)) for n in shape]
    smaller[dim] = int(rng.integers(1, 9))
    index = rng.integers(0, shape[dim], smaller)
    x, v = rng.standard_normal(shape), rng.standard_normal(smaller)
    same_as_torch(lambda x, i: F.gather(x, dim, i), lambda x, i: torch.gather(x, dim, i), x, index)
    same_as_torch(
        lambda x, i, v: F.scatter_add(x, dim, i, v), lambda x, i, v: torch.scatter_add(x, dim, i, v), x, index, v
    )
    same_as_torch(
        lambda x, i: F.take_along_axis(x, i, dim),
        lambda x, i: torch.take_along_dim(x, i, dim),
        x,
        rng.integers(0, shape[dim], [1 if rng.integers(2) else n for n in shape]),
    )
