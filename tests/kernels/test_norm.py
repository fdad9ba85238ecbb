from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from tinygrad_cnn import reference, state
from tinygrad_cnn.kernels import norm

rng = np.random.default_rng(0)
DTYPES = [np.float32, np.float64]
TOLERANCE = {np.float32: 1e-6, np.float64: 1e-12}
EPS = 1e-5


@pytest.fixture
def set_threads() -> Iterator[Callable[[int], None]]:
    before = state.get_num_threads()
    yield state.set_num_threads
    state.set_num_threads(before)


def error(result: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(result - expected).max() / np.abs(expected).max())


def affine(channels: int, dtype: type) -> tuple[np.ndarray, np.ndarray]:
    return rng.uniform(0.5, 2, channels).astype(dtype), rng.normal(size=channels).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(4, 3, 35), (2, 5, 1), (1, 1, 2), (64, 7, 3)])
@pytest.mark.parametrize("mean", [0, 3, 1e4])
def test_equals_the_reference(shape: tuple[int, ...], mean: float, dtype: type) -> None:
    x, gy = (rng.normal(size=shape) + mean).astype(dtype), rng.normal(size=shape).astype(dtype)
    gamma, beta = affine(shape[1], dtype)
    statistics = norm.batch_norm_statistics(x)
    for result, expected in zip(statistics, reference.batch_norm_statistics(x), strict=True):
        assert result.dtype == np.float64
        np.testing.assert_allclose(result, expected, rtol=1e-10)
    y = norm.batch_norm(x, gamma, beta, *statistics, EPS)
    assert y.dtype == dtype
    tolerance = TOLERANCE[dtype] * (1 + mean * 1e-3)  # x alone has lost that many digits
    assert error(y, reference.batch_norm(x, gamma, beta, *statistics, EPS)) < tolerance
    gradients = norm.batch_norm_grad(gy, x, gamma, *statistics, EPS)
    for result, expected in zip(gradients, reference.batch_norm_grad(gy, x, gamma, *statistics, EPS), strict=True):
        assert result.dtype == dtype
        np.testing.assert_allclose(result, expected, rtol=tolerance, atol=tolerance)


def test_variance_survives_a_large_mean() -> None:
    x = (rng.normal(size=(8, 2, 1000)) + 1e4).astype(np.float32)
    exact = x.astype(np.longdouble).transpose(1, 0, 2).reshape(2, -1)
    mean, var = norm.batch_norm_statistics(x)
    np.testing.assert_allclose(mean, exact.mean(1).astype(float), rtol=1e-14)
    np.testing.assert_allclose(var, exact.var(1).astype(float), rtol=3e-11)
    y = norm.batch_norm(x, np.ones(2, np.float32), np.zeros(2, np.float32), mean, var, 0.0)
    np.testing.assert_allclose(y.astype(np.float64).std((0, 2)), 1, rtol=1e-6)


def test_statistics_survive_a_first_value_far_from_the_mean() -> None:
    x = rng.normal(size=(8, 2, 1000))
    x[0, :, 0] = 1e6, -1e9
    mean, var = norm.batch_norm_statistics(x)
    exact = np.moveaxis(x, 1, 0).reshape(2, -1).astype(np.longdouble)
    assert (np.abs(mean - exact.mean(1)) <= 1e-13 * np.sqrt(var)).all()
    np.testing.assert_allclose(var, exact.var(1).astype(float), rtol=3e-11)


