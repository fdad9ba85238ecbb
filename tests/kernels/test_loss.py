from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from tinygrad_cnn import reference, state
from tinygrad_cnn.kernels import loss

rng = np.random.default_rng(0)
DTYPES = [np.float32, np.float64]
TOLERANCE = {np.float32: 1e-6, np.float64: 1e-13}
IGNORED = -7


@pytest.fixture
def set_threads() -> Iterator[Callable[[int], None]]:
    before = state.get_num_threads()
    yield state.set_num_threads
    state.set_num_threads(before)


def case(shape: tuple[int, ...], dtype: type, ignored: float = 0.3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    n, classes, *length = shape
    x, weight = 3 * rng.normal(size=shape).astype(dtype), rng.uniform(0.2, 2, classes).astype(dtype)
    target = np.where(rng.random((n, *length)) < ignored, IGNORED, rng.integers(0, classes, (n, *length)))
    return x, target, weight


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", [(6, 10, 1), (2, 4, 7), (5, 1, 3), (1, 33, 1), (0, 3, 2), (7, 5), (0, 3)])
def test_cross_entropy_equals_the_reference(
    shape: tuple[int, ...], weighted: bool, smoothing: float, dtype: type
) -> None:
    x, target, weight = case(shape, dtype)
    weight = weight if weighted else None
    losses, weights, log_sums = loss.cross_entropy(x, target, weight, IGNORED, smoothing)
    assert losses.dtype == weights.dtype == log_sums.dtype == np.float64
    rest = weight, IGNORED
    expected = reference.cross_entropy(x, target, *rest, "none", smoothing)
    np.testing.assert_allclose(losses, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])
    class_weights = np.ones(shape[1]) if weight is None else weight
    np.testing.assert_array_equal(weights, np.where(target == IGNORED, 0, class_weights[target * (target != IGNORED)]))
    if weights.any():
        mean = losses.sum() / weights.sum()
        correct = reference.cross_entropy(x, target, *rest, "mean", smoothing)
        np.testing.assert_allclose(mean, correct, rtol=TOLERANCE[dtype])
    gy = rng.normal(size=target.shape)
    gx = loss.cross_entropy_grad(gy, x, target, weight, log_sums, IGNORED, smoothing)
    expected = reference.cross_entropy_grad(gy, x, target, *rest, "none", smoothing)
    assert gx.dtype == dtype
    assert gx.flags.c_contiguous
    np.testing.assert_allclose(gx, expected, rtol=TOLERANCE[dtype], atol=4 * TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_cotangent_stands_for_equal_ones(dtype: type) -> None:
    x, target, weight = case((5, 4, 3), dtype)
    *_, log_sums = loss.cross_entropy(x, target, weight, IGNORED, 0.1)
    one, all_of_it = np.float32(0.75), np.full(target.shape, 0.75)
    found, expected = (
        (
            loss.cross_entropy_grad(gy, x, target, weight, log_sums, IGNORED, 0.1),
            loss.nll_loss_grad(gy, target, weight, IGNORED, x.shape, x.dtype),
        )
        for gy in (one, all_of_it)
    )
    assert np.count_nonzero(expected[1]) == np.count_nonzero(target != IGNORED) > 1
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_gradient_equals_central_differences(smoothing: float) -> None:
    x, target, weight = case((3, 5, 2), np.float64)
    gy, direction, step = rng.normal(size=target.shape), rng.normal(size=x.shape), 1e-6

    def value(x: np.ndarray) -> float:
        return float((gy * loss.cross_entropy(x, target, weight, IGNORED, smoothing)[0]).sum())

    *_, log_sums = loss.cross_entropy(x, target, weight, IGNORED, smoothing)
    gx = loss.cross_entropy_grad(gy, x, target, weight, log_sums, IGNORED, smoothing)
    numeric = (value(x + step * direction) - value(x - step * direction)) / (2 * step)
    assert np.vdot(gx, direction) == pytest.approx(numeric, rel=1e-7)


@pytest.mark.parametrize("dtype", DTYPES)
def test_huge_and_infinite_scores_of_other_classes(dtype: type) -> None:
    x = np.array([[-np.inf, 2, 2], [-1e30, 1e30, 0], [800, 0, -800], [0, -np.inf, -np.inf]], dtype)[:, :, None]
    target = np.array([[1], [1], [0], [0]])
    losses, _, log_sums = loss.cross_entropy(x, target, None, IGNORED, 0.0)
    np.testing.assert_allclose(losses[:, 0], [np.log(2), 0, 0, 0], rtol=1e-7)
    gx = loss.cross_entropy_grad(np.ones((4, 1)), x, target, None, log_sums, IGNORED, 0.0)
    np.testing.assert_allclose(gx[:, :, 0], [[0, -0.5, 0.5], [0, 0, 0], [0, 0, 0], [0, 0, 0]], atol=1e-7)
    impossible = loss.cross_entropy(x[:1], np.array([[0]]), None, IGNORED, 0.0)[0]
    assert impossible[0, 0] == np.inf
    assert np.isnan(loss.cross_entropy(np.full((1, 3, 1), -np.inf, dtype), target[:1], None, IGNORED, 0.0)[0]).all()


def test_all_ignored_has_no_gradient_though_the_mean_is_nan() -> None:
    x, _, weight = case((4, 3, 2), np.float32)
    target = np.full((4, 2), 2)
    losses, weights, log_sums = loss.cross_entropy(x, target, weight, 2, 0.1)
    assert losses.sum() == weights.sum() == 0
    for gy in (np.full((4, 2), np.inf), np.full((4, 2), np.nan)):
        assert (loss.cross_entropy_grad(gy, x, target, weight, log_sums, 2, 0.1) == 0).all()
        assert (loss.nll_loss_grad(gy, target, weight, 2, x.shape, x.dtype) == 0).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", [(6, 10, 1), (2, 4, 7), (0, 3, 2)])
def test_nll_loss_equals_the_reference(shape: tuple[int, int, int], weighted: bool, dtype: type) -> None:
    logp, target, weight = case(shape, dtype)
    weight = weight if weighted else None
    losses, weights = loss.nll_loss(logp, target, weight, IGNORED)
    expected = reference.nll_loss(logp, target, weight, IGNORED, "none")
    np.testing.assert_allclose(losses, expected, rtol=TOLERANCE[dtype])
    np.testing.assert_array_equal(weights, loss.cross_entropy(logp, target, weight, IGNORED, 0.0)[1])
    gy = rng.normal(size=target.shape)
    gx = loss.nll_loss_grad(gy, target, weight, IGNORED, shape, logp.dtype)
    assert gx.dtype == dtype
    np.testing.assert_allclose(np.vdot(gx, logp), (gy * losses).sum(), rtol=1e-5, atol=1e-12)  # it is linear
    assert np.count_nonzero(gx) == np.count_nonzero(target != IGNORED)


def all_results(x: np.ndarray, target: np.ndarray, weight: np.ndarray, gy: np.ndarray) -> list[np.ndarray]:
    results = loss.cross_entropy(x, target, weight, IGNORED, 0.1)
    return [
        *results,
        loss.cross_entropy_grad(gy, x, target, weight, results[2], IGNORED, 0.1),
        *loss.nll_loss(x, target, weight, IGNORED),
        loss.nll_loss_grad(gy, target, weight, IGNORED, x.shape, x.dtype),
    ]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(301, 37, 1), (9, 21, 55)])
