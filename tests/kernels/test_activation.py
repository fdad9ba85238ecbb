from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from tinygrad_cnn import reference, state
from tinygrad_cnn.kernels import activation
from tinygrad_cnn.kernels.compile import kernel

rng = np.random.default_rng(0)
DTYPES = [np.float32, np.float64]
TOLERANCE = {np.float32: 2e-7, np.float64: 4e-16}
FUNCTIONS: dict[str, tuple[str, ...]] = {
    "relu": ("x",),
    "relu_grad": ("gy", "y"),
    "leaky_relu": ("x", "slope"),
    "leaky_relu_grad": ("gy", "x", "slope"),
    "sigmoid": ("x",),
    "sigmoid_grad": ("gy", "y"),
    "masked": ("x", "mask", "scale"),
    "tanh": ("x",),
    "tanh_grad": ("gy", "y"),
}


def arguments(name: str, shape: tuple[int, ...], dtype: type) -> list:
    made = {"slope": lambda: 0.1, "scale": lambda: 1.25, "mask": lambda: np.asarray(rng.random(shape) < 0.5)}
    array = lambda: rng.normal(size=shape).astype(dtype)
    return [made.get(argument, array)() for argument in FUNCTIONS[name]]


@kernel(writes="y z")
def exponentials(x, y, z):
    for i in range(len(x)):
        y[i] = activation.exp(x[i])
        z[i] = activation.expm1(x[i])


