"""Each operation in a compiled kernel beside its NumPy form, on vectors of this processor and of older ones."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tinygrad_cnn
from tinygrad_cnn.kernels import buffers, vector
from tinygrad_cnn.kernels.compile import kernel
from tinygrad_cnn.kernels.tile import lanes

DTYPES = [np.float32, np.float64]


@kernel
def loaded(x, y, at, begin, end, fill):
    vector.store(vector.load(x, at, begin, end, fill), y, 0, len(y))


@kernel
def stored(x, y, at, end):
    vector.store(vector.load(x, 0, 0, len(x), 0.0), y, at, end)


@kernel
def streamed(x, y, at):
    vector.stream(vector.load(x, 1, 0, 64, 0.0), y, at)


@kernel
def shuffled(x, y):
    a, b = vector.load(x, 0, 0, len(x), 0.0), vector.load(x, len(x) // 2, 0, len(x), 0.0)
    count = len(x) // 2
    vector.store(vector.evens(a, b), y, 0, count)
    vector.store(vector.odds(a, b), y, count, count)
    vector.store(vector.zip_low(a, b), y, 2 * count, count)
    vector.store(vector.zip_high(a, b), y, 3 * count, count)
    vector.store(vector.add(a, b), y, 4 * count, count)
    vector.store(vector.multiply(a, vector.fill(b, 0.5)), y, 5 * count, count)
    vector.store(vector.pick(vector.wins(a, b), a, b), y, 6 * count, count)


@kernel(writes="y places")
def indexed(x, bytes_, y, places, end):
    like = vector.load(x, 0, 0, len(x), 0.0)
    found = vector.load_indices(bytes_, 1, end, like)
    vector.store(found, y, 0, len(y))
    sums = vector.add(found, vector.indices(like, 3, 2))
    same = vector.equal(found, vector.indices(like, 7, 0))
    vector.store(vector.pick(same, vector.indices(like, 255, 0), sums), places, 0, len(places))


@kernel
def reduced(x, y):
    y[0] = vector.highest(vector.load(x, 0, 0, len(x), 0.0))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_stream_writes_a_whole_vector(dtype: type) -> None:
    count = lanes(dtype)
    x, y = np.arange(count + 1).astype(dtype), buffers.empty((2**14,), dtype)  # at an address for vectors
    y[: 3 * count] = -1
    streamed(x, y, count)
    np.testing.assert_array_equal(y[count : 2 * count], x[1:])
    assert (y[:count] == -1).all()
    assert (y[2 * count : 3 * count] == -1).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_highest_is_found_in_every_lane(dtype: type) -> None:
    for lane in range(lanes(dtype)):
        x, y = np.full(lanes(dtype), -2, dtype), np.zeros(1, dtype)
        x[lane] = -1
        reduced(x, y)
        assert y == -1


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_load_reads_the_lanes_that_exist(dtype: type) -> None:
    count = lanes(dtype)
    x = np.arange(2 * count + 5).astype(dtype)
    cases = [(0, 0, count), (5, 0, 300), (2, 1, 2), (-1, 1, 99), (count, -9, 1), (0, 2, 1), (0, 0, -1)]
    for at, begin, end in cases:
        y = np.zeros(count, dtype)
        loaded(x, y, at, begin, end, -np.inf)
        lane = np.arange(count)
        inside = (begin <= lane) & (lane < end)
        np.testing.assert_array_equal(y, np.where(inside, x[(at + lane) % len(x)], -np.inf), f"{at} {begin} {end}")


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_store_writes_no_other_lane(dtype: type) -> None:
    count = lanes(dtype)
    x = 1 + np.arange(count).astype(dtype)
    for end in (-3, 0, 1, count - 1, count, 5 * count):
        y = np.zeros(count + 4, dtype)
        stored(x, y, 2, end)
        expected = np.concatenate(([0, 0], np.where(np.arange(count) < end, x, 0), [0, 0]))
        np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_shuffles_sums_and_maxima(dtype: type) -> None:
    count = lanes(dtype)
    x = np.random.default_rng(0).integers(-9, 9, 2 * count).astype(dtype)
    x[1] = x[count] = np.nan
    y = np.zeros(7 * count, dtype)
    shuffled(x, y)
    a, b = x[:count], x[count:]
    zipped = np.stack((a, b), 1).reshape(-1)
    best = np.where(np.isnan(a) | (a > b), a, b)
    np.testing.assert_array_equal(y, np.concatenate((x[::2], x[1::2], zipped, a + b, a / 2, best)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_indices_lie_in_bytes(dtype: type) -> None:
    count = lanes(dtype)
    x, places = np.zeros(count, dtype), np.full(count + 1, 7, np.uint8)
    places[-1] = 200
    for end in (1, count, 2 * count):
        y, result = np.zeros(count, np.int64), np.zeros(count, np.uint8)
        indexed(x, places, y, result, end)
        found = np.where(np.arange(count) < end, places[1:], 0)
        np.testing.assert_array_equal(y, found)
        np.testing.assert_array_equal(result, np.where(found == 7, 255, found + 3 + 2 * np.arange(count)))


@pytest.mark.parametrize(
    "variables",
    [
        {"NUMBA_DISABLE_JIT": "1"},
        {"NUMBA_CPU_NAME": "x86-64-v3", "NUMBA_CPU_FEATURES": "+sse4.2,+avx,+avx2,+fma,+bmi,+bmi2"},
        {"NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": "+sse2"},
    ],
    ids=["numpy", "avx2", "sse2"],
)
def test_the_same_without_numba_and_on_older_processors(variables: dict[str, str]) -> None:
    if "NUMBA_CPU_NAME" in variables and platform.machine().lower() not in ("x86_64", "amd64"):
        pytest.skip("names of x86 processors")
    root = Path(tinygrad_cnn.__file__).parents[1]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "not older", __file__]
    pools = Path(__file__).with_name("test_pool_2x2.py")
    result = subprocess.run(
        [*command, str(pools)], env={**os.environ, **variables}, cwd=root, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stdout
