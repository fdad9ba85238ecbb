from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import Tensor, grad, reference
from tinygrad_cnn import functional as F
from tinygrad_cnn.checks.measure import error

OPTIONS = list(product(("bilinear", "nearest"), ("zeros", "border"), (False, True)))
each_option = pytest.mark.parametrize("options", OPTIONS)


def draw(rng: np.random.Generator, N: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Images of 4 x 5 and points, some of them outside."""
    return rng.standard_normal((N, 3, 4, 5)), rng.uniform(-1.4, 1.4, (N, 6, 3, 2))


@each_option
@pytest.mark.parametrize(("dtype", "bound"), [(np.float32, 2e-6), (np.float64, 1e-13)])
def test_values_are_the_references(options: Any, dtype: Any, bound: float, rng: np.random.Generator) -> None:
    x, grid = (a.astype(np.float32) for a in draw(rng))
    y = F.grid_sample(x.astype(dtype), grid.astype(dtype), *options)
    assert y.shape == (2, 3, 6, 3)
    assert y.dtype == dtype
    assert error(y, reference.grid_sample(x.astype(np.float64), grid.astype(np.float64), *options)) <= bound


@each_option
def test_derivatives(options: Any, rng: np.random.Generator, derivatives: Callable[..., None]) -> None:
    x, grid = draw(rng)
    derivatives(lambda x, grid: F.grid_sample(x * x, grid, *options), x, grid[:, :3])


def test_the_grid_of_all_pixels_returns_the_image(rng: np.random.Generator) -> None:
    x = rng.standard_normal((2, 3, 4, 5))
    for align in (False, True):
        ends = 1.0 if align else 1 - 1 / np.array([5, 4])
        columns, rows = (np.linspace(-e, e, n) for e, n in zip(np.broadcast_to(ends, 2), (5, 4), strict=True))
        grid = np.broadcast_to(np.stack(np.meshgrid(columns, rows), -1), (2, 4, 5, 2))
        for mode in ("bilinear", "nearest"):
            assert error(F.grid_sample(x, grid, mode, "border", align), x) <= 1e-14


POINTS = [[np.nan, 0.0], [0.0, np.nan], [np.nan, 9.0], [0.2, -0.3], [-np.inf, np.inf]]  # the first three are nowhere


@each_option
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_nan_gives_nan_and_infinity_is_outside(options: Any, dtype: Any, rng: np.random.Generator) -> None:
    x = Tensor(rng.standard_normal((1, 2, 3, 4)).astype(dtype), requires_grad=True)
    grid = Tensor(np.array([[POINTS]], dtype), requires_grad=True)
    y = F.grid_sample(x, grid, *options)
    expected = reference.grid_sample(x.data.astype(np.float64), grid.data.astype(np.float64), *options)
    np.testing.assert_allclose(y.data, expected, rtol=1e-5)  # with NaN in the same places
    assert np.isnan(y.data).all(1)[0, 0, :4].tolist() == [True, True, True, False]
    gx, ggrid = grad(y.sum(), [x, grid])
    alone = grad(F.grid_sample(x, grid.detach()[:, :, 3:], *options)[..., 0].sum(), [x])[0]
    outside = 2 if options[1] == "border" else 0  # the corner that the infinity was moved to
    assert gx.data.sum() == pytest.approx(alone.data.sum() + outside)
    assert np.isfinite(ggrid.data[0, 0, 3]).all()
    assert np.isnan(ggrid.data[0, 0, :2]).any(-1).all() == (options[0] == "bilinear")


def test_pixels_of_an_image_too_large_for_float32_to_count_them() -> None:
    image = np.zeros((1, 1, 4099, 4101), np.float32)
    image[..., -1, -2] = 1
    near = np.array([[[[1 - 2 / 4100, 1.0]]]], np.float32)
    assert F.grid_sample(image, near, align_corners=True).item() == pytest.approx(1, abs=1e-3)
    assert F.grid_sample(image, near, "nearest", align_corners=True).item() == 1


def test_points_that_are_far_away() -> None:
    x, grid = np.ones((1, 1, 2, 3)), np.array([[[[0.0, 1e30], [-1e30, 0.0]]]])
    for mode in ("bilinear", "nearest"):
        assert F.grid_sample(x, grid, mode).ravel().tolist() == [0, 0]
        assert F.grid_sample(x, grid, mode, "border").ravel().tolist() == [1, 1]
    assert F.grid_sample(x, grid[:, :0]).shape == (1, 1, 0, 2)


X, GRID = np.ones((2, 3, 4, 5)), np.zeros((2, 6, 7, 2))


@pytest.mark.parametrize(
    ("call", "error_type", "message"),
    [
        (lambda: F.grid_sample(X, GRID[:1]), ValueError, r"got \(2, 3, 4, 5\) and \(1, 6, 7, 2\)"),
        (lambda: F.grid_sample(X, GRID[..., :1]), ValueError, r"a grid \(N, OH, OW, 2\)"),
        (lambda: F.grid_sample(X[0], GRID), ValueError, r"needs images \(N, C, H, W\)"),
        (lambda: F.grid_sample(X[:, :, :0], GRID), ValueError, "have no pixels to read"),
        (lambda: F.grid_sample(X, GRID, "bicubic"), NotImplementedError, "mode must be 'bilinear' or 'nearest'"),
        (
            lambda: F.grid_sample(X, GRID, "nearest", "reflection"),
            NotImplementedError,
            "and 'reflection'",
        ),
        (lambda: F.grid_sample(X, GRID.astype(np.float32)), TypeError, "input float64, grid float32"),
    ],
)
def test_errors_teach(call: Callable[[], Any], error_type: type[Exception], message: str) -> None:
    with pytest.raises(error_type, match=message):
        call()


@each_option
@pytest.mark.parametrize("seed", range(10))
def test_agrees_with_torch(seed: int, options: Any, same_as_torch: Callable[..., None], torch: Any) -> None:
    mode, padding, align = options
    x, grid = draw(np.random.default_rng(seed), 1 + seed % 3)
    grid.flat[: 2 * seed] = np.resize([-1.0, 0.0, 1.0], 2 * seed)  # on the border and on the middle
    same_as_torch(
        lambda x, grid: F.grid_sample(x, grid, mode, padding, align),
        lambda x, grid: torch.nn.functional.grid_sample(x, grid, mode, padding, align),
        x,
        grid,
    )
