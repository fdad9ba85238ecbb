from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tinygrad_cnn.reference import conv2d, conv2d_input_grad, conv2d_weight_grad, patch_matrix

# x, w, stride, padding, dilation, groups: every pair unequal
CASES = [
    ((2, 3, 7, 9), (4, 3, 3, 2), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    ((2, 4, 9, 8), (6, 2, 3, 2), (2, 3), ((1, 1), (2, 2)), (1, 2), 2),
    ((1, 3, 6, 11), (6, 1, 2, 4), (3, 2), ((0, 2), (1, 3)), (2, 1), 3),
    ((3, 2, 5, 4), (3, 2, 1, 2), (4, 3), ((2, 0), (0, 1)), (3, 2), 1),  # stride > kernel
    ((0, 2, 5, 4), (3, 2, 3, 2), (1, 2), ((1, 0), (0, 1)), (1, 1), 1),  # no image
]


@pytest.fixture(params=CASES, ids=lambda case: f"x{case[0]}-w{case[1]}")
def case(request: pytest.FixtureRequest, rng: np.random.Generator) -> tuple:
    x_shape, w_shape, *geometry = request.param
    return rng.normal(size=x_shape), rng.normal(size=w_shape), rng.normal(size=w_shape[0]), geometry


def test_by_hand() -> None:
    x = np.arange(6.0).reshape(1, 1, 2, 3)
    w = np.array([[[[1.0, 10.0]]]])
    y = conv2d(x, w, np.array([0.5]), (1, 2), ((0, 1), (1, 0)), (1, 1), groups=1)
    assert y.tolist() == [[[[0.5, 21.5], [30.5, 54.5], [0.5, 0.5]]]]  # the rows are 0|0 1 2, 0|3 4 5, 0|0 0 0


def test_groups_see_only_their_channels() -> None:
    x = np.array([1.0, 2.0, 3.0, 4.0]).reshape(1, 4, 1, 1)
    w = np.array([[1.0, 10.0], [1.0, 10.0]]).reshape(2, 2, 1, 1)
    y = conv2d(x, w, None, (1, 1), ((0, 0), (0, 0)), (1, 1), groups=2)
    assert y.ravel().tolist() == [21, 43]


def test_pixels_that_no_window_reaches_have_no_gradient(rng: np.random.Generator) -> None:
    geometry = ((3, 2), ((0, 0), (0, 0)), (1, 1), 1)
    gx = conv2d_input_grad(np.ones((1, 1, 2, 2)), np.ones((1, 1, 2, 2)), (1, 1, 7, 5), *geometry)
    reached = np.zeros((7, 5))
    reached[[[0], [1], [3], [4]], :4] = 1
    assert (gx == reached).all()


def test_equals_torch(case: tuple, torch: Any, agree: Callable[..., None]) -> None:
    x, w, b, (stride, padding, dilation, groups) = case
    tx, tw, tb = (torch.tensor(a, requires_grad=True) for a in (x, w, b))
    padded = torch.nn.functional.pad(tx, (*padding[1], *padding[0]))
    ty = torch.nn.functional.conv2d(padded, tw, tb, stride=stride, dilation=dilation, groups=groups)
    y = conv2d(x, w, b, stride, padding, dilation, groups)
    agree(y, ty)
    gy = np.cos(np.arange(y.size)).reshape(y.shape)
    ty.backward(torch.tensor(gy))
    agree(conv2d_input_grad(gy, w, x.shape, stride, padding, dilation, groups), tx.grad)
    agree(conv2d_weight_grad(gy, x, w.shape, stride, padding, dilation, groups), tw.grad)


def test_gradients_are_the_adjoints(case: tuple, rng: np.random.Generator) -> None:
    x, w, _, geometry = case
    y = conv2d(x, w, None, *geometry)
    u = rng.normal(size=y.shape)
    form = (y * u).sum()
    assert (conv2d_input_grad(u, w, x.shape, *geometry) * x).sum() == pytest.approx(form, rel=1e-12, abs=1e-12)
    assert (conv2d_weight_grad(u, x, w.shape, *geometry) * w).sum() == pytest.approx(form, rel=1e-12, abs=1e-12)


pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
pads = st.tuples(st.integers(0, 2), st.integers(0, 2))


@settings(derandomize=True, max_examples=30, deadline=None)
@given(
    plane=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    size=pairs,
    stride=pairs,
    dilation=pairs,
    rows=pads,
    columns=pads,
)
def test_is_a_matrix_product(
    plane: tuple, size: tuple, stride: tuple, dilation: tuple, rows: tuple, columns: tuple
) -> None:
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, size, strict=True)]
    assume(plane[0] + sum(rows) >= spans[0] and plane[1] + sum(columns) >= spans[1])
    rng = np.random.default_rng(1)
    x, w = rng.normal(size=(2, 2, *plane)), rng.normal(size=(3, 2, *size))
    y = conv2d(x, w, None, stride, (rows, columns), dilation, groups=1)
    product = w.reshape(3, -1) @ patch_matrix(x, size, stride, (rows, columns), dilation)
    np.testing.assert_allclose(product.reshape(y.shape), y, rtol=1e-12, atol=1e-12)


