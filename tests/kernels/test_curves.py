from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from tinygrad_cnn import reference, state
from tinygrad_cnn.kernels import curves
from tinygrad_cnn.kernels.compile import kernel

DTYPES = [np.float32, np.float64]
BOUND = {np.float32: 4e-7, np.float64: 1e-12}
CURVES: dict[str, tuple[tuple[float, ...], Callable[[np.ndarray], np.ndarray]]] = {
    "elu": ((0.8, 1.0, 1.0), lambda x: reference.elu(x, 0.8)),
    "gelu": ((), lambda x: reference.gelu(x, "none")),
    "gelu_tanh": ((), lambda x: reference.gelu(x, "tanh")),
    "hardsigmoid": ((), reference.hardsigmoid),
    "hardswish": ((), reference.hardswish),
    "hardtanh": ((-0.5, 2.0), lambda x: reference.hardtanh(x, -0.5, 2.0)),
    "logsigmoid": ((), reference.logsigmoid),
    "mish": ((), reference.mish),
    "normal_cdf": ((), lambda x: np.vectorize(lambda v: math.erfc(-v / math.sqrt(2)) / 2)(x.astype(np.float64))),
    "silu": ((), reference.silu),
    "softplus": ((0.5, 3.0), lambda x: reference.softplus(x, 0.5, 3.0)),
    "softsign": ((), reference.softsign),
}
each_curve = pytest.mark.parametrize("name", CURVES)


@kernel(writes="y z")
def pieces_of_formulas(t, y, z):
    for i in range(len(t)):
        y[i] = curves.log1p(t[i])
        z[i] = curves.normal_tail(t[i])


@pytest.fixture
def set_threads() -> Iterator[Callable[[int], None]]:
    before = state.get_num_threads()
    yield state.set_num_threads
    state.set_num_threads(before)


def value(name: str, x: np.ndarray) -> np.ndarray:
    return curves.elementwise(getattr(curves, name), x, parameters=CURVES[name][0])


def gradient(name: str, gy: np.ndarray, x: np.ndarray) -> np.ndarray:
    return curves.elementwise(getattr(curves, name + "_grad"), gy, x, parameters=CURVES[name][0])


def test_no_curve_is_forgotten() -> None:
    made = {name for name in vars(curves) if isinstance(getattr(curves, name), curves.Kernel)}
    assert made == {*CURVES, *(name + "_grad" for name in CURVES)}
    assert {getattr(curves, name).__name__.strip("_") for name in made} == made  # the cache tells them apart by name


@each_curve
@pytest.mark.parametrize("dtype", DTYPES)
def test_equals_the_reference_and_keeps_shape_and_dtype(name: str, dtype: type, rng: np.random.Generator) -> None:
    for shape in [(23, 5, 7), (1,), (), (0, 4)]:
        x = np.asarray(4 * rng.normal(size=shape), dtype)
        y, expected = value(name, x), CURVES[name][1](x) if x.size else x
        assert type(y) is np.ndarray
        assert y.dtype == dtype
        assert y.shape == shape
        np.testing.assert_allclose(y, expected, rtol=4 * BOUND[dtype], atol=BOUND[dtype])


@each_curve
def test_the_gradient_is_the_slope(name: str, rng: np.random.Generator) -> None:
    x, gy = rng.uniform(-8, 8, (2, 501))
    for kink in (-3, -0.5, 0, 2, 3, 6):
        x = np.where(abs(x - kink) < 1e-2, kink + 0.1, x)
    expected = gy * (value(name, x + 1e-5) - value(name, x - 1e-5)) / 2e-5
    np.testing.assert_allclose(gradient(name, gy, x), expected, atol=1e-9)
    single = gradient(name, gy.astype(np.float32), x.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, expected, rtol=1e-5, atol=2e-6)


@each_curve
@pytest.mark.parametrize("dtype", DTYPES)
def test_far_from_zero_nothing_overflows_and_nan_passes(name: str, dtype: type) -> None:
    x = np.array([-1e4, -100, 100, 1e4], dtype)
    np.testing.assert_allclose(value(name, x), CURVES[name][1](x), rtol=1e-6, atol=1e-30)
    assert np.isfinite(gradient(name, np.ones(4, dtype), x)).all()
    assert np.isnan(value(name, np.array([np.nan], dtype))).all()


@pytest.mark.parametrize("name", ["hardsigmoid", "hardswish", "hardtanh"])
def test_where_a_curve_is_flat_no_gradient_passes(name: str) -> None:
    gx = gradient(name, np.array([np.inf, np.nan, 5.0]), np.full(3, -7.0))
    np.testing.assert_array_equal(gx, np.zeros(3))


@pytest.mark.parametrize("dtype", DTYPES)
def test_log1p_and_normal_tail(dtype: type) -> None:
    t = np.concatenate([np.geomspace(1e-30, 1, 4001), [0.0]]).astype(dtype)
    y, z = np.empty_like(t), np.empty_like(t)
    pieces_of_formulas(t, y, z)
    np.testing.assert_allclose(y, np.log1p(t.astype(np.float64)), rtol=BOUND[dtype] / 2)
    d = np.linspace(0, 13, 5001).astype(dtype)
    z, exact = np.empty_like(d), [math.erfc(v / math.sqrt(2)) / 2 * math.exp(v * v / 2) for v in d.tolist()]
    pieces_of_formulas(d, np.empty_like(d), z)
    np.testing.assert_allclose(z, exact, rtol=2 * BOUND[dtype])


@each_curve
def test_other_layouts_and_numbers_of_threads_give_the_same_bits(
    name: str, rng: np.random.Generator, set_threads: Callable[[int], None]
) -> None:
    x, gy = rng.normal(size=(2, 300, 201)).astype(np.float32)
    results = []
    for threads in (1, 2, 3):
        set_threads(threads)
        results += [(value(name, v), gradient(name, g, v)) for g, v in ((gy, x), map(np.asfortranarray, (gy, x)))]
    for y, gx in results[1:]:
        np.testing.assert_array_equal(y, results[0][0])
        np.testing.assert_array_equal(gx, results[0][1])


def test_runs_without_numba() -> None:
    program = """
import numpy as np
from tinygrad_cnn import reference
from tinygrad_cnn.kernels import curves as k
for dtype in (np.float32, np.float64):
    x = np.linspace(-4, 4, 9, dtype=dtype)
    for name in ("logsigmoid", "mish", "silu", "softsign", "hardswish"):
        np.testing.assert_allclose(k.elementwise(getattr(k, name), x), getattr(reference, name)(x), rtol=1e-6)
        assert k.elementwise(getattr(k, name + "_grad"), x, x).dtype == dtype
    np.testing.assert_allclose(k.elementwise(k.gelu, x), reference.gelu(x, "none"), rtol=2e-6)
"""
    subprocess.run([sys.executable, "-c", program], check=True, env={**os.environ, "NUMBA_DISABLE_JIT": "1"})
