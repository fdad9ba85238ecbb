from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_cnn import reference
from tinygrad_cnn.checks.measure import error
from tinygrad_cnn.kernels import gemm

DTYPES = [np.float32, np.float64]
BOUND = {np.dtype(np.float32): 2e-6, np.dtype(np.float64): 1e-10}
# (M, K, N): one number, tiles that stick out below and to the right, several chains, a wide and a tall product; then
# long rows of b, which are packed, in two chunks, and rows of a transposed a that lie far apart
SHAPES = [(1, 1, 1), (3, 5, 2), (7, 3, 47), (8, 4, 48), (9, 530, 50), (17, 30, 131), (41, 2, 16), (13, 1100, 3),
          (18, 530, 1030), (520, 20, 33)]  # fmt: skip


def normal(*shape: int, dtype: type, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def turned(a: np.ndarray) -> np.ndarray:
    """Return the same matrix with its columns contiguous."""
    return np.asfortranarray(a)


def every_second(a: np.ndarray) -> np.ndarray:
    wide = np.full((*a.shape[:-1], 2 * a.shape[-1]), np.nan, a.dtype)
    wide[..., ::2] = a
    return wide[..., ::2]


def frozen(a: np.ndarray) -> np.ndarray:
    a = a.copy()
    a.flags.writeable = False
    return a


def backwards(a: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(a[::-1, ::-1])[::-1, ::-1]


def exact(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The product in float64, by NumPy: the reference's loops where they are quick enough, else BLAS."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    return reference.matmul(a, b) if a.size * b.shape[-1] < 10_000 else a @ b


def check(y: np.ndarray, expected: np.ndarray, dtype: type) -> None:
    assert y.dtype == dtype
    assert y.flags.c_contiguous
    assert error(y, expected) <= BOUND[y.dtype]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("m", "k", "n"), SHAPES)
def test_matmul_is_the_product_whichever_way_the_operands_lie(m: int, k: int, n: int, dtype: type) -> None:
    a, b = normal(m, k, dtype=dtype), normal(k, n, dtype=dtype, seed=1)
    expected = exact(a, b)
    same = np.ascontiguousarray
    y = gemm.matmul(a, b)
    for la in (same, turned, every_second, frozen, backwards):
        for lb in (same, turned, every_second, frozen, backwards):
            check(gemm.matmul(la(a), lb(b)), expected, dtype)
            assert gemm.matmul(la(a), lb(b)).tobytes() == y.tobytes(), (la, lb)
    np.testing.assert_array_equal(a, normal(m, k, dtype=dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((2, 3, 4), (4, 5)),
        ((3, 4), (2, 4, 5)),
        ((2, 1, 3, 4), (3, 4, 70)),
        ((2, 3, 4), (1, 4, 2)),
        ((1, 3, 9), (4, 9, 48)),
        ((5, 1, 4), (5, 4, 1)),
    ],
)
def test_leading_axes_broadcast(a: tuple[int, ...], b: tuple[int, ...], dtype: type) -> None:
    x, y = normal(*a, dtype=dtype), normal(*b, dtype=dtype, seed=1)
    check(gemm.matmul(x, y), reference.matmul(x.astype(np.float64), y.astype(np.float64)), dtype)
    swapped = np.swapaxes(np.ascontiguousarray(np.swapaxes(y, -1, -2)), -1, -2)
    assert gemm.matmul(x, swapped).tobytes() == gemm.matmul(x, y).tobytes()
    if x.ndim == 2:
        assert gemm.matmul(turned(x), y).tobytes() == gemm.matmul(x, y).tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
def test_nothing_to_add_up_or_nowhere_to_put_it(dtype: type) -> None:
    for a, b in [((3, 0), (0, 5)), ((0, 4), (4, 5)), ((3, 4), (4, 0)), ((2, 3, 0), (2, 0, 5)), ((2, 3, 0), (0, 5)),
                 ((0, 3, 4), (4, 5))]:  # fmt: skip
        x, y = np.zeros(a, dtype), np.zeros(b, dtype)
        np.testing.assert_array_equal(gemm.matmul(x, y), x @ y)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(
    st.integers(1, 20), st.integers(0, 30), st.integers(1, 60), st.sampled_from(DTYPES), st.booleans(), st.booleans()
)
def test_matmul_on_drawn_shapes(m: int, k: int, n: int, dtype: type, turn_a: bool, turn_b: bool) -> None:
    a, b = normal(m, k, dtype=dtype), normal(k, n, dtype=dtype, seed=1)
    y = gemm.matmul(turned(a) if turn_a else a, turned(b) if turn_b else b)
    check(y, a.astype(np.float64) @ b.astype(np.float64), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_long_sums_stay_exact(dtype: type) -> None:
    """Positive numbers over a depth of 25,088: one float32 chain would be off by several 1e-6."""
    for rows in (2, 9):
        x, w = abs(normal(rows, 25_088, dtype=dtype)), abs(normal(11, 25_088, dtype=dtype, seed=1))
        expected = x.astype(np.float64) @ w.T.astype(np.float64)
        assert error(gemm.matmul(x, w.T), expected) <= (1e-6 if dtype == np.float32 else 1e-14)


def products(dtype: type) -> list[np.ndarray]:
    a, b = normal(33, 600, dtype=dtype), normal(600, 131, dtype=dtype, seed=1)
    c, d = normal(3, 5, 20, dtype=dtype), normal(20, 50, dtype=dtype, seed=2)
    return [
        gemm.matmul(a, b),
        gemm.matmul(turned(a), turned(b)),
        gemm.matmul(c, d),
    ]


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_same_bits_for_every_thread_count_and_every_run(
    dtype: type, same_bits_for_every_thread_count: Callable[..., None]
) -> None:
    same_bits_for_every_thread_count(products, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_all_of_the_result_is_written_and_nothing_beside_it(dtype: type, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = products(dtype)
    fences: list[np.ndarray] = []

    def empty(shape: Any, dtype: Any) -> np.ndarray:
        around = np.full(int(np.prod(shape)) + 64, 12345, dtype)
        fences.extend([around[:32], around[-32:]])
        around[32:-32] = np.nan
        return around[32:-32].reshape(shape)

    for module in (gemm.np, gemm.buffers):
        fenced = SimpleNamespace(**{**vars(module), "empty": empty})
        monkeypatch.setattr(gemm, module.__name__.rpartition(".")[2].replace("numpy", "np"), fenced)
    for y, known in zip(products(dtype), expected, strict=True):
        np.testing.assert_array_equal(y, known)
    assert len(fences) >= 2 * 2 * len(expected)
    assert all((fence == 12345).all() for fence in fences)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_infinity_stay_in_their_row_and_column(dtype: type, value: float) -> None:
    for m, k, n in [(9, 40, 50), (2, 33, 5)]:
        a, b = normal(m, k, dtype=dtype), normal(k, n, dtype=dtype, seed=1)
        a[m - 1, k - 1], b[0, 2] = value, value
        spoiled = ~np.isfinite(gemm.matmul(a, b))
        assert spoiled[m - 1].all()
        assert spoiled[:, 2].all()
        assert spoiled.sum() == m + n - 1
