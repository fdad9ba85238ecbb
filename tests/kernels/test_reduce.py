from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from tinygrad_cnn import state
from tinygrad_cnn.kernels import reduce

rng = np.random.default_rng(0)
DTYPES = [np.float32, np.float64]


@pytest.fixture
def set_threads() -> Iterator[Callable[[int], None]]:
    before = state.get_num_threads()
    yield state.set_num_threads
    state.set_num_threads(before)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(4, 3, 35), (1, 1, 1), (0, 3, 5), (2, 3, 0), (2, 0, 5), (3, 7, 1)])
def test_sums_of_channels_and_rows(shape: tuple[int, ...], dtype: type) -> None:
    gy = rng.normal(size=shape).astype(dtype)
    rows = gy[:, :, 0] if shape[2] else gy.reshape(shape[0], 0)
    for result, expected in [
        (reduce.channel_sum(gy), gy.astype(np.float64).sum((0, 2))),
        (reduce.rows_sum(rows), rows.astype(np.float64).sum(0)),
    ]:
        assert result.dtype == dtype
        assert result.shape == expected.shape
        np.testing.assert_allclose(result, expected, rtol=1e-6 if dtype == np.float32 else 1e-13, atol=1e-14)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_million_terms_keep_their_digits(dtype: type) -> None:
    value = float(dtype(0.1))
    sums = reduce.channel_sum(np.full((10, 2, 100_000), 0.1, dtype)), reduce.rows_sum(np.full((10**6, 2), 0.1, dtype))
    for result in sums:
        assert np.abs(result / (10**6 * value) - 1).max() < (1e-7 if dtype == np.float32 else 1e-10)


def test_large_terms_that_cancel() -> None:
    gy = np.array([1e8, 1.0, -1e8], np.float32)
    assert reduce.channel_sum(gy.reshape(1, 1, 3))[0] == 1
    assert reduce.rows_sum(gy.reshape(3, 1))[0] == 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_same_bits_for_every_number_of_threads(
    dtype: type, set_threads: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    gy = rng.normal(size=(9, 37, 401)).astype(dtype)
    results = []
    for threads in (1, 2, 3):
        set_threads(threads)
        results.append((reduce.channel_sum(gy), reduce.rows_sum(gy.reshape(37 * 9, 401))))
    monkeypatch.setattr("tinygrad_cnn.kernels.threads.SERIAL_BELOW", 10**9)
    results.append((reduce.channel_sum(gy), reduce.rows_sum(gy.reshape(37 * 9, 401))))
    for result in results[1:]:
        for a, b in zip(result, results[0], strict=True):
            np.testing.assert_array_equal(a, b)


def test_frozen_and_strided_inputs_give_the_same_bits() -> None:
    gy = rng.normal(size=(5, 6, 7)).astype(np.float32)
    channels, rows = reduce.channel_sum(gy), reduce.rows_sum(gy[:, :, 0])
    gy.flags.writeable = False
    for variant in (gy, np.asfortranarray(gy), np.repeat(gy, 2, axis=1)[:, ::2]):
        np.testing.assert_array_equal(reduce.channel_sum(variant), channels)
        np.testing.assert_array_equal(reduce.rows_sum(variant[:, :, 0]), rows)


def test_nan_and_infinity_come_through() -> None:
    gy = np.array([[[1.0, np.nan], [np.inf, 1.0], [np.inf, -np.inf]]])
    np.testing.assert_array_equal(reduce.channel_sum(gy), [np.nan, np.inf, np.nan])
    np.testing.assert_array_equal(reduce.rows_sum(gy[0].T), [np.nan, np.inf, np.nan])


def test_one_compilation_for_each_dtype() -> None:
    assert set(reduce._channel_sum.dispatchers) <= {"f", "d"}
    assert set(reduce._rows_sum.dispatchers) <= {"f", "d"}


def test_runs_without_numba() -> None:
    program = """
import numpy as np
from tinygrad_cnn.kernels import reduce
gy = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
assert reduce.channel_sum(gy).tolist() == gy.sum((0, 2)).tolist()
assert reduce.rows_sum(gy[0]).tolist() == gy[0].sum(0).tolist()
"""
    subprocess.run([sys.executable, "-c", program], check=True, env={**os.environ, "NUMBA_DISABLE_JIT": "1"})
