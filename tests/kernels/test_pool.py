from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_cnn import reference, state
from tinygrad_cnn.kernels import pool
from tinygrad_cnn.kernels.geometry import Window

rng = np.random.default_rng(0)
DTYPES = [np.float32, np.float64]
NO_PADDING = ((0, 0), (0, 0))
WINDOWS = [
    pool.SIDE_BY_SIDE,
    Window((3, 2), (2, 3), ((1, 0), (0, 1)), (1, 1)),
    Window((2, 3), (1, 2), ((2, 1), (1, 2)), (2, 1)),
    Window((2, 2), (2, 2), ((1, 1), (0, 0)), (1, 1)),
    Window((1, 4), (3, 1), NO_PADDING, (1, 2)),
]


def images(shape: tuple[int, ...], dtype: type) -> np.ndarray:
    """Few different values, so that ties are everywhere."""
    return rng.integers(-4, 5, shape).astype(dtype)


def check_max(x: np.ndarray, window: Window, out_size: tuple[int, int]) -> None:
    y, index = pool.max_pool2d(x, window, out_size)
    expected, expected_index = reference.max_pool2d(x, *window, out_size)
    assert y.dtype == x.dtype
    assert pool.pixel_index(index, x.shape).dtype == np.int64
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(pool.pixel_index(index, x.shape), expected_index)
    gy = images(y.shape, x.dtype)
    gx = pool.max_pool2d_grad(gy, index, x.shape)
    assert gx.dtype == x.dtype
    np.testing.assert_array_equal(gx, reference.max_pool2d_grad(gy, expected_index, x.shape))
    ggx = images(x.shape, x.dtype)
    assert np.vdot(ggx, gx) == np.vdot(pool.max_pool2d_gather(ggx, index), gy)  # small integers: exact


def check_average(x: np.ndarray, window: Window, out_size: tuple[int, int], include: bool, divisor: int) -> None:
    rest = window.size, window.stride, window.padding
    y = pool.avg_pool2d(x, window, out_size, include, divisor)
    expected = reference.avg_pool2d(x, *rest, out_size, include, divisor or None)
    tolerance = 1e-6 if x.dtype == np.float32 else 1e-14
    assert y.dtype == x.dtype
    np.testing.assert_allclose(y, expected, rtol=tolerance, atol=tolerance)
    gy = images(y.shape, x.dtype)
    gx = pool.avg_pool2d_grad(gy, window, x.shape, include, divisor)
    assert gx.dtype == x.dtype
    expected = reference.avg_pool2d_grad(gy, x.shape, *rest, include, divisor or None)
    np.testing.assert_allclose(gx, expected, rtol=tolerance, atol=4 * tolerance)


@pytest.fixture
def set_threads() -> Iterator[Callable[[int], None]]:
    before = state.get_num_threads()
    yield state.set_num_threads
    state.set_num_threads(before)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("shape", [(2, 3, 8, 11), (1, 2, 7, 8), (0, 3, 8, 9), (2, 0, 8, 9)])
def test_max_equals_the_reference(shape: tuple[int, ...], window: Window, dtype: type) -> None:
    for ceil_mode in (False, True):
        check_max(images(shape, dtype), window, window.out_size("max_pool2d", shape[2:], ceil_mode))


@st.composite
def cases(draw: st.DrawFn, dilated: bool) -> tuple[tuple[int, ...], Window, tuple[int, int]]:
    def pair(low: int, high: int) -> tuple[int, int]:
        return draw(st.integers(low, high)), draw(st.integers(low, high))

    shape = (draw(st.integers(1, 2)), draw(st.integers(1, 3)), *pair(1, 9))
    window = Window(pair(1, 4), pair(1, 4), (pair(0, 3), pair(0, 3)), pair(1, 3) if dilated else (1, 1))
    return shape, window, pair(1, 5)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(cases(True))
def test_max_over_any_window_overhanging_ones_included(case: tuple) -> None:
    shape, window, out_size = case
    check_max(images(shape, np.float64), window, out_size)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(cases(False), st.booleans(), st.sampled_from([0, 3]))
def test_average_over_any_window_inside_the_padding(case: tuple, include: bool, divisor: int) -> None:
    shape, window, out_size = case
    padded = window.padded(shape[2:])
    last = [(out_size[i] - 1) * window.stride[i] < padded[i] for i in (0, 1)]
    if all(last):
        check_average(images(shape, np.float64), window, out_size, include, divisor)


