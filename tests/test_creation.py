from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import Tensor


def test_tensor_copies_and_the_constructor_shares() -> None:
    array = np.ones(3)
    copied, shared = tg.tensor(array), Tensor(array)
    array[0] = 5.0
    assert copied.tolist() == [1.0, 1.0, 1.0]
    assert shared.tolist() == [5.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (1.5, np.float32),
        ([1.5, 2], np.float32),
        (3, np.int64),
        ([[1, 2]], np.int64),
        (True, np.bool_),
        ([True, False], np.bool_),
        (np.ones(2), np.float64),
        (np.ones(2, np.float32), np.float32),
        (np.ones(2, ">f4"), np.float32),
        (np.zeros(2, np.uint8), np.uint8),
        (Tensor(np.ones(2)), np.float64),
    ],
)
def test_dtypes_follow_the_data(data: Any, dtype: Any) -> None:
    t = tg.tensor(data)
    assert t.dtype == dtype
    assert t.dtype.isnative
    assert np.array_equal(t.data, np.asarray(data))


@pytest.mark.parametrize(
    "data", [np.ones(2, np.float16), np.ones(2, complex), ["a"], [None], np.ones(2, np.longdouble)]
)
def test_other_dtypes_are_refused_by_name(data: Any) -> None:
    with pytest.raises(TypeError, match=r"dtype .* is not supported"):
        tg.tensor(data)
    if getattr(data, "dtype", None) == np.float16:
        with pytest.raises(TypeError, match="convert to float32 first"):
            tg.tensor(data)


@pytest.mark.parametrize("create", [tg.zeros, tg.ones, tg.rand, tg.randn])
def test_shapes_may_be_given_as_numbers_or_a_tuple(create: Callable[..., Tensor]) -> None:
    assert create(2, 3).shape == create((2, 3)).shape == create([np.int64(2), 3]).shape == (2, 3)
    assert create(()).shape == create().shape == ()
    assert create(0, 4).shape == (0, 4)
    t = create(2, dtype="float64", requires_grad=True)
    assert (t.dtype, t.requires_grad, create(2).dtype) == (np.float64, True, np.float32)
    with pytest.raises(TypeError, match="sizes must be ints"):
        create(2.5)


def test_full_takes_its_dtype_from_the_value() -> None:
    assert tg.full((2, 3), 1.5).dtype == np.float32
    assert tg.full(3, 7).data.tolist() == [7, 7, 7]
    assert tg.full((2,), 7).dtype == np.int64
    assert tg.full((2,), 7, dtype="float32").dtype == np.float32


def test_arange_follows_pytorch() -> None:
    assert tg.arange(3).tolist() == [0, 1, 2]
    assert tg.arange(3).dtype == np.int64
    assert tg.arange(1, 2, 0.25).tolist() == [1.0, 1.25, 1.5, 1.75]
    assert tg.arange(3.0).dtype == np.float32
    assert tg.arange(5, 1, -2).tolist() == [5, 3]


def test_eye() -> None:
    assert np.array_equal(tg.eye(2, 3).data, np.eye(2, 3, dtype=np.float32))


@pytest.mark.parametrize("create", [tg.zeros_like, tg.ones_like, tg.rand_like, tg.randn_like])
def test_like_takes_shape_and_dtype_but_no_graph(create: Callable[..., Tensor]) -> None:
    x = Tensor(np.zeros((2, 3)), requires_grad=True)
    t = create(x)
    assert (t.shape, t.dtype, t.requires_grad) == ((2, 3), np.float64, False)
    assert create(x, dtype=np.float32).dtype == np.float32
    assert create(x, requires_grad=True).requires_grad


def test_full_like() -> None:
    assert tg.full_like(Tensor([[1, 2]]), 5).tolist() == [[5, 5]]


def test_random_numbers_come_from_the_generator_that_is_given() -> None:
    before = tg.state.generator_state()
    a = tg.randn(3, generator=np.random.default_rng(1))
    b = tg.randn(3, generator=np.random.default_rng(1))
    assert np.array_equal(a.data, b.data)
    assert tg.state.generator_state() == before
    assert 0 <= tg.rand(1000, generator=np.random.default_rng(0)).data.min() < 0.01


def test_manual_seed_repeats_random_numbers() -> None:
    before = tg.state.generator_state()
    tg.manual_seed(3)
    first = [tg.rand(2, 3).data, tg.randn(4).data, tg.randn(2, dtype="float64").data]
    tg.manual_seed(3)
    second = [tg.rand(2, 3).data, tg.randn(4).data, tg.randn(2, dtype="float64").data]
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    tg.state.set_generator_state(before)


def test_integers_cannot_require_a_gradient() -> None:
    with pytest.raises(TypeError, match="only float tensors have gradients, this one is int64"):
        tg.tensor([1, 2], requires_grad=True)
