from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_cnn import Tensor, grad
from tinygrad_cnn import functional as F

SEEDS = range(50)


@given(st.integers(0, 9), st.integers(1, 5), st.integers(-2, 1))
@settings(derandomize=True, max_examples=60, deadline=None)
def test_pieces_put_together_are_the_whole(n: int, k: int, dim: int) -> None:
    x = np.arange(3.0 * n).reshape((3, n) if dim % 2 else (n, 3))
    for pieces in (F.split(x, k, dim), F.chunk(x, k, dim), F.split(x, [n // 2, n - n // 2], dim)):
        np.testing.assert_array_equal(np.concatenate(pieces, dim), x)
        assert all(np.shares_memory(piece, x) for piece in pieces if piece.size)
    assert len(F.chunk(x, k, dim)) <= k
    assert {piece.shape[dim] for piece in F.split(x, k, dim)[:-1]} <= {k}


@given(st.lists(st.integers(0, 3), min_size=1, max_size=3), st.lists(st.integers(0, 3), min_size=0, max_size=4))
@settings(derandomize=True, max_examples=60, deadline=None)
def test_tile_is_numpys(shape: list[int], counts: list[int]) -> None:
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    y = F.tile(x, *counts)
    np.testing.assert_array_equal(y, np.tile(x, counts))
    assert y.dtype == np.float32
    if len(counts) >= len(shape):
        np.testing.assert_array_equal(F.repeat(x, counts), y)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_flip_and_roll_are_numpys(dtype: Any, rng: np.random.Generator) -> None:
    x = (10 * rng.standard_normal((2, 3, 4))).astype(dtype)
    for axes in ((0,), (1, 2), (-1, 0), (0, 1, 2)):
        np.testing.assert_array_equal(F.flip(x, *axes), np.flip(x, axes))
        np.testing.assert_array_equal(F.flip(x, axes), np.flip(x, axes))
        np.testing.assert_array_equal(F.flip(x, axis=axes), np.flip(x, axes))
    for shifts, dims in ((1, 0), (-5, 2), ((2, 7), (1, -1)), (0, 1), (3, None), ((1, 1), (2, 2))):
        np.testing.assert_array_equal(F.roll(x, shifts, dims), np.roll(x, shifts, dims))
    assert F.roll(np.zeros((0, 3)), 1, 0).shape == (0, 3)


def test_pixels(rng: np.random.Generator) -> None:
    x = rng.standard_normal((2, 12, 3, 5))
    y = F.pixel_shuffle(x, 2)
    assert y.shape == (2, 3, 6, 10)
    np.testing.assert_array_equal(y[:, 1, 1::2, ::2], x[:, 4 + 2])  # the third of four: below on the left
    np.testing.assert_array_equal(F.pixel_unshuffle(y, 2), x)
    assert F.pixel_shuffle(x[0], 2).shape == (3, 6, 10)
    assert F.pixel_shuffle(x[:0], 2).shape == (0, 3, 6, 10)
    assert F.pixel_unshuffle(y[:0], 2).shape == (0, 12, 3, 5)


def test_unflatten_is_the_reverse_of_flatten(rng: np.random.Generator) -> None:
    x = Tensor(rng.standard_normal((2, 3, 4, 5)), requires_grad=True)
    y = F.unflatten(F.flatten(x, 1, 2), 1, (-1, 4))
    np.testing.assert_array_equal(y.data, x.data)
    assert grad(y.sum(), x)[0].shape == x.shape
    assert F.unflatten(np.zeros((0, 4)), 0, (0, 3)).shape == (0, 3, 4)
    for named in (
        F.unflatten(input=np.zeros((2, 6)), dim=1, sizes=(3, 2)),
        Tensor(np.zeros((2, 6))).unflatten(dim=1, sizes=(3, 2)),
    ):
        assert named.shape == (2, 3, 2)


def test_the_same_piece_may_be_used_twice() -> None:
    x = Tensor(np.arange(5.0), requires_grad=True)
    first, second = F.split(x, [2, 3])
    loss = (first * first).sum() + (first * 3).sum()
    assert grad(loss, x)[0].tolist() == [3, 5, 0, 0, 0]
    assert second.tolist() == [2, 3, 4]


@pytest.mark.parametrize(
    ("call", "error_type", "message"),
    [
        (lambda x: F.split(x, 0), ValueError, "size of a piece must be at least 1, got 0"),
        (lambda x: F.split(x, [1, 2]), ValueError, r"split: sizes \(1, 2\) must be >= 0 and add up to 4"),
        (lambda x: F.split(x, [5, -1]), ValueError, "must be >= 0"),
        (lambda x: F.split(x, [1.5, 2.5]), TypeError, "split: sizes must be ints"),
        (lambda x: F.split(x, 2, 2), IndexError, "split: dim 2 is out of range"),
        (lambda x: F.chunk(x, 0), ValueError, "chunks must be at least 1, got 0"),
        (lambda x: F.repeat(x, 2), ValueError, r"a count for each of the 2 axes, got \(2,\)"),
        (lambda x: F.repeat(x, 2, -1), ValueError, r"repeat: counts must not be negative"),
        (lambda x: F.tile(x, -1), ValueError, r"tile: counts must not be negative, got \(1, -1\)"),
        (lambda x: F.flip(x, 2), IndexError, "flip: dim 2"),
        (lambda x: F.flip(x, 0, 0), ValueError, "flip: .* names an axis twice"),
        (lambda x: F.roll(x, (1, 2), 0), ValueError, "one shift for each axis"),
        (lambda x: F.roll(x, 1.5, 0), TypeError, "roll: sizes must be ints"),
        (lambda x: F.unflatten(x, 0, (3, 2)), ValueError, r"unflatten: dim 0 has size 4, which \(3, 2\) do not fill"),
        (lambda x: F.unflatten(x, 0, (3, -1)), ValueError, "do not fill"),
        (lambda x: F.unflatten(x, 0, (-1, -1)), ValueError, "do not fill"),
        (lambda x: F.unflatten(x, 0, 3), ValueError, r"which \(3,\) do not fill"),
        (lambda x: F.pixel_shuffle(x, 2), ValueError, r"needs \(..., C, H, W\), got shape \(4, 6\)"),
        (lambda x: F.pixel_shuffle(x[None], 2), ValueError, r"1 channels are no multiple of upscale_factor\*\*2 = 4"),
        (lambda x: F.pixel_shuffle(x[None], 0), ValueError, "the factor must be at least 1, got 0"),
        (lambda x: F.pixel_unshuffle(x[None], 4), ValueError, "height 4 and width 6 must be multiples of 4"),
        (lambda x: F.pixel_unshuffle([1], 4), TypeError, "pixel_unshuffle: needs a Tensor or an ndarray, got list"),
    ],
)
def test_errors_teach(call: Callable[..., Any], error_type: type[Exception], message: str) -> None:
    for x in (np.ones((4, 6)), Tensor(np.ones((4, 6)), requires_grad=True)):
        with pytest.raises(error_type, match=message):
            call(x)


@pytest.mark.parametrize("seed", SEEDS)
def test_agrees_with_torch(seed: int, same_as_torch: Callable[..., None], torch: Any) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 6, rng.integers(1, 5)))
    x, dim = rng.standard_normal(shape), int(rng.integers(-len(shape), len(shape)))
    k, counts = int(rng.integers(1, 6)), rng.integers(0, 3, len(shape) + rng.integers(0, 2)).tolist()
    dims = rng.permutation(len(shape))[: rng.integers(1, len(shape) + 1)].tolist()
    shifts = rng.integers(-7, 8, len(dims)).tolist()
    cut = int(rng.integers(0, shape[dim] + 1))
    sizes = [cut, shape[dim] - cut]
    same_as_torch(lambda x: F.split(x, k, dim), lambda x: torch.split(x, k, dim), x)
    same_as_torch(lambda x: F.split(x, sizes, dim), lambda x: torch.split(x, sizes, dim), x)
    same_as_torch(lambda x: F.chunk(x, k, dim), lambda x: torch.chunk(x, k, dim), x)
    same_as_torch(lambda x: F.repeat(x, counts), lambda x: x.repeat(counts), x)
    same_as_torch(lambda x: F.tile(x, counts[1:]), lambda x: torch.tile(x, counts[1:]), x)
    same_as_torch(lambda x: F.flip(x, dims), lambda x: torch.flip(x, dims), x)
    same_as_torch(lambda x: F.roll(x, shifts, dims), lambda x: torch.roll(x, shifts, dims), x)
    same_as_torch(lambda x: F.roll(x, k), lambda x: torch.roll(x, k), x)
    pixels = rng.standard_normal((2, 3 * k * k, *rng.integers(1, 4, 2)))
    same_as_torch(lambda x: F.pixel_shuffle(x, k), lambda x: torch.pixel_shuffle(x, k), pixels)
    blocks = rng.standard_normal((*rng.integers(1, 3, 2), 2 * k, 3 * k))
    same_as_torch(lambda x: F.pixel_unshuffle(x, k), lambda x: torch.pixel_unshuffle(x, k), blocks)
    flat = rng.standard_normal((2, 6 * k))
    same_as_torch(lambda x: F.unflatten(x, 1, (2, -1, k)), lambda x: torch.unflatten(x, 1, (2, -1, k)), flat)


def test_the_gradients_of_many_pieces_cost_one_array(monkeypatch: pytest.MonkeyPatch) -> None:
    x = Tensor(np.arange(100.0), requires_grad=True)
    y = F.cat([piece * 2 for piece in F.split(x, 1)])
    sizes: list[int] = []
    zeros = np.zeros
    monkeypatch.setattr(np, "zeros", lambda shape, *args: sizes.append(zeros(shape).size) or zeros(shape, *args))
    assert (grad(y, x, np.ones(100))[0].data == 2).all()
    assert sizes == [100]


def test_axes_may_be_called_dims() -> None:
    x = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(F.flip(x, dims=[1]), x[:, ::-1])
    np.testing.assert_array_equal(F.tile(x, dims=(2,)), np.tile(x, 2))
    np.testing.assert_array_equal(F.permute(x, dims=(1, 0)), x.T)
