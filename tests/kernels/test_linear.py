from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import reference
from tinygrad_cnn.checks.measure import error
from tinygrad_cnn.kernels import activation, buffers, linear
from tinygrad_cnn.kernels.tile import INNER_ROWS, LONGEST_CHAIN

DTYPES = [np.float32, np.float64]
BOUND = {np.dtype(np.float32): 2e-6, np.dtype(np.float64): 1e-10}
# a few rows, then blocks of them that are not full, full, and some of each
ROWS = [1, 2, INNER_ROWS, INNER_ROWS + 1, 16, 21, 31]
ALL = True, True, True


def normal(*shape: int, dtype: type, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def layer(rows: int, depth: int, o: int, dtype: type) -> list[np.ndarray]:
    """Draw x, w, b and gy."""
    return [normal(*s, dtype=dtype, seed=i) for i, s in enumerate([(rows, depth), (o, depth), (o,), (rows, o)])]


def every_second(a: np.ndarray) -> np.ndarray:
    return np.repeat(a, 2, axis=-1)[..., ::2]


def frozen(a: np.ndarray) -> np.ndarray:
    a = a.copy()
    a.flags.writeable = False
    return a


LAYOUTS: list[Callable[[np.ndarray], np.ndarray]] = [every_second, frozen, np.asfortranarray]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize(("depth", "o"), [(1, 1), (5, 7), (64, 6), (77, 13), (9000, 5), (1100, 8), (3, 150)])
def test_few_rows_and_many(rows: int, depth: int, o: int, dtype: type) -> None:
    x, w, b, _ = layer(rows, depth, o, dtype)
    expected = x.astype(np.float64) @ w.T.astype(np.float64)
    assert error(linear.linear(x, w), expected) <= BOUND[x.dtype]
    y = linear.linear(x, w, b)
    assert error(y, expected + b) <= BOUND[x.dtype]
    if depth < 100:
        assert error(y, reference.linear(x.astype(np.float64), w.astype(np.float64), b.astype(np.float64))) <= 2e-6
    np.testing.assert_array_equal(linear.linear(x, w, b, relu=True), activation.relu(y))
    for layout in LAYOUTS:
        assert linear.linear(layout(x), w, b).tobytes() == y.tobytes()
        assert error(linear.linear(x, layout(w), b), expected + b) <= BOUND[x.dtype]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize(("depth", "o"), [(1, 1), (7, 5), (64, 6), (530, 13), (50, 8), (49, LONGEST_CHAIN + 1)])
def test_gradients_of_few_rows_and_many(rows: int, depth: int, o: int, dtype: type) -> None:
    x, w, _, gy = layer(rows, depth, o, dtype)
    exact = [a.astype(np.float64) for a in (gy, x, w)]
    expected = exact[0] @ exact[2], exact[0].T @ exact[1], exact[0].sum(0)
    found = linear.gradients(gy, x, w, ALL)
    for g, known in zip(found, expected, strict=True):
        assert g is not None
        assert g.dtype == dtype
        assert error(g, known) <= BOUND[x.dtype]
    for layout in LAYOUTS:
        again = linear.gradients(layout(gy), layout(x), layout(w), ALL)
        for g, known in zip(again, expected, strict=True):
            assert error(g, known) <= BOUND[x.dtype]
    for i in range(3):
        alone = linear.gradients(gy, x, w, (i == 0, i == 1, i == 2))
        assert [g is not None for g in alone] == [i == 0, i == 1, i == 2]
        np.testing.assert_array_equal(alone[i], found[i])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", ROWS)
def test_a_gate_lets_the_gradient_through_the_relu_before(rows: int, dtype: type) -> None:
    x, w, _, gy = layer(rows, 300, 9, dtype)
    x = activation.relu(x)
    x[0, 1], x[0, 2] = np.nan, -0.0
    gx = linear.gradients(gy, x, w, ALL)[0]
    assert gx is not None
    gated = linear.gradients(gy, x, w, ALL, gated=True)[0]
    np.testing.assert_array_equal(gated, activation.relu_grad(gx, x))
    assert gated is not None
    assert gated[0, 2] == 0 != gated[0, 1]


@pytest.mark.parametrize("dtype", DTYPES)
def test_nothing_to_add_up_or_nowhere_to_put_it(dtype: type) -> None:
    for n, i, o in [(0, 4, 5), (3, 0, 5), (3, 4, 0), (1, 0, 5), (20, 0, 5)]:
        x, w, b, gy = layer(n, i, o, dtype)
        np.testing.assert_array_equal(linear.linear(x, np.zeros_like(w), b), np.broadcast_to(b, (n, o)))
        for g, known in zip(linear.gradients(gy, x, w, ALL), (gy @ w, gy.T @ x, gy.sum(0)), strict=True):
            assert g is not None
            np.testing.assert_allclose(g, known, rtol=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
def test_long_sums_stay_exact(dtype: type) -> None:
    """Positive numbers over a depth of 25,088: one float32 chain would be off by several 1e-6."""
    for rows in (2, 9):
        x, w = abs(normal(rows, 25_088, dtype=dtype)), abs(normal(11, 25_088, dtype=dtype, seed=1))
        expected = x.astype(np.float64) @ w.T.astype(np.float64)
        assert error(linear.linear(x, w), expected) <= (1e-6 if dtype == np.float32 else 1e-14)


def results(dtype: type) -> list[Any]:
    found = []
    for rows, depth in [(2, 600), (30, 300), (9, 300)]:
        x, w, b, gy = layer(rows, depth, 131, dtype)
        found += [linear.linear(x, w, b, True), *linear.gradients(gy, x, w, ALL, True)]
    return found


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_same_bits_for_every_thread_count_and_every_run(
    dtype: type, same_bits_for_every_thread_count: Callable[..., None]
) -> None:
    same_bits_for_every_thread_count(results, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_all_of_the_result_is_written_and_nothing_beside_it(dtype: type, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = results(dtype)
    fences: list[np.ndarray] = []

    def empty(shape: Any, dtype: Any) -> np.ndarray:
        around = np.full(int(np.prod(shape)) + 64, 12345, dtype)
        fences.extend([around[:32], around[-32:]])
        around[32:-32] = np.nan
        return around[32:-32].reshape(shape)

    monkeypatch.setattr(linear, "np", SimpleNamespace(**{**vars(np), "empty": empty}))
    monkeypatch.setattr(buffers, "empty", empty)
    for y, known in zip(results(dtype), expected, strict=True):
        np.testing.assert_array_equal(y, known)
    assert len(fences) >= 2 * len(expected)
    assert all((fence == 12345).all() for fence in fences)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_infinity_stay_in_their_row_and_column(dtype: type, value: float) -> None:
    for rows in (2, 9):
        x, w, b, _ = layer(rows, 40, 50, dtype)
        x[rows - 1, 39], w[2, 0] = value, value
        spoiled = ~np.isfinite(linear.linear(x, w, b))
        assert spoiled[rows - 1].all()
        assert spoiled[:, 2].all()
        assert spoiled.sum() == rows + 50 - 1
