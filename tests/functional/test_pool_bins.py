from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_cnn import Tensor, grad, reference
from tinygrad_cnn import functional as F
from tinygrad_cnn.checks.measure import error

ADAPTIVE = {1: F.adaptive_max_pool1d, 2: F.adaptive_max_pool2d, 3: F.adaptive_max_pool3d}
each = pytest.mark.parametrize("axes", ADAPTIVE)


def distinct(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).permutation(int(np.prod(shape))).reshape(shape) * 0.1 - 1


@each
def test_adaptive_maxima_are_the_references(axes: int) -> None:
    sizes = st.lists(st.integers(1, 6), min_size=axes, max_size=axes)

    @settings(max_examples=25, derandomize=True, deadline=None)
    @given(sizes, sizes, st.sampled_from([np.float32, np.float64]))
    def check(image: list[int], out: list[int], dtype: Any) -> None:
        x = distinct(0, 2, 2, *image).astype(dtype)
        y, index = ADAPTIVE[axes](x, out, True)
        wanted, places = reference.adaptive_max_pool_nd(x, tuple(out))
        np.testing.assert_array_equal(y, wanted)
        np.testing.assert_array_equal(index, places)
        assert y.dtype == dtype
        np.testing.assert_array_equal(ADAPTIVE[axes](x[0], out), wanted[0])

    check()


@each
def test_torch_agrees(axes: int, same_as_torch: Callable[..., None], torch: Any) -> None:
    theirs = getattr(torch.nn.functional, f"adaptive_max_pool{axes}d")
    sizes = st.lists(st.integers(1, 6), min_size=axes, max_size=axes)

    @settings(max_examples=50, derandomize=True, deadline=None)
    @given(sizes, sizes, st.integers(0, 99))
    def check(image: list[int], out: list[int], seed: int) -> None:
        x = distinct(seed, 2, 2, *image)
        same_as_torch(lambda x: ADAPTIVE[axes](x, out, True), lambda x: theirs(x, out, True), x)

    check()


@each
def test_derivatives(axes: int, derivatives: Callable[..., None]) -> None:
    derivatives(lambda x: ADAPTIVE[axes](x, 2) ** 2, distinct(1, 1, 2, *(3, 5, 4)[:axes]))


def test_bins_share_pixels_and_the_first_maximum_wins() -> None:
    y, index = F.adaptive_max_pool1d(Tensor(np.array([[[5.0, 9.0, 9.0, 1.0, 2.0]]]), requires_grad=True), 3, True)
    assert y.tolist() == [[[9, 9, 2]]]
    assert index.tolist() == [[[1, 1, 4]]]
    (g,) = grad(F.adaptive_max_pool1d(x := Tensor([[[5.0, 9.0, 9.0, 1.0, 2.0]]], requires_grad=True), 3).sum(), x)
    assert g.tolist() == [[[0, 2, 0, 0, 1]]]
    assert F.adaptive_max_pool2d(np.ones((2, 3, 4)), (None, 2)).shape == (2, 3, 2)


def test_a_pyramid_has_one_length_for_all_sizes(rng: np.random.Generator) -> None:
    for height, width in ((5, 7), (4, 4), (13, 9)):
        x = rng.standard_normal((2, 3, height, width))
        y = F.spatial_pyramid_pool(x)
        assert y.shape == (2, 3 * 21)
        np.testing.assert_array_equal(y[:, :3], x.max((2, 3)))
        np.testing.assert_array_equal(y[:, 15:].reshape(2, 3, 4, 4), F.adaptive_max_pool2d(x, 4))
        means = F.spatial_pyramid_pool(x, (1, 2), "avg")
        assert error(means[:, :3], x.mean((2, 3))) <= 1e-12
        np.testing.assert_array_equal(F.spatial_pyramid_pool(x[0], (3, 2)), F.spatial_pyramid_pool(x, (3, 2))[0])


def test_a_pyramid_by_the_rule_of_the_paper(rng: np.random.Generator) -> None:
    """A map of 13 pixels: windows of 5 with stride 4 make 3 bins, windows of 7 with stride 6 make 2."""
    x = rng.standard_normal((2, 3, 13, 13))
    y = F.spatial_pyramid_pool(x, (3, 2, 1), rule="paper")
    np.testing.assert_array_equal(y[:, :27].reshape(2, 3, 3, 3), F.max_pool2d(x, 5, 4))
    np.testing.assert_array_equal(y[:, 27:39].reshape(2, 3, 2, 2), F.max_pool2d(x, 7, 6))
    y = F.spatial_pyramid_pool(x, [2], "avg", "paper")
    np.testing.assert_array_equal(y.reshape(2, 3, 2, 2), F.avg_pool2d(x, 7, 6))
    with pytest.raises(ValueError, match=r"size 7 and level 4 give .* ceil\(7/4\) = 2 .* which are 6 and not 4"):
        F.spatial_pyramid_pool(x[..., :7, :8], (4,), rule="paper")
    with pytest.raises(ValueError, match=r"stride floor.3/4. = 0, which are 0 and not 4"):
        F.spatial_pyramid_pool(x[..., :3, :8], (4,), rule="paper")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: F.adaptive_max_pool1d(np.ones(4), 2), ValueError, "adaptive_max_pool1d: needs images"),
        (lambda: F.adaptive_max_pool2d(np.ones((1, 4, 4)), (2, 0)), ValueError, "output_size must be at least 1"),
        (lambda: F.adaptive_max_pool2d(np.ones((1, 4, 4)), 1.5), TypeError, "output_size must be an int"),
        (lambda: F.adaptive_max_pool3d(np.ones((1, 0, 4, 4)), 2), ValueError, "with at least one pixel"),
        (lambda: F.adaptive_max_pool3d(np.ones((1, 2, 4, 4)), (1, 2)), ValueError, "output_size must be an int or"),
        (lambda: F.spatial_pyramid_pool(np.ones((1, 4, 4)), ()), ValueError, "needs at least one level"),
        (lambda: F.spatial_pyramid_pool(np.ones((1, 4, 4)), (0,)), ValueError, "each level must be at least 1"),
        (lambda: F.spatial_pyramid_pool(np.ones((1, 4, 4)), mode="min"), ValueError, "mode must be 'max' or 'avg'"),
        (lambda: F.spatial_pyramid_pool(np.ones((1, 4, 4)), rule="?"), ValueError, "rule 'adaptive' or 'paper'"),
    ],
)
def test_errors(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
