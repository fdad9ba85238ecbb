from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tinygrad_cnn import Tensor, grad
from tinygrad_cnn import functional as F


def distinct(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.permutation(int(np.prod(shape))).reshape(shape) * 0.1 - 1.15


@pytest.mark.parametrize("op", ["max", "min"])
def test_values_and_indices(op: str, rng: np.random.Generator, derivatives: Callable[..., None]) -> None:
    f, arg = getattr(F, op), getattr(F, f"arg{op}")
    x = distinct(rng, 2, 3, 4)
    for dim in (0, 1, -1):
        for keepdim in (False, True):
            values, indices = f(x, dim, keepdim)
            np.testing.assert_array_equal(values, getattr(np, op)(x, dim, keepdims=keepdim))
            np.testing.assert_array_equal(indices, getattr(np, f"arg{op}")(x, dim, keepdims=keepdim))
            np.testing.assert_array_equal(arg(x, dim, keepdim), indices)
            assert indices.dtype == np.int64
            derivatives(lambda x, d=dim, k=keepdim: f(x, d, k)[0] ** 3, x)
    values, indices = f(Tensor(x, requires_grad=True), axis=1)
    assert values.requires_grad
    assert isinstance(indices, Tensor)
    assert not indices.requires_grad
    assert f(x) == getattr(np, op)(x)
    assert arg(x) == getattr(np, f"arg{op}")(x)


def test_ties() -> None:
    x = Tensor(np.array([[1.0, 5.0, 5.0, 2.0], [4.0, 4.0, 4.0, 4.0]]), requires_grad=True)
    for create_graph in (False, True):
        take = lambda y, c=create_graph: grad(y, x, np.array([6.0, 8.0]), create_graph=c)[0].tolist()
        assert take(F.amax(x, 1)) == [[0, 3, 3, 0], [2, 2, 2, 2]]
        assert take(F.max(x, 1)[0]) == [[0, 6, 0, 0], [8, 0, 0, 0]]
        assert take(F.min(x, 1)[0]) == [[6, 0, 0, 0], [8, 0, 0, 0]]
    assert grad(F.max(x), x)[0].tolist() == [[0, 0.5, 0.5, 0], [0] * 4]


def test_nan_is_the_largest_and_the_smallest() -> None:
    x = np.array([1.0, np.nan, 3.0])
    for f in (F.amax, F.amin, F.max, F.min):
        assert np.isnan(f(x))
    assert F.argmax(x) == F.max(x, 0)[1] == 1


@pytest.mark.parametrize("op", ["max", "min", "argmax", "argmin"])
def test_axis_and_keepdims_are_names_too(op: str, rng: np.random.Generator) -> None:
    x, f = distinct(rng, 2, 3, 4), getattr(F, op)
    found, wanted = f(x, axis=1, keepdims=True), f(x, 1, True)
    for a, b in zip(found, wanted, strict=True) if isinstance(found, tuple) else [(found, wanted)]:
        np.testing.assert_array_equal(a, b)
        assert a.shape == (2, 1, 4)