def test_constant_channel_has_no_variance_and_no_gradient_but_that_of_beta() -> None:
    x, gy = np.full((3, 1, 4), 0.1, np.float32), rng.normal(size=(3, 1, 4)).astype(np.float32)
    mean, var = norm.batch_norm_statistics(x)
    assert var[0] < 1e-30
    gx, ggamma, gbeta = norm.batch_norm_grad(gy, x, np.ones(1, np.float32), mean, var, EPS)
    np.testing.assert_allclose(gx, (gy - gy.mean()) / np.sqrt(EPS), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(ggamma, 0, atol=1e-6)
    np.testing.assert_allclose(gbeta, gy.sum(), rtol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
def test_scale_and_shift_are_batch_norm(dtype: type) -> None:
    x, (gamma, beta) = rng.normal(size=(2, 3, 5)).astype(dtype), affine(3, dtype)
    mean, var = rng.normal(size=3).astype(dtype), rng.uniform(0.5, 2, 3).astype(dtype)
    scale, shift = norm.scale_and_shift(gamma, beta, mean, var, EPS)
    assert scale.dtype == shift.dtype == np.float64
    y = norm.scale_shift(x, scale, shift)
    np.testing.assert_array_equal(y, norm.batch_norm(x, gamma, beta, mean, var, EPS))
    assert error(y, x * scale[:, None] + shift[:, None]) < TOLERANCE[dtype]


def test_nan_stays_in_its_channel() -> None:
    x = rng.normal(size=(2, 3, 5))
    x[1, 1, 2] = np.nan
    mean, var = norm.batch_norm_statistics(x)
    assert np.isnan(mean).tolist() == np.isnan(var).tolist() == [False, True, False]


def all_results(gy: np.ndarray, x: np.ndarray) -> list[np.ndarray]:
    gamma, beta = np.linspace(0.5, 2, x.shape[1], dtype=x.dtype), np.linspace(-1, 1, x.shape[1], dtype=x.dtype)
    statistics = norm.batch_norm_statistics(x)
    y = norm.batch_norm(x, gamma, beta, *statistics, EPS)
    return [*statistics, y, *norm.batch_norm_grad(gy, x, gamma, *statistics, EPS)]


def test_empty_batch() -> None:
    x = np.zeros((0, 3, 5), np.float32)
    *_, gx, ggamma, gbeta = norm.batch_norm_grad(x, x, np.ones(3, np.float32), np.zeros(3), np.ones(3), EPS)
    assert gx.shape == (0, 3, 5)
    assert ggamma.tolist() == gbeta.tolist() == [0, 0, 0]
    assert norm.scale_shift(x, np.ones(3), np.ones(3)).shape == (0, 3, 5)


@pytest.mark.parametrize("dtype", DTYPES)
def test_same_bits_for_every_number_of_threads(
    dtype: type, set_threads: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    x, gy = rng.normal(size=(2, 13, 37, 301)).astype(dtype)
    results = []
    for threads in (1, 2, 3):
        set_threads(threads)
        results.append(all_results(gy, x))
    monkeypatch.setattr("tinygrad_cnn.kernels.threads.SERIAL_BELOW", 10**9)
    results.append(all_results(gy, x))
    for result in results[1:]:
        for a, b in zip(result, results[0], strict=True):
            np.testing.assert_array_equal(a, b)


def test_frozen_and_strided_inputs_give_the_same_bits() -> None:
    x, gy = rng.normal(size=(2, 4, 6, 10)).astype(np.float32)
    expected = all_results(gy, x)
    x.flags.writeable = gy.flags.writeable = False
    for variant in (lambda a: a, np.asfortranarray, lambda a: np.repeat(a, 2, axis=1)[:, ::2]):
        for a, b in zip(all_results(variant(gy), variant(x)), expected, strict=True):
            np.testing.assert_array_equal(a, b)


def test_one_compilation_for_each_dtype() -> None:
    for name in ("_statistics", "_scale_shift", "_batch_norm_grad"):
        assert set(getattr(norm, name).dispatchers) <= {"f", "d"}


def test_runs_without_numba() -> None:
    program = """
import numpy as np
from tinygrad_cnn import reference
from tinygrad_cnn.kernels import norm
x, gy = np.random.default_rng(0).normal(size=(2, 2, 3, 4)).astype(np.float32)
one = np.ones(3, np.float32)
statistics = norm.batch_norm_statistics(x)
np.testing.assert_allclose(statistics, reference.batch_norm_statistics(x), rtol=1e-6)
y = norm.batch_norm(x, one, one, *statistics, 1e-5)
np.testing.assert_allclose(y, reference.batch_norm(x, one, one, *statistics, 1e-5), rtol=1e-5, atol=1e-6)
results, expected = (module.batch_norm_grad(gy, x, one, *statistics, 1e-5) for module in (norm, reference))
for a, b in zip(results, expected, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
"""
    subprocess.run([sys.executable, "-c", program], check=True, env={**os.environ, "NUMBA_DISABLE_JIT": "1"})
