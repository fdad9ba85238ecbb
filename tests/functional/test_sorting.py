from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_cnn import Tensor, grad
from tinygrad_cnn import functional as F


@given(st.lists(st.sampled_from([-1.0, -0.0, 0.0, 2.0, np.inf, -np.inf, np.nan]), max_size=9), st.booleans())
@settings(derandomize=True, max_examples=100, deadline=None)
def test_order_is_stable_and_nan_is_the_largest(numbers: list[float], descending: bool) -> None:
    x = np.array(numbers, np.float32)
    values, indices = F.sort(x, 0, descending)
    key = lambda i: (np.isnan(x[i]), 0.0 if np.isnan(x[i]) else x[i])
    wanted = sorted(range(len(x)), key=key, reverse=descending)  # Python's sort is stable, reversed too
    assert indices.tolist() == F.argsort(x, 0, descending).tolist() == wanted
    np.testing.assert_array_equal(values, x[wanted])
    assert values.dtype == np.float32
    k = len(x) // 2
    top = F.topk(x, k, 0, descending)
    np.testing.assert_array_equal(top[0], values[:k])
    assert top[1].tolist() == wanted[:k]


def test_along_each_axis(rng: np.random.Generator, derivatives: Callable[..., None]) -> None:
    x = rng.permutation(24).reshape(2, 3, 4) * 0.1
    for dim in (0, 1, -1, None):
        axis = -1 if dim is None else dim
        np.testing.assert_array_equal(F.sort(x, dim)[0], np.sort(x, axis))
        np.testing.assert_array_equal(F.argsort(x, dim), np.argsort(x, axis))
        np.testing.assert_array_equal(F.sort(x, dim, True)[0], np.flip(np.sort(x, axis), axis))
        derivatives(lambda x, d=dim: F.sort(x, d, True)[0] ** 3, x)
        derivatives(lambda x, d=dim: F.topk(x, 2, d, False)[0] ** 3, x)
    assert F.sort(np.zeros((0, 3)), 0)[0].shape == (0, 3)
    assert F.topk(x, 0)[0].shape == (2, 3, 0)
    assert F.sort(np.array([3, 1], np.uint8))[0].dtype == np.uint8


def test_indices_are_tensors_without_a_gradient() -> None:
    x = Tensor(np.array([[3.0, 1.0, 2.0]]), requires_grad=True)
    for values, indices in (F.sort(x), F.topk(x, 2)):
        assert values.requires_grad
        assert isinstance(indices, Tensor)
        assert indices.dtype == np.int64
        assert not indices.requires_grad
    assert isinstance(F.argsort(x), Tensor)
    assert grad(F.topk(x, 2)[0], x, np.array([[1.0, 10.0]]))[0].tolist() == [[1, 0, 10]]


@pytest.mark.parametrize(
    ("call", "error_type", "message"),
    [
        (lambda x: F.topk(x, 4), ValueError, "topk: k must be from 0 to 3, the size of dim 1, got 4"),
        (lambda x: F.topk(x, -1), ValueError, "got -1"),
        (lambda x: F.topk(x, 1.5), TypeError, "got 1.5"),
        (lambda x: F.sort(x, 2), IndexError, "sort: dim 2 is out of range"),
        (lambda x: F.argsort(x, "0"), TypeError, "argsort: dim must be an int"),
        (lambda x: F.sort(np.array(1.0)), ValueError, "sort: a number has no order"),
        (lambda x: F.argsort([2.0, 1.0]), TypeError, "argsort: needs a Tensor or an ndarray, got list"),
        (lambda x: F.sort(x, 0, axis=0), TypeError, "dim and axis are two names"),
    ],
)
def test_errors_teach(call: Callable[..., Any], error_type: type[Exception], message: str) -> None:
    with pytest.raises(error_type, match=message):
        call(np.ones((2, 3)))


@pytest.mark.parametrize("seed", range(50))
def test_agrees_with_torch(seed: int, same_as_torch: Callable[..., None], torch: Any) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 6, rng.integers(1, 5)))
    x, dim, flag = rng.standard_normal(shape), int(rng.integers(-len(shape), len(shape))), bool(rng.integers(2))
    k = int(rng.integers(0, shape[dim] + 1))
    same_as_torch(lambda x: F.sort(x, dim, flag), lambda x: tuple(torch.sort(x, dim, flag)), x)
    same_as_torch(lambda x: F.topk(x, k, dim, flag), lambda x: tuple(torch.topk(x, k, dim, flag)), x)
    assert F.argsort(x, dim, flag).tolist() == torch.argsort(torch.tensor(x), dim, flag).tolist()
    ties = rng.choice([0.0, 1.0, np.nan], shape)
    found, wanted = F.sort(ties, dim, flag), torch.sort(torch.tensor(ties), dim=dim, descending=flag, stable=True)
    np.testing.assert_array_equal(found[0], wanted[0].numpy())
    assert found[1].tolist() == wanted[1].tolist()
