from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_cnn import Tensor, grad, reference
from tinygrad_cnn import functional as F
from tinygrad_cnn.checks.measure import error

side = st.integers(1, 9)
NEAREST = ("nearest", "nearest-exact")


@given(side, side, side, side, st.sampled_from(["nearest", "nearest-exact", "bilinear", "bicubic"]), st.booleans())
@settings(derandomize=True, max_examples=80, deadline=None)
def test_values_are_the_references(H: int, W: int, OH: int, OW: int, mode: str, align: bool) -> None:
    corners = None if mode.startswith("nearest") else align
    x = np.random.default_rng(0).standard_normal((2, 3, H, W))
    wanted = reference.interpolate(x, (OH, OW), mode, bool(corners))
    for dtype, bound in ((np.float32, 2e-6), (np.float64, 1e-13)):
        y = F.interpolate(x.astype(dtype), (OH, OW), mode=mode, align_corners=corners)
        assert y.dtype == dtype
        assert error(y, wanted) <= bound


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(2, 9), (11, 3), (5, 7)])
def test_gradients_are_adjoints(
    mode: str, size: tuple[int, int], rng: np.random.Generator, derivatives: Callable[..., None]
) -> None:
    x, u = rng.standard_normal((2, 1, 5, 7)), rng.standard_normal((2, 1, *size))
    leaf = Tensor(x, requires_grad=True)
    y = F.interpolate(leaf, size, mode=mode)
    assert np.vdot(y.data, u) == pytest.approx(np.vdot(x, grad(y, leaf, u)[0].data), rel=1e-12)
    derivatives(lambda x: F.interpolate(x * x, size, mode=mode), x)
    if size == (5, 7):
        assert error(y.data, x) <= 1e-15


