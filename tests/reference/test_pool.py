from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn.reference import (
    adaptive_avg_pool2d,
    adaptive_avg_pool2d_grad,
    avg_pool2d,
    avg_pool2d_grad,
    max_pool2d,
    max_pool2d_grad,
)

NO_PADDING = ((0, 0), (0, 0))


# Maximum ------------------------------------------------------------------------------------------------------------


def test_first_of_equal_maxima_wins() -> None:
    y, index = max_pool2d(np.ones((1, 1, 2, 4)), (2, 2), (2, 2), NO_PADDING, (1, 1), (1, 2))
    assert y.tolist() == [[[[1, 1]]]]
    assert index.dtype == np.int64
    assert index.tolist() == [[[[0, 2]]]]
    gx = max_pool2d_grad(np.array([[[[3.0, 4.0]]]]), index, (1, 1, 2, 4))
    assert gx.tolist() == [[[[3, 0, 4, 0], [0, 0, 0, 0]]]]


def test_padding_is_never_chosen() -> None:
    x = np.array([[[[-3.0, -2.0], [-4.0, -1.0]]]])
    y, index = max_pool2d(x, (2, 2), (2, 2), ((1, 1), (1, 1)), (1, 1), (2, 2))
    assert (y == x).all()
    assert index.tolist() == [[[[0, 1], [2, 3]]]]
    y, index = max_pool2d(np.full((1, 1, 2, 2), -np.inf), (2, 2), (2, 2), ((1, 1), (1, 1)), (1, 1), (2, 2))
    assert np.isneginf(y).all()
    assert index.tolist() == [[[[0, 1], [2, 3]]]]


def test_overlapping_windows_share_a_pixel() -> None:
    x = np.array([[[[1.0, 2.0, 3.0], [4.0, 9.0, 5.0]]]])
    y, index = max_pool2d(x, (2, 2), (1, 1), NO_PADDING, (1, 1), (1, 2))
    assert y.tolist() == [[[[9, 9]]]]
    assert index.tolist() == [[[[4, 4]]]]
    gx = max_pool2d_grad(np.array([[[[2.0, 3.0]]]]), index, (1, 1, 2, 3))
    assert gx.tolist() == [[[[0, 0, 0], [0, 5, 0]]]]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_last_nan_wins(dtype: type) -> None:
    x = np.array([[[[1, np.nan, 3, np.nan, 9]]]], dtype)
    y, index = max_pool2d(x, (1, 5), (1, 5), NO_PADDING, (1, 1), (1, 1))
    assert y.dtype == dtype
    assert np.isnan(y).all()
    assert index.tolist() == [[[[3]]]]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_last_nan_wins_in_torch(dtype: type, torch: Any) -> None:
    x = torch.tensor(np.array([[[[1, np.nan, 3, np.nan, 9]]]], dtype))
    assert torch.nn.functional.max_pool2d(x, (1, 5), return_indices=True)[1] == 3


def test_a_window_without_a_pixel_has_no_gradient() -> None:
    y, index = max_pool2d(np.ones((1, 1, 2, 2)), (2, 1), (1, 1), ((1, 1), (0, 0)), (3, 1), (1, 2))  # rows -1 and 2
    assert np.isneginf(y).all()
    assert (index == -1).all()
    assert (max_pool2d_grad(np.ones((1, 1, 1, 2)), index, (1, 1, 2, 2)) == 0).all()


# x, size, stride, padding on both sides, dilation, ceil_mode
MAX_CASES = [
    ((2, 3, 8, 6), (2, 3), (2, 3), (0, 0), (1, 1), False),
    ((1, 2, 9, 7), (3, 2), (1, 2), (1, 1), (1, 2), False),  # overlapping
    ((2, 1, 7, 10), (2, 3), (3, 2), (1, 0), (2, 1), True),
    ((1, 2, 5, 8), (1, 2), (3, 4), (0, 1), (1, 1), True),  # stride > kernel, overhang
    ((0, 2, 5, 8), (1, 2), (3, 4), (0, 1), (1, 1), True),
]


