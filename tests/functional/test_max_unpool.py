from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_cnn import Tensor, grad
from tinygrad_cnn import functional as F

POOL = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
UNPOOL = {1: F.max_unpool1d, 2: F.max_unpool2d, 3: F.max_unpool3d}
each = pytest.mark.parametrize("axes", UNPOOL)


@each
def test_it_undoes_max_pooling(axes: int) -> None:
    @settings(max_examples=25, derandomize=True, deadline=None)
    @given(*[st.lists(st.integers(1, 3), min_size=axes, max_size=axes)] * 2, st.sampled_from(["f", "d"]))
    def check(size: list[int], more: list[int], dtype: str) -> None:
        image = tuple(k * 2 + min(m, k - 1) for k, m in zip(size, more, strict=True))
        x = np.random.default_rng(0).standard_normal((2, 3, *image)).astype(dtype)
        y, index = POOL[axes](x, size, return_indices=True)
        back = UNPOOL[axes](y, index, size, output_size=image)
        assert back.dtype == x.dtype
        flat, places = back.reshape(2, 3, -1), index.reshape(2, 3, -1)
        np.testing.assert_array_equal(np.take_along_axis(flat, places, 2), y.reshape(2, 3, -1))
        assert np.count_nonzero(back) == y.size
        np.testing.assert_array_equal(UNPOOL[axes](y[0], index[0], size, output_size=(3, *image)), back[0])

    check()


@each
def test_torch_agrees(axes: int, same_as_torch: Callable[..., None], torch: Any) -> None:
    theirs = getattr(torch.nn.functional, f"max_unpool{axes}d")
    numbers = st.lists(st.integers(1, 3), min_size=axes, max_size=axes)

    @settings(max_examples=50, derandomize=True, deadline=None)
    @given(numbers, numbers, st.integers(0, 99))
    def check(size: list[int], out: list[int], seed: int) -> None:
        image = [k * n for k, n in zip(size, out, strict=True)]
        x = np.random.default_rng(seed).standard_normal((2, 3, *image))
        y, index = POOL[axes](x, size, return_indices=True)
        same_as_torch(lambda y, i: UNPOOL[axes](y, i, size), lambda y, i: theirs(y, i, size), y, index)

    check()


def test_the_last_of_equal_indices_counts_and_has_the_gradient(derivatives: Callable[..., None]) -> None:
    x = Tensor([[[1.0, 2.0, 3.0]]], requires_grad=True)
    y = F.max_unpool1d(x, np.array([[[1, 1, 4]]]), 2)
    assert y.tolist() == [[[0, 2, 0, 0, 3, 0]]]
    assert grad(y.sum(), x)[0].tolist() == [[[0, 1, 1]]]
    derivatives(lambda x: F.max_unpool1d(x, np.array([[[1, 1, 4]]]), 2) ** 2, x.data.astype(float))


def test_overlapping_windows_put_a_maximum_once() -> None:
    x = np.array([[[0.0, 9.0, 1.0, 2.0]]])
    y, index = F.max_pool1d(x, 3, 1, return_indices=True)
    assert F.max_unpool1d(y, index, 3, 1).tolist() == [[[0, 9, 0, 0]]]
    assert F.max_unpool2d(Tensor(y), Tensor(index), (1, 3), 1).tolist() == [[[0, 9, 0, 0]]]


X, I = np.ones((1, 2, 2, 3)), np.zeros((1, 2, 2, 3), int)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((X, I.astype(float), 2), TypeError, "indices must be integers, as max pooling returns them, got float64"),
        ((X, I[..., :2], 2), ValueError, r"indices must have the shape of input \(1, 2, 2, 3\), got \(1, 2, 2, 2\)"),
        ((X, I + 24, 2), IndexError, r"indices reach from 24 to 24, an image of \(4, 6\) has 0 to 23"),
        ((X, I - 1, 2), IndexError, "indices reach from -1"),
        ((X, I, 2, None, 0, (8, 6)), ValueError, r"output_size must be less than a stride \(2, 2\) from .* \(4, 6\)"),
        ((X, I, 2, None, 0, (4,) * 5), ValueError, "output_size must be an int or a pair"),
        ((X, I, 2, None, 9), ValueError, "nothing would be left"),
        ((X, I, (2, 2, 2)), ValueError, "kernel_size must be an int or a pair"),
        ((X[0, 0], I[0, 0], 2), ValueError, "needs images of shape"),
        ((X.astype(int), I, 2), TypeError, "needs float32 or float64"),
    ],
)
def test_errors(arguments: tuple[Any, ...], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"max_unpool2d: .*{message}"):
        F.max_unpool2d(*arguments)
