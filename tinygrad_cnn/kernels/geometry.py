"""Output sizes and padding: the integer arithmetic of convolution and pooling, and its errors.

    OH = (H + top + bottom - DH*(KH - 1) - 1) // SH + 1

Everything here is plain Python on ints; this file is open to every floor.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

from tinygrad_cnn.state import place, sizes_are_strict

AXES = {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]  # ((top, bottom), (left, right))

# No array of ours may have more elements than this: a huge padding is an error message, not an exhausted machine.
MOST_ELEMENTS = 2**31


def whole(op: str, name: str, value: Any, least: int, form: str = "an int") -> int:
    """Return ``value`` as an int of at least ``least``, or raise an error that names the argument."""
    try:
        if isinstance(value, bool):
            raise TypeError
        number = value.__index__()
    except (AttributeError, TypeError):
        raise TypeError(f"{place(op)}: {name} must be {form}, got {value!r}") from None
    if number < least:
        raise ValueError(f"{place(op)}: {name} must be at least {least}, got {number}")
    return number


def number(op: str, name: str, value: Any, least: float = -math.inf) -> float:
    """Return ``value`` as a float of at least ``least`` (NaN is none), or raise an error that names the argument."""
    try:
        if isinstance(value, (bool, str)):
            raise TypeError
        found = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{place(op)}: {name} must be a number, got {value!r}") from None
    if not found >= least:
        bound = "a number" if least == -math.inf else f"at least {least:g}"
        raise ValueError(f"{place(op)}: {name} must be {bound}, got {value!r}")
    return found


def pair(op: str, name: str, value: Any, least: int = 1) -> Pair:
    """Return (value for the height, value for the width) of an int or a pair of ints."""
    height, width = for_axes(op, name, value, 2, least)
    return height, width


def for_axes(op: str, name: str, value: Any, axes: int, least: int = 1) -> tuple[int, ...]:
    """Return one int for each of 1, 2 or 3 axes, given all of them or one int for all."""
    if not isinstance(value, Iterable) or isinstance(value, str):
        return (whole(op, name, value, least, "an int" if axes == 1 else "an int or a pair of ints"),) * axes
    parts = tuple(value)
    if len(parts) == 1:
        parts *= axes
    if len(parts) != axes:
        form = {1: "one int", 2: "an int or a pair (height, width)", 3: "an int or (depth, height, width)"}[axes]
        raise ValueError(f"{place(op)}: {name} must be {form}, got {value!r}")
    return tuple(whole(op, name, part, least) for part in parts)


def padding_for_axes(op: str, value: Any, axes: int) -> tuple[Pair, ...]:
    """Return (before, after) for each axis, given an int, an int for each axis or such pairs."""
    parts = tuple(value) if isinstance(value, Iterable) and not isinstance(value, str) else (value,)
    if len(parts) == axes and all(isinstance(part, Iterable) for part in parts):
        named = zip(AXES[axes], parts, strict=True)
        return tuple(pair(op, f"padding of the {axis}", part, 0) for axis, part in named)
    return tuple((n, n) for n in for_axes(op, "padding", value, axes, 0))


def same_padding(extent: int) -> Pair:
    """Return (before, after) for padding='same' of a kernel that spans ``extent`` pixels; the odd one goes after."""
    total = extent - 1
    return total // 2, total - total // 2


def same_tf_padding(length: int, extent: int, stride: int) -> Pair:
    """Return (before, after) for TensorFlow's SAME: ceil(length / stride) windows; the odd pixel goes after.

    >>> same_tf_padding(224, 3, 2)
    (0, 1)
    """
    total = max((-(-length // stride) - 1) * stride + extent - length, 0)
    return total // 2, total - total // 2


class Window(NamedTuple):
    """The sliding window of a convolution or a pooling; every field is a pair (height, width)."""

    size: Pair
    stride: Pair
    padding: Padding
    dilation: Pair

    @property
    def extent(self) -> Pair:
        """How many pixels the dilated window spans: d*(k - 1) + 1."""
        (kh, kw), (dh, dw) = self.size, self.dilation
        return dh * (kh - 1) + 1, dw * (kw - 1) + 1

    def padded(self, image: Pair) -> Pair:
        """Return the size of an image after padding."""
        (top, bottom), (left, right) = self.padding
        return image[0] + top + bottom, image[1] + left + right

    def out_size(self, op: str, image: Pair, ceil_mode: bool = False) -> Pair:
        """Return (OH, OW) for an image (H, W); raise ValueError, numbers included, where nothing would be left."""
        height, width = (
            out_length(op, axis, length, size, stride, padding, dilation, ceil_mode)
            for axis, length, size, stride, padding, dilation in zip(AXES[2], image, *self, strict=True)
        )
        return height, width


def out_length(
    op: str, axis: str, length: int, size: int, stride: int, padding: Pair, dilation: int, ceil_mode: bool = False
) -> int:
    """Return how many windows fit along one axis; raise ValueError, numbers included, where none does."""
    (before, after), span = padding, dilation * (size - 1) + 1
    room = length + before + after - span
    if room < 0 and not (ceil_mode and -room < stride):  # a window that starts inside may hang over the edge
        raise ValueError(
            f"{place(op)}: the window is larger than the image: {axis} {length} + padding {before} + {after} = "
            f"{length + before + after}, but the kernel spans dilation*(size - 1) + 1 = {dilation}*("
            f"{size} - 1) + 1 = {span}. Use a smaller kernel or dilation, more padding or a larger image"
        )
    if not ceil_mode:
        return room // stride + 1
    out = -(-room // stride) + 1
    # The last window must start inside the image or its leading padding, or it would see nothing at all.
    return out - 1 if (out - 1) * stride >= length + before else out


def check_remainder(op: str, axis: str, length: int, size: int, stride: int, padding: Pair, dilation: int) -> None:
    """Raise ValueError where the stride leaves pixels unread at the end, inside `strict_sizes`."""
    padded, span = length + padding[0] + padding[1], dilation * (size - 1) + 1
    rest = (padded - span) % stride
    if rest and sizes_are_strict.get():
        raise ValueError(
            f"{place(op)}: the last {rest} of the {axis} would not be read: (padded {axis} {padded} - window {span}) % "
            f"stride {stride} = {rest}. Change the padding or the size of the input, use ceil_mode in pooling, or "
            "leave strict_sizes()"
        )


def check_elements(op: str, shape: Iterable[int]) -> None:
    """Raise ValueError where an array of this shape would be absurdly large."""
    shape = tuple(shape)
    elements = math.prod(shape)
    if elements > MOST_ELEMENTS:
        raise ValueError(
            f"{place(op)}: this would need an array of shape {shape} with {elements:,} elements, above the "
            f"limit of {MOST_ELEMENTS:,}; check padding, kernel size and image size"
        )
