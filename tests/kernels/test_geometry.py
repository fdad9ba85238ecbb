from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_cnn.kernels.geometry import (
    MOST_ELEMENTS,
    Window,
    check_elements,
    check_remainder,
    for_axes,
    number,
    padding_for_axes,
    pair,
    same_padding,
    same_tf_padding,
    whole,
)
from tinygrad_cnn.state import strict_sizes

NO_PADDING = ((0, 0), (0, 0))


def test_whole_takes_ints_of_any_kind() -> None:
    assert whole("conv2d", "groups", 3, 1) == 3
    groups = whole("conv2d", "groups", np.int16(4), 1)
    assert (groups, type(groups)) == (4, int)


@pytest.mark.parametrize("value", [True, 1.0, "1", None, np.float32(1), np.array([1, 2])])
def test_whole_refuses_what_is_no_int(value: object) -> None:
    with pytest.raises(TypeError, match=r"^conv2d: groups must be an int, got "):
        whole("conv2d", "groups", value, 1)
    with pytest.raises(TypeError, match=r"^conv2d: stride must be an int or a pair of ints, got "):
        whole("conv2d", "stride", value, 1, "an int or a pair of ints")


def test_number_takes_numbers_of_any_kind() -> None:
    found = [number("norm", "eps", value) for value in (3, -0.5, np.float32(0.25), np.array(2.0))]
    assert found == [3, -0.5, 0.25, 2]
    assert {type(value) for value in found} == {float}


@pytest.mark.parametrize(
    ("value", "error", "says"),
    [
        (True, TypeError, "a number, got True"),
        ("1", TypeError, "a number, got '1'"),
        (None, TypeError, "a number, got None"),
        (np.ones(2), TypeError, "a number, got array"),
        (float("nan"), ValueError, "at least 0, got nan"),
        (-1, ValueError, "at least 0, got -1"),
    ],
)
def test_number_refuses_what_is_none(value: object, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=f"^norm: eps must be {re.escape(says)}"):
        number("norm", "eps", value, 0)


def test_number_refuses_nan_without_a_bound() -> None:
    with pytest.raises(ValueError, match=r"^norm: eps must be a number, got nan$"):
        number("norm", "eps", float("nan"))


def test_whole_refuses_what_is_too_small() -> None:
    with pytest.raises(ValueError, match=r"^conv2d: stride must be at least 1, got 0$"):
        whole("conv2d", "stride", 0, 1)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (2, (2, 2)),
        ((2, 3), (2, 3)),
        ([2, 3], (2, 3)),
        ((4,), (4, 4)),
        (np.array([2, 3]), (2, 3)),
        (np.int64(5), (5, 5)),
    ],
)
def test_pair(value: object, expected: tuple[int, int]) -> None:
    found = pair("max_pool2d", "kernel_size", value)
    assert found == expected
    assert all(type(number) is int for number in found)


def test_pair_refuses_other_lengths_and_small_numbers() -> None:
    with pytest.raises(ValueError, match=r"kernel_size must be an int or a pair \(height, width\), got \(1, 2, 3\)"):
        pair("max_pool2d", "kernel_size", (1, 2, 3))
    with pytest.raises(ValueError, match="got \\(\\)"):
        pair("max_pool2d", "kernel_size", ())
    with pytest.raises(ValueError, match="kernel_size must be at least 1, got 0"):
        pair("max_pool2d", "kernel_size", (2, 0))
    assert pair("max_pool2d", "padding", (0, 2), 0) == (0, 2)
    with pytest.raises(TypeError, match="got 'same'"):
        pair("max_pool2d", "padding", "same")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, ((1, 1), (1, 1))),
        ((1, 2), ((1, 1), (2, 2))),
        (((1, 2), (3, 4)), ((1, 2), (3, 4))),
        ([[0, 1], (2,)], ((0, 1), (2, 2))),
        (np.array([[1, 2], [3, 4]]), ((1, 2), (3, 4))),
    ],
)
def test_padding_of_two_axes(value: object, expected: object) -> None:
    assert padding_for_axes("conv2d", value, 2) == expected


@pytest.mark.parametrize("value", [-1, (0, -1), ((0, -2), (0, 0)), ((0, 0), (1, -1))])
def test_negative_padding_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"padding.* must be at least 0, got -\d"):
        padding_for_axes("conv2d", value, 2)


@pytest.mark.parametrize("value", ["same", 1.5, (1, 2.0), ((1, 2), 3)])
def test_padding_of_other_types_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="padding"):
        padding_for_axes("conv2d", value, 2)


def test_same_padding_puts_the_odd_pixel_after() -> None:
    assert [same_padding(extent) for extent in (1, 2, 3, 4, 7)] == [(0, 0), (0, 1), (1, 1), (1, 2), (3, 3)]


def test_window() -> None:
    window = Window((3, 2), (2, 1), ((1, 2), (0, 3)), (2, 4))
    assert window.extent == (5, 5)
    assert window.padded((10, 20)) == (13, 23)
    assert window.out_size("conv2d", (10, 20)) == (5, 19)


