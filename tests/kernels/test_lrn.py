from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from tinygrad_cnn import reference, state
from tinygrad_cnn.kernels.lrn import local_response_norm, local_response_norm_grad

rng = np.random.default_rng(0)


@pytest.mark.parametrize(("dtype", "bound"), [(np.float32, 1e-6), (np.float64, 1e-13)])
@pytest.mark.parametrize("beta", [0.75, 0.6, 1.0])
@pytest.mark.parametrize(
    ("shape", "before", "after"), [((2, 7, 35), 2, 2), ((1, 3, 700), 2, 1), ((3, 1, 1), 4, 3), ((0, 2, 5), 1, 1)]
)
def test_equals_the_reference(
    shape: tuple[int, ...], before: int, after: int, beta: float, dtype: type, bound: float
) -> None:
    x, gy = rng.normal(size=(2, *shape)).astype(dtype)
    y, d = local_response_norm(x, before, after, 0.3, beta, 2.0)
    gx = local_response_norm_grad(gy, x, d, before, after, 0.3, beta)
    wanted = reference.local_response_norm(x, before, after, 0.3, beta, 2.0)
    wanted += (reference.local_response_norm_grad(gy, x, wanted[1], before, after, 0.3, beta),)
    for a, ref in zip((y, d, gx), wanted, strict=True):
        assert a.dtype == dtype
        np.testing.assert_allclose(a, ref, rtol=8 * bound, atol=bound)


def test_nan_stays_in_its_window() -> None:
    x = np.ones((1, 6, 2))
    x[0, 3, 1] = np.nan
    y, _ = local_response_norm(x, 1, 2, 1.0, 0.75, 1.0)
    assert np.isnan(y[0]).tolist() == [[False, c in (1, 2, 3, 4)] for c in range(6)]


def test_same_bits_for_every_layout_and_number_of_threads() -> None:
    x, gy = rng.normal(size=(2, 3, 9, 1200)).astype(np.float32)
    before, results = state.get_num_threads(), []
    for threads in (1, 2, 3):
        state.set_num_threads(threads)
        for g, v in ((gy, x), (np.asfortranarray(gy), np.asfortranarray(x))):
            y, d = local_response_norm(v, 2, 2, 0.1, 0.75, 1.0)
            results.append((y, d, local_response_norm_grad(g, v, d, 2, 2, 0.1, 0.75)))
    state.set_num_threads(before)
    for result in results[1:]:
        for a, b in zip(result, results[0], strict=True):
            np.testing.assert_array_equal(a, b)


def test_runs_without_numba() -> None:
    program = """
import numpy as np
from tinygrad_cnn import reference
from tinygrad_cnn.kernels import lrn as k
x, gy = np.random.default_rng(0).normal(size=(2, 2, 4, 3))
for beta in (0.75, 0.5):
    y, d = k.local_response_norm(x, 2, 1, 0.5, beta, 1.0)
    for a, b in zip((y, d), reference.local_response_norm(x, 2, 1, 0.5, beta, 1.0), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
    gx = k.local_response_norm_grad(gy, x, d, 2, 1, 0.5, beta)
    np.testing.assert_allclose(gx, reference.local_response_norm_grad(gy, x, d, 2, 1, 0.5, beta), rtol=1e-10)
"""
    subprocess.run([sys.executable, "-c", program], check=True, env={**os.environ, "NUMBA_DISABLE_JIT": "1"})
