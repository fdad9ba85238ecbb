from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from tinygrad_cnn import reference, state
from tinygrad_cnn.kernels.prelu import prelu, prelu_grad

DTYPES = [np.float32, np.float64]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(4, 3, 35), (2, 5, 1), (0, 3, 2), (2, 3, 0), (9, 1, 8)])
def test_equals_the_reference(shape: tuple[int, ...], dtype: type, rng: np.random.Generator) -> None:
    x, gy = rng.normal(size=(2, *shape)).astype(dtype)
    x[x < -1] = 0  # where the slope counts
    w = rng.normal(size=shape[1]).astype(dtype)
    y = prelu(x, w)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, reference.prelu(x, w))
    gx, gw = prelu_grad(gy, x, w)
    expected = reference.prelu_grad(gy, x, w)
    assert gw.dtype == np.float64
    np.testing.assert_array_equal(gx, expected[0])
    np.testing.assert_allclose(gw, expected[1], rtol=1e-6, atol=1e-6)


def test_layouts_and_numbers_of_threads_give_the_same_bits(rng: np.random.Generator) -> None:
    x, gy = rng.normal(size=(2, 37, 13, 101)).astype(np.float32)
    w, before, results = rng.normal(size=13).astype(np.float32), state.get_num_threads(), []
    for threads in (1, 2, 3):
        state.set_num_threads(threads)
        results += [(prelu(v, w), *prelu_grad(g, v, w)) for g, v in ((gy, x), map(np.asfortranarray, (gy, x)))]
    state.set_num_threads(before)
    for result in results[1:]:
        for a, b in zip(result, results[0], strict=True):
            np.testing.assert_array_equal(a, b)


def test_nan_passes_and_gradients_are_selected() -> None:
    x = np.array([[[np.nan, 1.0, -1.0]]])
    np.testing.assert_array_equal(prelu(x, np.array([0.5])), [[[np.nan, 1.0, -0.5]]])
    gx, _ = prelu_grad(np.array([[[1.0, np.inf, 2.0]]]), np.abs(x), np.array([0.5]))
    assert gx[0, 0, 1:].tolist() == [np.inf, 2.0]


def test_runs_without_numba() -> None:
    program = """
import numpy as np
from tinygrad_cnn import reference
from tinygrad_cnn.kernels import prelu as k
x = np.linspace(-2, 2, 12).reshape(2, 3, 2)
w = np.array([0.1, 0.2, 0.3])
np.testing.assert_array_equal(k.prelu(x, w), reference.prelu(x, w))
for a, b in zip(k.prelu_grad(x, x, w), reference.prelu_grad(x, x, w)):
    np.testing.assert_allclose(a, b)
"""
    subprocess.run([sys.executable, "-c", program], check=True, env={**os.environ, "NUMBA_DISABLE_JIT": "1"})
