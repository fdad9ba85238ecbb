from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from tinygrad_cnn import reference, state
from tinygrad_cnn.kernels import softmax

rng = np.random.default_rng(0)
DTYPES = [np.float32, np.float64]
TOLERANCE = {np.float32: 1e-6, np.float64: 1e-14}
NAMES = ["softmax", "log_softmax"]


@pytest.fixture
def set_threads() -> Iterator[Callable[[int], None]]:
    before = state.get_num_threads()
    yield state.set_num_threads
    state.set_num_threads(before)


def both(module: object, name: str, x: np.ndarray, gy: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """The result, and the gradient for the cotangent gy."""
    y = getattr(module, name)(x, axis)
    return y, getattr(module, name + "_grad")(gy, y, axis)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(5, 10), (3, 4, 7), (2, 21, 3, 5), (6,), (1, 1), (40, 3), (0, 4), (3, 0), (2, 3, 0)])
def test_equals_the_reference_along_every_axis(shape: tuple[int, ...], name: str, dtype: type) -> None:
    for axis in range(-len(shape), len(shape)):
        x, gy = 5 * rng.normal(size=shape).astype(dtype), rng.normal(size=shape).astype(dtype)
        results = both(softmax, name, x, gy, axis)
        expected = both(reference, name, x, gy, axis) if x.size else (x, x)
        for result, correct in zip(results, expected, strict=True):
            assert result.dtype == dtype
            assert result.shape == shape
            np.testing.assert_allclose(result, correct, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("length", [10, 17, 40, 1100])
def test_each_row_by_its_own_largest_wherever_that_stands(length: int, dtype: type) -> None:
    places = {0, 9, 15, length // 2, length - 1} & set(range(length))
    x = rng.normal(size=(len(places), length)).astype(dtype) + 1000 * np.arange(len(places), dtype=dtype)[:, None]
    x[range(len(places)), list(places)] += 800
    y, gx = both(softmax, "softmax", x, x, 1)
    for result, correct in zip((y, gx), both(reference, "softmax", x, x, 1), strict=True):
        np.testing.assert_allclose(result, correct, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axis", [0, 1])
def test_infinite_and_huge_scores(axis: int, dtype: type) -> None:
    inf, nan = np.inf, np.nan
    broken = [-inf, -inf, -inf], [inf, 0, 0], [nan, 0, 0], [0, nan, 0]
    x = np.array([[1e30, 0, -1e30], [-inf, 3, 3], *broken, [700, 710, 720]], dtype)
    y, log = (np.moveaxis(f(np.moveaxis(x, 1, axis), axis), axis, 1) for f in (softmax.softmax, softmax.log_softmax))
    np.testing.assert_array_equal(y[:2], np.array([[1, 0, 0], [0, 0.5, 0.5]], dtype))
    assert np.isnan(y[2:6]).all()
    assert np.isnan(log[2:6]).all()
    np.testing.assert_allclose(log[0], [0, -1e30, -2e30], rtol=1e-6)
    assert log[1, 0] == -inf
    np.testing.assert_allclose(y[6], reference.softmax(x[6], 0), rtol=TOLERANCE[dtype])


@pytest.mark.parametrize("axis", [0, 1])
def test_many_classes_add_up_to_one(axis: int) -> None:
    x = rng.normal(size=(100_000, 2) if axis == 0 else (2, 100_000)).astype(np.float32)
    assert np.abs(softmax.softmax(x, axis).sum(axis, dtype=np.float64) - 1).max() < 1e-6


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axis", [1, 3])
@pytest.mark.parametrize("name", NAMES)
def test_same_bits_for_every_number_of_threads(
    name: str, axis: int, dtype: type, set_threads: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    x, gy = rng.normal(size=(2, 5, 19, 13, 29)).astype(dtype)
    monkeypatch.setattr("tinygrad_cnn.kernels.threads.SERIAL_BELOW", 1)
    results = []
    for threads in (1, 2, 3):
        set_threads(threads)
        results.append(both(softmax, name, x, gy, axis))
    monkeypatch.setattr("tinygrad_cnn.kernels.threads.SERIAL_BELOW", 10**9)
    results.append(both(softmax, name, x, gy, axis))
    for result in results[1:]:
        for a, b in zip(result, results[0], strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("name", NAMES)
def test_frozen_and_strided_inputs_give_the_same_bits(name: str, axis: int) -> None:
    x, gy = rng.normal(size=(2, 4, 10, 6)).astype(np.float32)
    expected = both(softmax, name, x, gy, axis)
    x.flags.writeable = gy.flags.writeable = False
    for variant in (np.array, np.asfortranarray, lambda a: np.repeat(a, 2, axis=1)[:, ::2], lambda a: a):
        for a, b in zip(both(softmax, name, variant(x), variant(gy), axis), expected, strict=True):
            np.testing.assert_array_equal(a, b)


def test_one_compilation_for_each_dtype() -> None:
    for name in ("_softmax_rows", "_softmax_columns", "_softmax_grad_rows", "_softmax_grad_columns"):
        assert set(getattr(softmax, name).dispatchers) <= {"f", "d"}


def test_runs_without_numba() -> None:
    program = """
import numpy as np
from tinygrad_cnn import reference
from tinygrad_cnn.kernels import softmax
x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
for axis in range(3):
    for name in ("softmax", "log_softmax"):
        y = getattr(softmax, name)(x, axis)
        np.testing.assert_allclose(y, getattr(reference, name)(x, axis), rtol=1e-6)
        a, b = (getattr(module, name + "_grad")(x, y, axis) for module in (softmax, reference))
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
"""
    subprocess.run([sys.executable, "-c", program], check=True, env={**os.environ, "NUMBA_DISABLE_JIT": "1"})


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_bits_do_not_depend_on_where_the_result_lies(dtype: type) -> None:
    memory = np.zeros(8192, np.uint8)
    for seed in range(20):
        for length in (4, 10, 33, 100):
            x = np.random.default_rng(seed).standard_normal((3, length)).astype(dtype)
            wanted = np.empty_like(x)
            softmax._softmax_rows(x, wanted, False, 0, 3)
            placed = np.ndarray(x.shape, dtype, memory.data)
            placed[...] = x
            for gap in (0, 16, 64):
                y = np.ndarray(x.shape, dtype, memory.data, x.nbytes + gap)
                softmax._softmax_rows(placed, y, False, 0, 3)
                assert y.tobytes() == wanted.tobytes()