def test_patch_matrix_equals_unfold(torch: Any, agree: Callable[..., None], rng: np.random.Generator) -> None:
    x = rng.normal(size=(2, 3, 6, 8))
    unfolded = torch.nn.functional.unfold(torch.tensor(x), (3, 2), dilation=(1, 2), padding=(1, 2), stride=(2, 1))
    agree(patch_matrix(x, (3, 2), (2, 1), ((1, 1), (2, 2)), (1, 2)), unfolded)


def test_patch_matrix_of_no_image() -> None:
    assert patch_matrix(np.ones((0, 3, 6, 8)), (3, 2), (2, 1), ((1, 1), (0, 0)), (1, 1)).shape == (0, 18, 21)


def test_float32_is_the_rounded_float64(case: tuple) -> None:
    x, w, b, geometry = case
    x, w, b = (a.astype(np.float32) for a in (x, w, b))
    y = conv2d(x, w, b, *geometry)
    exact = conv2d(*(a.astype(np.float64) for a in (x, w, b)), *geometry)
    assert y.dtype == np.float32
    assert (y == exact.astype(np.float32)).all()
    assert conv2d_input_grad(y, w, x.shape, *geometry).dtype == np.float32
    assert conv2d_weight_grad(y, x, w.shape, *geometry).dtype == np.float32


def test_errors_show_their_numbers() -> None:
    plain = ((1, 1), ((0, 0), (0, 0)), (1, 1))
    with pytest.raises(ValueError, match=r"reads 3 \* 2 = 6 channels, input \(1, 4, 5, 5\) has 4"):
        conv2d(np.ones((1, 4, 5, 5)), np.ones((2, 3, 3, 3)), None, *plain, groups=2)
    with pytest.raises(ValueError, match=r"2 must also divide the 3 filters"):
        conv2d(np.ones((1, 4, 5, 5)), np.ones((3, 2, 3, 3)), None, *plain, groups=2)
    with pytest.raises(ValueError, match=r"3 taps, dilation 2, spans 5 pixels, the input has 3 \+ 0 \+ 1"):
        conv2d(np.ones((1, 1, 9, 3)), np.ones((1, 1, 2, 3)), None, (1, 1), ((0, 0), (0, 1)), (1, 2), groups=1)
    with pytest.raises(ValueError, match=r"give an output \(1, 1, 4, 4\), gy has \(1, 1, 5, 4\)"):
        conv2d_weight_grad(np.ones((1, 1, 5, 4)), np.ones((1, 1, 5, 5)), (1, 1, 2, 2), *plain, groups=1)