def exp_and_expm1(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    y, z = np.empty_like(x), np.empty_like(x)
    exponentials(x, y, z)
    return y, z


@pytest.fixture
def set_threads() -> Iterator[Callable[[int], None]]:
    before = state.get_num_threads()
    yield state.set_num_threads
    state.set_num_threads(before)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_equals_the_reference_and_keeps_shape_and_dtype(name: str, dtype: type) -> None:
    for shape in [(3, 5, 7), (1,), (), (0, 4)]:
        args = arguments(name, shape, dtype)
        y, expected = getattr(activation, name)(*args), getattr(reference, name)(*args)
        assert type(y) is np.ndarray
        assert y.dtype == dtype
        assert y.shape == shape
        np.testing.assert_allclose(y, expected, rtol=4 * TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
def test_relative_error_of_exp(dtype: type) -> None:
    limit = 87 if dtype == np.float32 else 708
    x = np.concatenate([np.linspace(-limit, limit, 100_003), np.linspace(-1, 1, 10_001)]).astype(dtype)
    y, _ = exp_and_expm1(x)
    assert np.abs(y / np.exp(x.astype(np.longdouble)) - 1).max() <= {np.float32: 1e-7, np.float64: 2e-16}[dtype]


@pytest.mark.parametrize("dtype", DTYPES)
def test_exp_at_the_ends_of_the_range(dtype: type) -> None:
    tiny = np.finfo(dtype).smallest_subnormal
    smallest, largest = np.log(float(tiny)) + 0.1, np.log(float(np.finfo(dtype).max)) - 1e-4
    x = np.array([np.inf, -np.inf, np.nan, 0, -0.0, 1e30, -1e30, smallest, largest, largest + 1], dtype)
    y, _ = exp_and_expm1(x)
    np.testing.assert_array_equal(y[:8], np.array([np.inf, 0, np.nan, 1, 1, np.inf, 0, tiny], dtype))
    assert np.isfinite(y[8])
    assert y[9] == np.inf


@kernel
def decays(x, y):
    for i in range(len(x)):
        y[i] = activation.decay(x[i])


@pytest.mark.parametrize("dtype", DTYPES)
def test_decay_is_exp_below_zero(dtype: type) -> None:
    lowest = np.log(np.finfo(dtype).tiny) + np.finfo(dtype).eps * 100
    ends = [0, -0.0, lowest, np.nan, -np.inf, np.finfo(dtype).min, 2 * lowest]
    x = np.concatenate([np.linspace(lowest, 0, 100_003), ends]).astype(dtype)
    y, (expected, _) = np.empty_like(x), exp_and_expm1(x)
    decays(x, y)
    np.testing.assert_allclose(y[:-3], expected[:-3], rtol=np.finfo(dtype).eps)
    np.testing.assert_array_equal(y[-3:], 0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_expm1_is_precise_near_zero(dtype: type) -> None:
    x = np.concatenate([np.geomspace(1e-30, 40, 4001), -np.geomspace(1e-30, 40, 4001)]).astype(dtype)
    _, z = exp_and_expm1(x)
    assert np.abs(z / np.expm1(x.astype(np.longdouble)) - 1).max() <= 2 * TOLERANCE[dtype]


@pytest.mark.parametrize("dtype", DTYPES)
def test_extreme_values(dtype: type) -> None:
    x = np.array([-np.inf, -800, 800, np.inf, np.nan], dtype)
    np.testing.assert_array_equal(activation.sigmoid(x), np.array([0, 0, 1, 1, np.nan], dtype))
    np.testing.assert_array_equal(activation.tanh(x), np.array([-1, -1, 1, 1, np.nan], dtype))
    np.testing.assert_array_equal(activation.relu(x), np.array([0, 0, 800, np.inf, np.nan], dtype))
    np.testing.assert_array_equal(activation.leaky_relu(x, 0.5), np.array([-np.inf, -400, 800, np.inf, np.nan], dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_tanh_is_precise_near_zero(dtype: type) -> None:
    x = np.geomspace(1e-20, 1e-1, 1001).astype(dtype)
    np.testing.assert_allclose(activation.tanh(x), np.tanh(x.astype(np.float64)), rtol=2 * TOLERANCE[dtype])
    np.testing.assert_array_equal(activation.tanh(-x), -activation.tanh(x))


def test_slopes_at_zero_and_gates_that_do_not_multiply() -> None:
    zero, gy = np.array([0.0, -0.0, -1.0]), np.array([3.0, np.inf, np.nan])
    np.testing.assert_array_equal(activation.relu_grad(gy, zero), np.zeros(3))
    np.testing.assert_array_equal(activation.leaky_relu_grad(gy, zero, 0.5), [1.5, np.inf, np.nan])


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_gradient_passes_where_relu_gave_nan(dtype: type) -> None:
    y, gy = np.array([np.nan, np.nan, 0, 2, np.inf], dtype), np.array([5, np.inf, 5, 5, np.nan], dtype)
    gx = activation.relu_grad(gy, y)
    np.testing.assert_array_equal(gx, np.array([5, np.inf, 0, 5, np.nan], dtype))
    np.testing.assert_array_equal(gx, reference.relu_grad(gy, y))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_frozen_and_strided_inputs_give_the_same_bits_and_stay_unchanged(name: str) -> None:
    args = arguments(name, (6, 9, 4), np.float32)
    expected = getattr(activation, name)(*args)
    strided = [np.repeat(a, 2, axis=1)[:, ::2] if isinstance(a, np.ndarray) else a for a in args]
    fortran = [np.asfortranarray(a) if isinstance(a, np.ndarray) else a for a in args]
    copies = [np.copy(a) for a in args]
    for a in args:
        if isinstance(a, np.ndarray):
            a.flags.writeable = False
    for variant in (args, strided, fortran):
        np.testing.assert_array_equal(getattr(activation, name)(*variant), expected)
    for a, copy in zip(args, copies, strict=True):
        np.testing.assert_array_equal(a, copy)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_same_bits_for_every_number_of_threads(
    name: str, dtype: type, set_threads: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    args = arguments(name, (100_003,), dtype)
    results = []
    for threads in (1, 2, 3):
        set_threads(threads)
        results.append(getattr(activation, name)(*args))
    monkeypatch.setattr("tinygrad_cnn.kernels.threads.SERIAL_BELOW", 10**9)
    results.append(getattr(activation, name)(*args))
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


def test_one_compilation_for_each_dtype() -> None:
    for name in FUNCTIONS:
        assert set(getattr(activation, "_" + name).dispatchers) <= {"f", "d"}


def test_runs_without_numba() -> None:
    program = """
import numpy as np
from tinygrad_cnn import reference
from tinygrad_cnn.kernels import activation as a
x = np.linspace(-2, 2, 6, dtype=np.float32).reshape(2, 3)
for name in ("relu", "sigmoid", "tanh"):
    np.testing.assert_allclose(getattr(a, name)(x), getattr(reference, name)(x), rtol=1e-6)
    np.testing.assert_allclose(getattr(a, name + "_grad")(x, x), getattr(reference, name + "_grad")(x, x), rtol=1e-6)
np.testing.assert_allclose(a.leaky_relu(x, 0.1), reference.leaky_relu(x, 0.1), rtol=1e-6)
np.testing.assert_allclose(a.leaky_relu_grad(x, x, 0.1), reference.leaky_relu_grad(x, x, 0.1), rtol=1e-6)
"""
    subprocess.run([sys.executable, "-c", program], check=True, env={**os.environ, "NUMBA_DISABLE_JIT": "1"})