def test_fast_path_equals_the_general_one() -> None:
    general = Window((2, 2), (2, 2), NO_PADDING, (1, 1))._replace(padding=((0, 1), (0, 1)))
    for shape in [(5, 7, 28, 30), (3, 2, 5, 9), (1, 1, 2, 2), (2, 3, 64, 66), (9, 8, 2, 3)]:
        x = images(shape, np.float32)
        x[rng.random(shape) < 0.05] = np.nan
        x[rng.random(shape) < 0.05] = -np.inf
        out_size = shape[2] // 2, shape[3] // 2
        y, place = pool.max_pool2d(x, pool.SIDE_BY_SIDE, out_size)
        assert place.dtype == np.uint8
        slow_y, index = pool.max_pool2d(x, general, out_size)
        np.testing.assert_array_equal(y, slow_y)
        np.testing.assert_array_equal(pool.pixel_index(place, shape), index)
        gx = pool.max_pool2d_grad(y, place, shape)
        np.testing.assert_array_equal(gx, pool.max_pool2d_grad(y, index, shape))
        gx = pool.avg_pool2d_grad(y, pool.SIDE_BY_SIDE, shape, True, 0)
        np.testing.assert_array_equal(gx, pool.avg_pool2d_grad(y, general, shape, True, 0))


@pytest.mark.parametrize("window", [pool.SIDE_BY_SIDE, Window((2, 2), (2, 2), ((0, 1), (0, 1)), (1, 1))])
def test_first_maximum_and_last_nan_win(window: Window) -> None:
    nan, inf = np.nan, np.inf
    windows = {
        (1, 1, 1, 1): 0,
        (1, 2, 2, 2): 1,
        (0, 1, 2, 2): 2,
        (0, 1, 2, 3): 3,
        (nan, 1, inf, inf): 0,
        (nan, 1, nan, inf): 2,
        (nan, nan, nan, nan): 3,
        (inf, nan, 1, nan): 3,
        (-inf, nan, 1, inf): 1,
        (1, 2, nan, nan): 3,
        (inf, 2, 3, nan): 3,
        (-inf, -inf, -inf, -inf): 0,
        (-inf, -5, -inf, -7): 1,
        (0.0, -0.0, 0.0, 0.0): 0,
    }
    x = np.array(list(windows)).reshape(-1, 1, 2, 2)
    y, index = pool.max_pool2d(x, window, (1, 1))
    assert index.ravel().tolist() == list(windows.values())
    np.testing.assert_array_equal(y.ravel(), x.reshape(-1, 4)[range(len(x)), list(windows.values())])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("window", WINDOWS)
def test_nan_as_in_the_reference(window: Window, dtype: type) -> None:
    x = images((2, 3, 8, 11), dtype)
    x[rng.random(x.shape) < 0.3] = np.nan
    x[rng.random(x.shape) < 0.2] = np.inf
    out_size = window.out_size("max_pool2d", (8, 11))
    y, index = pool.max_pool2d(x, window, out_size)
    for found, expected in zip(
        (y, pool.pixel_index(index, x.shape)), reference.max_pool2d(x, *window, out_size), strict=True
    ):
        np.testing.assert_array_equal(found, expected)


def test_window_without_a_tap_has_no_gradient() -> None:
    window = Window((2, 3), (1, 4), ((1, 1), (1, 1)), (2, 2))  # in one row of 8, both rows of taps are padding
    x = images((2, 1, 1, 8), np.float64)
    out_size = window.out_size("max_pool2d", (1, 8))
    y, index = pool.max_pool2d(x, window, out_size)
    assert (y == -np.inf).all()
    assert (index == -1).all()
    assert (pool.max_pool2d_grad(np.ones_like(y), index, x.shape) == 0).all()
    assert (pool.max_pool2d_gather(x, index) == 0).all()


def test_average_of_the_overhang() -> None:
    x = np.arange(49.0).reshape(1, 1, 7, 7)
    window = Window((2, 2), (3, 3), NO_PADDING, (1, 1))
    y = pool.avg_pool2d(x, window, (3, 3), True, 0)
    np.testing.assert_array_equal(y[0, 0], [[4, 7, 9.5], [25, 28, 30.5], [42.5, 45.5, 48]])


def test_average_of_padding_alone_is_zero() -> None:
    x, window = np.ones((1, 1, 2, 2)), Window((1, 1), (1, 1), ((2, 0), (0, 1)), (1, 1))
    for include in (False, True):
        y = pool.avg_pool2d(x, window, (4, 3), include, 0)
        np.testing.assert_array_equal(y[0, 0], [[0, 0, 0], [0, 0, 0], [1, 1, 0], [1, 1, 0]])
        np.testing.assert_array_equal(pool.avg_pool2d_grad(y, window, x.shape, include, 0), x)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("window", [w for w in WINDOWS if w.dilation == (1, 1)])