def test_same_bits_for_every_number_of_threads(
    shape: tuple[int, int, int], dtype: type, set_threads: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    x, target, weight = case(shape, dtype)
    gy = rng.normal(size=target.shape)
    monkeypatch.setattr("tinygrad_cnn.kernels.threads.SERIAL_BELOW", 1)
    results = []
    for threads in (1, 2, 3):
        set_threads(threads)
        results.append(all_results(x, target, weight, gy))
    monkeypatch.setattr("tinygrad_cnn.kernels.threads.SERIAL_BELOW", 10**9)
    results.append(all_results(x, target, weight, gy))
    for result in results[1:]:
        for a, b in zip(result, results[0], strict=True):
            np.testing.assert_array_equal(a, b)


def test_frozen_and_strided_inputs_give_the_same_bits() -> None:
    x, target, weight = case((6, 5, 8), np.float32)
    gy = rng.normal(size=target.shape)
    expected = all_results(x, target, weight, gy)
    for a in (x, target, weight, gy):
        a.flags.writeable = False
    for variant in (lambda a: a, np.asfortranarray, lambda a: np.repeat(a, 2, axis=0)[::2]):
        for a, b in zip(all_results(*map(variant, (x, target, weight, gy))), expected, strict=True):
            np.testing.assert_array_equal(a, b)


def test_one_compilation_for_each_dtype() -> None:
    for name in ("_cross_entropy", "_cross_entropy_grad", "_nll_loss", "_nll_loss_grad"):
        assert set(getattr(loss, name).dispatchers) <= {"f", "d"}


def test_runs_without_numba() -> None:
    program = """
import numpy as np
from tinygrad_cnn import reference
from tinygrad_cnn.kernels import loss
rng = np.random.default_rng(0)
x, target, weight = rng.normal(size=(3, 4, 2)).astype(np.float32), rng.integers(0, 4, (3, 2)), np.ones(4, np.float32)
losses, _, log_sums = loss.cross_entropy(x, target, weight, 1, 0.1)
np.testing.assert_allclose(losses, reference.cross_entropy(x, target, weight, 1, "none", 0.1), rtol=1e-5)
gx = loss.cross_entropy_grad(losses, x, target, weight, log_sums, 1, 0.1)
expected = reference.cross_entropy_grad(losses, x, target, weight, 1, "none", 0.1)
np.testing.assert_allclose(gx, expected, rtol=1e-4, atol=1e-6)
losses, _ = loss.nll_loss(x, target, weight, 1)
np.testing.assert_allclose(losses, reference.nll_loss(x, target, weight, 1, "none"), rtol=1e-6)
gx = loss.nll_loss_grad(losses, target, weight, 1, x.shape, x.dtype)
np.testing.assert_allclose(np.vdot(gx, x), (losses**2).sum(), rtol=1e-5)
"""
    subprocess.run([sys.executable, "-c", program], check=True, env={**os.environ, "NUMBA_DISABLE_JIT": "1"})


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(3, 5), (0, 4), (), (2, 3, 4099)])
def test_squared_differences_equal_the_reference(shape: tuple[int, ...], dtype: type) -> None:
    x, target = rng.normal(size=(2, *shape)).astype(dtype)
    wide = x.astype(np.float64), target.astype(np.float64)
    np.testing.assert_allclose(loss.mse_loss(x, target), reference.mse_loss(*wide, "sum"), rtol=TOLERANCE[dtype])
    gx = loss.mse_loss_grad(0.25, x, target)
    assert (gx.dtype, gx.shape) == (dtype, shape)
    np.testing.assert_allclose(gx, 0.5 * (wide[0] - wide[1]), rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


def test_squared_differences_have_the_same_bits_for_every_number_of_threads(set_threads: Callable[[int], None]) -> None:
    x, target = rng.normal(size=(2, 50, 9001)).astype(np.float32)
    found = set()
    for threads in (1, 2, 3):
        set_threads(threads)
        found.add((loss.mse_loss(x, target), loss.mse_loss_grad(3.0, x.T, target.T).tobytes()))
    assert len(found) == 1