lengths = st.integers(1, 30)
small = st.integers(1, 5)
pads = st.tuples(st.integers(0, 4), st.integers(0, 4))


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(lengths, lengths, small, small, small, small, pads, pads, small, small)
def test_out_size_counts_the_windows_that_fit(
    h: int, w: int, kh: int, kw: int, sh: int, sw: int, ph: tuple[int, int], pw: tuple[int, int], dh: int, dw: int
) -> None:
    window = Window((kh, kw), (sh, sw), (ph, pw), (dh, dw))
    spans = dh * (kh - 1) + 1, dw * (kw - 1) + 1
    padded = h + sum(ph), w + sum(pw)
    starts = [range(0, padded[d] - spans[d] + 1, (sh, sw)[d]) for d in (0, 1)]
    if not all(starts):
        with pytest.raises(ValueError, match="the window is larger than the image"):
            window.out_size("conv2d", (h, w))
        return
    assert window.out_size("conv2d", (h, w)) == (len(starts[0]), len(starts[1]))


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(lengths, st.integers(1, 6), small, st.integers(0, 3), small)
def test_ceil_mode_adds_a_window_for_what_is_left_over(h: int, kh: int, sh: int, pad: int, dh: int) -> None:
    """Padding at most half of the window, as pooling demands; the other axis has nothing left over."""
    extent = dh * (kh - 1) + 1
    pad = min(pad, extent // 2)
    window = Window((kh, 1), (sh, 1), ((pad, pad), (0, 0)), (dh, 1))
    padded = h + 2 * pad
    if extent > padded:
        return
    starts = [0]
    while starts[-1] + extent < padded and starts[-1] + sh < h + pad:  # pixels left; a window that sees some
        starts.append(starts[-1] + sh)
    assert window.out_size("max_pool2d", (h, 7), ceil_mode=True) == (len(starts), 7)


def test_in_ceil_mode_a_window_may_hang_over_a_small_image() -> None:
    window = Window((3, 4), (2, 3), ((0, 0), (1, 1)), (1, 1))
    assert window.out_size("max_pool2d", (2, 1), ceil_mode=True) == (1, 1)
    for image, ceil_mode in (((2, 1), False), ((1, 3), True)):  # ceil((1 - 3)/2) + 1 = 0 windows
        with pytest.raises(ValueError, match="the window is larger than the image: height"):
            window.out_size("max_pool2d", image, ceil_mode)


def test_a_window_larger_than_the_image_is_explained_with_its_numbers() -> None:
    window = Window((2, 5), (1, 1), ((0, 0), (1, 2)), (1, 3))
    with pytest.raises(ValueError, match=r"^conv2d: the window is larger than the image: ") as error:
        window.out_size("conv2d", (4, 9))
    assert "width 9 + padding 1 + 2 = 12" in str(error.value)
    assert "3*(5 - 1) + 1 = 13" in str(error.value)
    assert "Use a smaller kernel" in str(error.value)


def test_an_absurd_array_is_refused_before_it_is_allocated() -> None:
    check_elements("conv2d", (MOST_ELEMENTS,))
    with pytest.raises(ValueError, match=r"conv2d: .* shape \(1, 100000, 100000\) with 10,000,000,000 elements"):
        check_elements("conv2d", iter((1, 100_000, 100_000)))


def test_for_axes_takes_one_number_or_one_for_each_axis() -> None:
    assert for_axes("max_pool3d", "stride", 2, 3) == (2, 2, 2)
    assert for_axes("max_pool3d", "stride", [1, 2, 3], 3) == (1, 2, 3)
    assert for_axes("max_pool1d", "stride", (4,), 1) == (4,)
    with pytest.raises(
        ValueError, match=r"max_pool3d: stride must be an int or \(depth, height, width\), got \(1, 2\)"
    ):
        for_axes("max_pool3d", "stride", (1, 2), 3)
    with pytest.raises(ValueError, match=r"max_pool1d: stride must be one int, got \(1, 2\)"):
        for_axes("max_pool1d", "stride", (1, 2), 1)


def test_padding_for_axes() -> None:
    assert padding_for_axes("conv3d", 1, 3) == ((1, 1),) * 3
    assert padding_for_axes("conv3d", (1, 0, 2), 3) == ((1, 1), (0, 0), (2, 2))
    assert padding_for_axes("conv3d", ((1, 0), (0, 2), (3, 3)), 3) == ((1, 0), (0, 2), (3, 3))
    assert padding_for_axes("conv1d", ((2, 0),), 1) == ((2, 0),)
    with pytest.raises(ValueError, match="conv3d: padding of the height must be at least 0, got -1"):
        padding_for_axes("conv3d", ((1, 0), (0, -1), (3, 3)), 3)


@pytest.mark.parametrize(
    ("length", "extent", "stride", "expected"),
    [(224, 3, 2, (0, 1)), (5, 3, 1, (1, 1)), (5, 4, 1, (1, 2)), (7, 2, 3, (0, 1)), (6, 1, 4, (0, 0))],
)
def test_padding_of_tensorflow(length: int, extent: int, stride: int, expected: tuple[int, int]) -> None:
    assert same_tf_padding(length, extent, stride) == expected


def test_check_remainder_speaks_only_inside_strict_sizes() -> None:
    check_remainder("conv2d", "height", 7, 2, 2, (0, 0), 1)
    with strict_sizes():
        check_remainder("conv2d", "height", 7, 2, 2, (0, 1), 1)
        with pytest.raises(ValueError, match="conv2d: the last 1 of the height"):
            check_remainder("conv2d", "height", 7, 2, 2, (0, 0), 1)
