from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest

from tinygrad_cnn.kernels.compile import kernel
from tinygrad_cnn.kernels.launch import LaunchCompiler
from tinygrad_cnn.kernels.threads import ASLEEP_BELOW, split


@kernel(writes="y z")
def every_kind(x, y, z, flag, factor, offset, start, stop):
    for i in range(start, stop):
        y[i] = x[0, i] * factor + offset
        if flag:
            z[i] = x[1, i] > 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_all_arguments_reach_every_piece(dtype: type) -> None:
    x = np.random.default_rng(0).integers(-9, 9, (2, 1001)).astype(dtype)  # exact, fused or not
    for flag in (True, False):
        y, z = np.zeros(1001, dtype), np.zeros(1001, np.int64)
        split(every_kind, 1001, x, y, z, flag, 2.5, -33, work=ASLEEP_BELOW)
        np.testing.assert_array_equal(y, (x[0] * 2.5 - 33).astype(dtype))
        np.testing.assert_array_equal(z, (x[1] > 0) & flag)
        part = np.zeros_like(y)
        every_kind(x, part, z, flag, 2.5, -33, 5, 9)  # called directly: just these indices
        np.testing.assert_array_equal(part[5:9], y[5:9])
        assert np.count_nonzero(part) == 4 == np.count_nonzero(part[5:9])


def test_only_kernels_with_start_and_stop_can_be_launched() -> None:
    @kernel
    def doubled(x, y):
        for i in range(x.size):
            y[i] = 2 * x[i]

    y = np.zeros(3)
    doubled(np.arange(3.0), y)
    every_kind(np.zeros((2, 1)), np.zeros(1), np.zeros(1, np.int64), True, 1.0, 0, 0, 1)
    compilers: list[Any] = [function.dispatchers["d"]._compiler.pipeline_class for function in (doubled, every_kind)]
    assert compilers == [numba.core.compiler.Compiler, LaunchCompiler]
    np.testing.assert_array_equal(y, [0, 2, 4])