@pytest.mark.parametrize(("shape", "size", "stride", "pad", "dilation", "ceil_mode"), MAX_CASES)
def test_max_equals_torch(
    shape: tuple,
    size: tuple,
    stride: tuple,
    pad: tuple,
    dilation: tuple,
    ceil_mode: bool,
    torch: Any,
    rng: Any,
    agree: Any,
) -> None:
    x = np.round(2 * rng.normal(size=shape))  # many ties
    tx = torch.tensor(x, requires_grad=True)
    ty, t_index = torch.nn.functional.max_pool2d(tx, size, stride, pad, dilation, ceil_mode, return_indices=True)
    padding = ((pad[0], pad[0]), (pad[1], pad[1]))
    y, index = max_pool2d(x, size, stride, padding, dilation, tuple(ty.shape[2:]))
    agree(y, ty, bound=0)
    agree(index, t_index, bound=0)
    gy = rng.normal(size=y.shape)
    ty.backward(torch.tensor(gy))
    agree(max_pool2d_grad(gy, index, shape), tx.grad)


def test_max_with_asymmetric_padding_equals_torch(torch: Any, rng: Any, agree: Callable[..., None]) -> None:
    x = rng.normal(size=(2, 2, 6, 7))
    padded = torch.nn.functional.pad(torch.tensor(x), (0, 2, 1, 0), value=-np.inf)
    ty = torch.nn.functional.max_pool2d(padded, (3, 4), (2, 1))
    y, index = max_pool2d(x, (3, 4), (2, 1), ((1, 0), (0, 2)), (1, 1), tuple(ty.shape[2:]))
    agree(y, ty, bound=0)
    assert (np.take_along_axis(x.reshape(2, 2, 42), index.reshape(2, 2, -1), axis=2) == y.reshape(2, 2, -1)).all()


# Average ------------------------------------------------------------------------------------------------------------


def test_overhang_is_not_counted() -> None:
    x = np.arange(49.0).reshape(1, 1, 7, 7)
    y = avg_pool2d(x, (2, 2), (3, 3), NO_PADDING, (3, 3), count_include_pad=True, divisor_override=None)
    assert y.tolist() == [[[[4, 7, 9.5], [25, 28, 30.5], [42.5, 45.5, 48]]]]
    y = avg_pool2d(x[:, :, :1], (1, 2), (1, 3), NO_PADDING, (1, 3), count_include_pad=True, divisor_override=None)
    assert y.tolist() == [[[[0.5, 3.5, 6]]]]


@pytest.mark.parametrize(
    ("count_include_pad", "divisor_override", "expected"),
    [
        (True, None, [0.5, 2.5, 2.0]),
        (False, None, [1.0, 2.5, 4.0]),
        (True, 4, [0.25, 1.25, 1.0]),
        (False, 1, [1, 5, 4]),
    ],
)
def test_divisors(count_include_pad: bool, divisor_override: int | None, expected: list) -> None:
    x = np.array([1.0, 2.0, 3.0, 4.0]).reshape(1, 1, 1, 4)
    y = avg_pool2d(x, (1, 2), (1, 2), ((0, 0), (1, 1)), (1, 3), count_include_pad, divisor_override)
    assert y.ravel().tolist() == expected


def test_a_window_in_the_padding_averages_to_zero() -> None:
    geometry = ((1, 2), (1, 2), ((0, 0), (4, 0)))  # columns -4 -3, -2 -1, 0 1
    for count_include_pad in (True, False):
        y = avg_pool2d(np.ones((1, 1, 1, 3)), *geometry, (1, 3), count_include_pad, None)
        assert y.ravel().tolist() == [0, 0, 1]
        gx = avg_pool2d_grad(np.array([[[[5.0, 6.0, 8.0]]]]), (1, 1, 1, 3), *geometry, count_include_pad, None)
        assert gx.ravel().tolist() == [4, 4, 0]


# x, size, stride, padding on both sides, ceil_mode
AVG_CASES = [
    ((2, 3, 8, 6), (2, 3), (2, 3), (0, 0), False),
    ((1, 2, 9, 7), (3, 2), (1, 2), (1, 1), False),
    ((2, 1, 7, 10), (4, 3), (3, 4), (2, 1), True),  # padding and overhang
    ((1, 2, 5, 8), (1, 2), (3, 4), (0, 1), True),
]


