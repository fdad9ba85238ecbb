from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn import reference, state
from tinygrad_cnn.kernels import loss_pairs as kernel

rng = np.random.default_rng(0)
BOUNDS = pytest.mark.parametrize(("dtype", "bound"), [(np.float32, 2e-6), (np.float64, 1e-13)])
SHAPES = pytest.mark.parametrize("shape", [(), (7,), (3, 5, 2), (90, 101), (0, 3)])


def pair(shape: tuple[int, ...], dtype: type) -> tuple[np.ndarray, np.ndarray]:
    return np.asarray(rng.normal(size=shape) * 3, dtype), np.asarray(rng.random(shape), dtype)


@BOUNDS
@SHAPES
def test_sums_are_those_of_the_references(shape: tuple[int, ...], dtype: type, bound: float) -> None:
    x, target = pair(shape, dtype)
    exact = x.astype(np.float64), target.astype(np.float64)
    for beta in (0.3, 2.0):
        wanted = reference.smooth_l1_loss(*exact, beta).sum()
        assert kernel.smooth_l1_loss(x, target, beta) == pytest.approx(wanted, rel=bound)
    target.flat[::3] = 0
    wanted = reference.kl_div(exact[0], target).sum()
    assert kernel.kl_div(x, target) == pytest.approx(wanted, rel=bound)
    target.flat[::3] = 1
    exact = exact[0], target.astype(np.float64)
    wanted = reference.binary_cross_entropy_with_logits(*exact).sum()
    assert kernel.binary_cross_entropy_with_logits(x, target) == pytest.approx(wanted, rel=bound)


@BOUNDS
@SHAPES
def test_gradients_are_the_slopes(shape: tuple[int, ...], dtype: type, bound: float) -> None:
    x, target = pair(shape, dtype)
    for beta in (0.3, 2.0):
        g = kernel.smooth_l1_loss_grad(-2.0, x, target, beta)
        assert g.dtype == dtype
        np.testing.assert_allclose(g, -2 * np.clip((x - target) / beta, -1, 1), atol=2 * bound)
    g = kernel.binary_cross_entropy_with_logits_grad(0.5, x, target)
    assert g.dtype == dtype
    np.testing.assert_allclose(g, (1 / (1 + np.exp(-x.astype(np.float64))) - target) / 2, atol=bound)


@BOUNDS
@pytest.mark.parametrize("shape", [(7, 3), (400, 101), (0, 3), (2, 0)])
def test_distances_and_their_gradients(shape: tuple[int, int], dtype: type, bound: float) -> None:
    x1, x2 = pair(shape, dtype)
    x1[-1:] = x2[-1:] - dtype(0.5)  # a distance of 0
    y = kernel.euclidean_distance(x1, x2, 0.5)
    assert y.dtype == dtype
    np.testing.assert_allclose(y, reference.euclidean_distance(x1, x2, 0.5), rtol=bound, atol=bound)
    y[-1:] = 0
    gy = rng.normal(size=shape[0]).astype(dtype)
    wanted = reference.euclidean_distance_grad(gy, x1, x2, y, 0.5)
    for g, exact in zip(kernel.euclidean_distance_grad(gy, x1, x2, y, 0.5), wanted, strict=True):
        assert g.dtype == dtype
        np.testing.assert_allclose(g, exact, rtol=2 * bound, atol=bound)


def test_far_scores_and_nan() -> None:
    x, yes = np.array([1000.0, -1000.0, 5.0]), np.array([0.0, 1.0, np.nan])
    assert kernel.binary_cross_entropy_with_logits(x[:2], yes[:2]) == 2000.0
    assert kernel.binary_cross_entropy_with_logits_grad(1.0, x[:2], yes[:2]).tolist() == [1, -1]
    assert np.isnan(kernel.binary_cross_entropy_with_logits(yes, x))
    assert np.isnan(kernel.smooth_l1_loss(x, yes, 1.0))
    assert np.isnan(kernel.smooth_l1_loss_grad(1.0, x, yes, 1.0)).tolist() == [False, False, True]
    assert kernel.smooth_l1_loss_grad(1.0, np.array([np.inf]), np.zeros(1), 1.0).tolist() == [1]


def test_same_bits_for_every_number_of_threads() -> None:
    x, target = rng.normal(size=(2, 300_000)).astype(np.float32)
    before, results = state.get_num_threads(), set()
    for threads in (1, 2, 3):
        state.set_num_threads(threads)
        sums = kernel.smooth_l1_loss(x, target, 1.0), kernel.kl_div(x, abs(target))
        vectors = x.reshape(-1, 100), target.reshape(-1, 100)
        sums = *sums, kernel.euclidean_distance(*vectors, 0.0).tobytes()
        results.add((*sums, kernel.binary_cross_entropy_with_logits(x, target)))
    state.set_num_threads(before)
    assert len(results) == 1
