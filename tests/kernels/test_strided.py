from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from tinygrad_cnn.kernels.compile import kernel
from tinygrad_cnn.kernels.strided import _join_run_twin, _split_run_twin, join_run, split_run

COUNTS = [0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 50]


@kernel(writes="target")
def _split(source, target, source_start, even_start, odd_start, count):
    split_run(source, source_start, target, even_start, odd_start, count)


@kernel(writes="target")
def _join(source, target, source_start, target_start, count):
    join_run(source, source_start, target, target_start, count)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("count", COUNTS)
def test_a_row_is_dealt_to_two_and_to_every_second_number_and_no_other(dtype, count):
    x = np.random.default_rng(0).standard_normal(3 + max(count, 1)).astype(dtype)
    for run, twin, start, targets in ((_split, _split_run_twin, 3, (2, 33)), (_join, _join_run_twin, 1, (2,))):
        expected = np.full(2 + 2 * max(COUNTS), np.nan, dtype)
        found = expected.copy()
        twin(x, start, expected, *targets, count)
        run(x, found, start, *targets, count)
        np.testing.assert_array_equal(found, expected)
        assert np.isfinite(found).sum() == count
    if count > 1:
        found = np.full(2 * count, np.nan, dtype)
        _split(x, found, 2, 1, count, count)
        np.testing.assert_array_equal(found[1 : 1 + (count + 1) // 2], x[2 : 2 + count : 2])
        np.testing.assert_array_equal(found[count : count + count // 2], x[3 : 2 + count : 2])


def test_a_run_of_less_than_none_writes_nothing():
    for run in (_join, lambda x, y, *rest: _join_run_twin(x, rest[0], y, *rest[1:])):
        y = np.full(60, np.nan)
        run(np.ones(60), y, 1, 50, -20)
        assert np.isnan(y).all()


def test_the_twins_serve_without_the_compiler():
    program = (
        "from tinygrad_cnn.kernels import strided as s\n"
        "assert s.split_run is s._split_run_twin\n"
        "assert s.join_run is s._join_run_twin"
    )
    subprocess.run([sys.executable, "-c", program], check=True, env={**os.environ, "NUMBA_DISABLE_JIT": "1"})