@pytest.mark.parametrize("divisor_override", [None, 3])
@pytest.mark.parametrize("count_include_pad", [True, False])
@pytest.mark.parametrize(("shape", "size", "stride", "pad", "ceil_mode"), AVG_CASES)
def test_avg_equals_torch(
    shape: tuple,
    size: tuple,
    stride: tuple,
    pad: tuple,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
    torch: Any,
    rng: Any,
    agree: Any,
) -> None:
    x = rng.normal(size=shape)
    tx = torch.tensor(x, requires_grad=True)
    ty = torch.nn.functional.avg_pool2d(tx, size, stride, pad, ceil_mode, count_include_pad, divisor_override)
    padding = ((pad[0], pad[0]), (pad[1], pad[1]))
    y = avg_pool2d(x, size, stride, padding, tuple(ty.shape[2:]), count_include_pad, divisor_override)
    agree(y, ty)
    gy = rng.normal(size=y.shape)
    ty.backward(torch.tensor(gy))
    agree(avg_pool2d_grad(gy, shape, size, stride, padding, count_include_pad, divisor_override), tx.grad)


@pytest.mark.parametrize("count_include_pad", [True, False])
def test_avg_gradient_is_the_adjoint(count_include_pad: bool, rng: np.random.Generator) -> None:
    x, u = rng.normal(size=(2, 3, 6, 7)), rng.normal(size=(2, 3, 4, 4))
    window, rest = ((3, 2), (2, 2), ((2, 0), (0, 1))), (count_include_pad, None)
    y = avg_pool2d(x, *window, (4, 4), *rest)
    assert (avg_pool2d_grad(u, x.shape, *window, *rest) * x).sum() == pytest.approx((y * u).sum(), rel=1e-12)


# Adaptive average -----------------------------------------------------------------------------------------------------


def test_bins_overlap() -> None:
    x = np.array([1.0, 10.0, 100.0, 1000.0, 10000.0]).reshape(1, 1, 1, 5)
    assert adaptive_avg_pool2d(x, (1, 3)).ravel().tolist() == [5.5, 370.0, 5500.0]  # [0, 2), [1, 4), [3, 5)


@pytest.mark.parametrize(
    ("plane", "out_size"), [((5, 8), (3, 4)), ((7, 6), (1, 1)), ((3, 4), (5, 7)), ((6, 9), (6, 2))]
)
def test_adaptive_equals_torch(plane: tuple, out_size: tuple, torch: Any, rng: Any, agree: Callable[..., None]) -> None:
    x = rng.normal(size=(2, 3, *plane))
    tx = torch.tensor(x, requires_grad=True)
    ty = torch.nn.functional.adaptive_avg_pool2d(tx, out_size)
    y = adaptive_avg_pool2d(x, out_size)
    agree(y, ty)
    gy = rng.normal(size=y.shape)
    ty.backward(torch.tensor(gy))
    agree(adaptive_avg_pool2d_grad(gy, x.shape), tx.grad)


def test_adaptive_gradient_is_the_adjoint(rng: np.random.Generator) -> None:
    x, u = rng.normal(size=(2, 3, 5, 8)), rng.normal(size=(2, 3, 3, 5))
    form = (adaptive_avg_pool2d(x, (3, 5)) * u).sum()
    assert (adaptive_avg_pool2d_grad(u, x.shape) * x).sum() == pytest.approx(form, rel=1e-12)


def test_float32_stays_float32(rng: np.random.Generator) -> None:
    x = rng.normal(size=(1, 2, 4, 6)).astype(np.float32)
    y = avg_pool2d(x, (2, 3), (2, 3), NO_PADDING, (2, 2), True, None)
    np.testing.assert_array_equal(y, x.reshape(1, 2, 2, 2, 2, 3).mean(axis=(3, 5), dtype=np.float64).astype(np.float32))
    assert y.dtype == np.float32
    assert adaptive_avg_pool2d(x, (3, 5)).dtype == np.float32
    assert adaptive_avg_pool2d_grad(y, x.shape).dtype == np.float32
    assert avg_pool2d_grad(y, x.shape, (2, 3), (2, 3), NO_PADDING, True, None).dtype == np.float32
    y, index = max_pool2d(x, (2, 3), (2, 3), NO_PADDING, (1, 1), (2, 2))
    assert y.dtype == max_pool2d_grad(y, index, x.shape).dtype == np.float32
