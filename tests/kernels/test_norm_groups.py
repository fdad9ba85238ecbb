from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from tinygrad_cnn import reference, state
from tinygrad_cnn.kernels.norm_groups import group_norm, group_norm_grad

rng = np.random.default_rng(0)
DTYPES = [np.float32, np.float64]
TOLERANCE = {np.float32: 1e-6, np.float64: 1e-12}
EPS = 1e-5


def all_results(gy: np.ndarray, x: np.ndarray, groups: int) -> list[np.ndarray]:
    channels = groups, x.shape[1]
    gamma = np.linspace(0.5, 2, groups * x.shape[1], dtype=x.dtype).reshape(channels)
    y, *statistics = group_norm(x, gamma, 1 - gamma, EPS)
    return [y, *statistics, *group_norm_grad(gy, x, gamma, *statistics)]


def expected_results(gy: np.ndarray, x: np.ndarray, groups: int) -> list[np.ndarray]:
    channels = groups, x.shape[1]
    gamma = np.linspace(0.5, 2, groups * x.shape[1], dtype=x.dtype).reshape(channels)
    y, *statistics = reference.group_norm(x, gamma, 1 - gamma, EPS)
    return [y, *statistics, *reference.group_norm_grad(gy, x, gamma, *statistics)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("shape", "groups"), [((6, 3, 35), 2), ((5, 7, 1), 1), ((4, 1, 9), 4), ((40, 33, 1), 1), ((6, 1100, 1), 2)]
)
@pytest.mark.parametrize("mean", [0, 3, 1e4])
def test_equals_the_reference(shape: tuple[int, ...], groups: int, mean: float, dtype: type) -> None:
    x, gy = (rng.normal(size=shape) + mean).astype(dtype), rng.normal(size=shape).astype(dtype)
    tolerance = TOLERANCE[dtype] * (1 + mean * 1e-3)  # x alone has lost that many digits
    found, expected = all_results(gy, x, groups), expected_results(gy, x, groups)
    assert [a.dtype for a in found] == [dtype, np.float64, np.float64, dtype, dtype, dtype]
    for a, ref in zip(found, expected, strict=True):
        assert a.shape == ref.shape
        assert np.abs(a - ref).max() <= tolerance * np.abs(ref).max()


@pytest.mark.parametrize("shape", [(0, 3, 5), (4, 3, 0), (4, 0, 1)])
def test_empty(shape: tuple[int, ...]) -> None:
    x = np.zeros(shape, np.float32)
    y, _, _, gx, ggamma, gbeta = all_results(x, x, 2)
    assert y.shape == gx.shape == shape
    assert not ggamma.any()
    assert not gbeta.any()


def test_nan_stays_in_its_row() -> None:
    x = rng.normal(size=(3, 2, 4))
    x[1, 1, 2] = np.nan
    y = group_norm(x, np.ones((1, 2)), np.zeros((1, 2)), EPS)[0]
    assert np.isnan(y).all((1, 2)).tolist() == np.isnan(y).any((1, 2)).tolist() == [False, True, False]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(64, 13, 101), (201, 600, 1)])
def test_same_bits_for_every_layout_and_number_of_threads(shape: tuple[int, ...], dtype: type) -> None:
    x, gy = rng.normal(size=(2, *shape)).astype(dtype)
    before, results = state.get_num_threads(), []
    for threads in (1, 2, 3):
        state.set_num_threads(threads)
        results += [all_results(gy, x, 1), all_results(np.asfortranarray(gy), np.asfortranarray(x), 1)]
    state.set_num_threads(before)
    for result in results[1:]:
        for a, b in zip(result, results[0], strict=True):
            np.testing.assert_array_equal(a, b)


def test_runs_without_numba() -> None:
    program = """
import numpy as np
from tinygrad_cnn import reference
from tinygrad_cnn.kernels import norm_groups as k
for shape in ((4, 3, 5), (4, 3, 1)):
    x, gy = np.random.default_rng(0).normal(size=(2, *shape))
    gamma = np.linspace(1, 2, 6).reshape(2, 3)
    found, wanted = k.group_norm(x, gamma, gamma, 0.1), reference.group_norm(x, gamma, gamma, 0.1)
    found += k.group_norm_grad(gy, x, gamma, *found[1:])
    wanted += reference.group_norm_grad(gy, x, gamma, *wanted[1:])
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
"""
    subprocess.run([sys.executable, "-c", program], check=True, env={**os.environ, "NUMBA_DISABLE_JIT": "1"})