def test_average_equals_the_reference(window: Window, dtype: type) -> None:
    for shape in [(2, 3, 8, 11), (0, 3, 8, 9)]:
        for ceil_mode in (False, True):
            out_size = window.out_size("avg_pool2d", shape[2:], ceil_mode)
            for include, divisor in [(True, 0), (False, 0), (True, 3)]:
                check_average(images(shape, dtype), window, out_size, include, divisor)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_large_window_keeps_its_digits(dtype: type) -> None:
    window = Window((40, 33), (5, 7), ((3, 0), (0, 2)), (1, 1))
    check_average(images((1, 2, 50, 60), dtype), window, window.out_size("avg_pool2d", (50, 60)), False, 0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("out_size", [(1, 1), (3, 2), (5, 7), (8, 11), (9, 4)])
def test_adaptive_average_equals_the_reference(out_size: tuple[int, int], dtype: type) -> None:
    for shape in [(2, 3, 5, 7), (0, 3, 8, 9)]:
        x, gy = images(shape, dtype), images((*shape[:2], *out_size), dtype)
        for result, expected in [
            (pool.adaptive_avg_pool2d(x, out_size), reference.adaptive_avg_pool2d(x, out_size)),
            (pool.adaptive_avg_pool2d_grad(gy, shape), reference.adaptive_avg_pool2d_grad(gy, shape)),
        ]:
            assert result.dtype == dtype
            np.testing.assert_allclose(result, expected, rtol=1e-6, atol=1e-6)


def all_results(x: np.ndarray, window: Window) -> list[np.ndarray]:
    out_size = window.out_size("pool", x.shape[2:])
    y, index = pool.max_pool2d(x, window, out_size)
    return [
        y,
        index,
        pool.max_pool2d_grad(y, index, x.shape),
        pool.max_pool2d_gather(x, index),
        pool.avg_pool2d(x, window, out_size, True, 0),
        pool.avg_pool2d_grad(y, window, x.shape, False, 0),
        pool.adaptive_avg_pool2d(x, (3, 4)),
        pool.adaptive_avg_pool2d_grad(y, x.shape),
    ]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("window", [pool.SIDE_BY_SIDE, Window((3, 2), (1, 2), ((1, 0), (0, 1)), (1, 1))])
def test_same_bits_for_every_number_of_threads(
    window: Window, dtype: type, set_threads: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    x = rng.normal(size=(19, 7, 28, 34)).astype(dtype)
    results = []
    for threads in (1, 2, 3):
        set_threads(threads)
        results.append(all_results(x, window))
    monkeypatch.setattr("tinygrad_cnn.kernels.threads.SERIAL_BELOW", 10**9)
    results.append(all_results(x, window))
    for result in results[1:]:
        for a, b in zip(result, results[0], strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("window", [pool.SIDE_BY_SIDE, WINDOWS[1]])
def test_frozen_and_strided_inputs_give_the_same_bits(window: Window) -> None:
    x = rng.normal(size=(2, 3, 8, 10)).astype(np.float32)
    expected = all_results(x, window)
    frozen = x.copy()
    frozen.flags.writeable = False
    for variant in (frozen, np.asfortranarray(x), np.repeat(x, 2, axis=3)[..., ::2]):
        for a, b in zip(all_results(variant, window), expected, strict=True):
            np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(x, frozen)


def test_one_compilation_for_each_dtype() -> None:
    kernels = "_max_pool", "_scatter", "_gather", "_average", "_average_bins", "_spread"
    for name in kernels:
        assert set(getattr(pool, name).dispatchers) <= {"f", "d"}


def test_runs_without_numba() -> None:
    program = """
import numpy as np
from tinygrad_cnn import reference
from tinygrad_cnn.kernels import pool
from tinygrad_cnn.kernels.geometry import Window
x = np.random.default_rng(0).normal(size=(1, 2, 4, 6)).astype(np.float32)
for window in (pool.SIDE_BY_SIDE, Window((2, 3), (1, 2), ((1, 0), (0, 1)), (1, 1))):
    out = window.out_size("pool", (4, 6))
    y, index = pool.max_pool2d(x, window, out)
    for a, b in zip((y, pool.pixel_index(index, x.shape)), reference.max_pool2d(x, *window, out), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(pool.max_pool2d_grad(y, index, x.shape), reference.max_pool2d_grad(y, b, x.shape))
    assert (pool.max_pool2d_gather(x, index) == y).all()
    a, b = pool.avg_pool2d(x, window, out, True, 0), reference.avg_pool2d(x, *window[:3], out, True, None)
    np.testing.assert_allclose(a, b, rtol=1e-6)
    a = pool.avg_pool2d_grad(y, window, x.shape, True, 0)
    np.testing.assert_allclose(a, reference.avg_pool2d_grad(y, x.shape, *window[:3], True, None), rtol=1e-5, atol=1e-6)
"""
    subprocess.run([sys.executable, "-c", program], check=True, env={**os.environ, "NUMBA_DISABLE_JIT": "1"})