def test_one_and_three_axes(rng: np.random.Generator) -> None:
    x = rng.standard_normal((2, 3, 4, 5, 6))
    y = F.interpolate(x, (7, 3, 8), mode="trilinear")
    step = reference.interpolate(x.reshape(2, 12, 5, 6), (3, 8), "bilinear").reshape(2, 3, 4, 24)
    assert error(y, reference.interpolate(step, (7, 24), "bilinear").reshape(2, 3, 7, 3, 8)) <= 1e-13
    z = F.interpolate(x[:, :, 0, 0], 9, mode="nearest")
    np.testing.assert_array_equal(z, x[:, :, 0, 0][:, :, np.arange(9) * 6 // 9])
    assert F.interpolate(x[:0, :, 0], scale_factor=(2, 0.5)).shape == (0, 3, 10, 3)


def test_a_factor_says_which_pixel_is_nearest() -> None:
    line = np.arange(3.0)
    for shape in ((1, 1, 3), (1, 1, 1, 1, 3)):
        factors = (1.0,) * (len(shape) - 3) + (1.25,)
        x = line.reshape(shape)
        found = [
            F.interpolate(x, scale_factor=factors, recompute_scale_factor=r).ravel().tolist() for r in (False, True)
        ]
    assert found == [[0, 0, 1], [0, 1, 2]]  # floor(o / 1.25), floor(o * 3 / 3)
    image = F.interpolate(line.reshape(1, 1, 1, 3), scale_factor=(1.0, 1.25))
    assert image.ravel().tolist() == [0, 1, 2]  # PyTorch moves no pixel of an image that keeps its size


def test_one_bad_pixel_spoils_only_its_neighbours() -> None:
    x = np.ones((1, 1, 4, 6))
    x[0, 0, 0, 0] = np.inf
    y = F.interpolate(x, (4, 6), mode="bilinear")
    assert np.isinf(y[0, 0, 0, 0])
    assert (y.ravel()[1:] == 1).all()
    assert np.isfinite(F.interpolate(x, scale_factor=2)[0, 0, 2:]).all()


X = np.ones((1, 2, 4, 6))


@pytest.mark.parametrize(
    ("call", "error_type", "message"),
    [
        (lambda: F.interpolate(X), ValueError, "give either size or scale_factor"),
        (lambda: F.interpolate(X, 3, 2.0), ValueError, "give either size or scale_factor"),
        (
            lambda: F.interpolate(X, 3, mode="linear"),
            ValueError,
            "one of .*'bilinear', 'bicubic'.* got 'linear'",
        ),
        (lambda: F.interpolate(X[0, 0], 3), ValueError, r"mode must be one of \[\] for an input of shape \(4, 6\)"),
        (lambda: F.interpolate(X, 3, mode="area"), ValueError, "got 'area'"),
        (
            lambda: F.interpolate(X, 3, align_corners=True),
            ValueError,
            "has no meaning for mode 'nearest'",
        ),
        (lambda: F.interpolate(X, (3, 4, 5)), ValueError, r"one number for each of the axes \(4, 6\), got \(3, 4, 5\)"),
        (lambda: F.interpolate(X, 2.5), TypeError, "size must hold ints"),
        (lambda: F.interpolate(X, scale_factor="2"), TypeError, "scale_factor numbers"),
        (lambda: F.interpolate(X, 0), ValueError, "must be positive"),
        (lambda: F.interpolate(X, scale_factor=-1.0), ValueError, "must be positive"),
        (lambda: F.interpolate(X, scale_factor=np.inf), ValueError, "must be positive"),
        (lambda: F.interpolate(X, scale_factor=0.2), ValueError, r"cannot make \(0, 1\) pixels of \(4, 6\)"),
        (lambda: F.interpolate(X[:, :, :0], 3), ValueError, r"pixels of \(0, 6\)"),
        (lambda: F.interpolate(X.astype(int), 3), TypeError, "interpolate: needs float32 or float64"),
    ],
)
def test_errors_teach(call: Callable[[], Any], error_type: type[Exception], message: str) -> None:
    with pytest.raises(error_type, match=message):
        call()


@pytest.mark.parametrize("seed", range(60))
def test_agrees_with_torch(seed: int, same_as_torch: Callable[..., None], torch: Any) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 4))
    modes = ["nearest", "nearest-exact", {1: "linear", 2: "bilinear", 3: "trilinear"}[n], *["bicubic"] * (n == 2)]
    x, size = rng.standard_normal((*rng.integers(1, 4, 2), *rng.integers(2, 8, n))), rng.integers(1, 12, n).tolist()
    # 1.25 leaves 3 pixels 3: PyTorch's backward pass for 'nearest' then moves none, though its forward pass does, but
    # for images.
    factors = rng.choice([0.5, 1.25, 1.5, 2, 3] if n == 2 else [0.5, 1.5, 2, 3], n).tolist()
    recompute = bool(rng.integers(2))
    for mode in modes:
        for align in (None,) if mode.startswith("nearest") else (None, False, True):
            for a in ({"size": size}, {"scale_factor": factors, "recompute_scale_factor": recompute}):
                f = lambda x, lib, a=a, m=mode, c=align: lib.interpolate(x, **a, mode=m, align_corners=c)
                same_as_torch(lambda x, f=f: f(x, F), lambda x, f=f: f(x, torch.nn.functional), x)


@pytest.mark.parametrize("seed", range(60))
def test_factors_place_pixels_as_in_torch(seed: int, torch: Any) -> None:
    """Also where a factor leaves 3 pixels 3, and where 33 / 1.1 is a whole number or just below one."""
    rng = np.random.default_rng(seed)
    for n, mode in ((1, "linear"), (2, "bilinear"), (2, "bicubic"), (3, "trilinear"), *product((1, 2, 3), NEAREST)):
        x = rng.standard_normal((1, 2, *rng.integers(4, 60 if n < 3 else 14, n))).astype(rng.choice(["f4", "f8"]))
        factors = [*rng.choice([0.7, 0.9, 1.1, 1.25, 1 / 3, 2, 2.5], n - 1).tolist(), rng.uniform(0.3, 3)]
        y = F.interpolate(x, scale_factor=factors, mode=mode)
        z = torch.nn.functional.interpolate(torch.tensor(x), scale_factor=factors, mode=mode).numpy()
        assert y.shape == z.shape
        if mode in NEAREST:
            np.testing.assert_array_equal(y, z, f"{mode} of {x.shape} by {factors}")
        else:
            assert error(y, z) <= {4: 1e-4, 8: 1e-10}[x.itemsize]
