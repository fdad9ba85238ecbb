"""Which pixels of the image a unit can see.

Along one axis, let the units of a map see r pixels, j pixels apart, the first with its centre at c. A window of extent
k = d*(size - 1) + 1, stride s and leading padding p gives

    r' = r + (k - 1)*j        c' = c + ((k - 1)/2 - p)*j        j' = j*s

Two 3 x 3 convolutions see 5 x 5: 1 + 2 + 2. Where branches join, a unit sees the union of what they saw.
Araujo, Norris and Sim, 2019, "Computing receptive fields of convolutional neural networks",
https://distill.pub/2019/computing-receptive-fields.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import singledispatch
from itertools import pairwise
from typing import Any, NamedTuple

from tinygrad_cnn.autograd import Function
from tinygrad_cnn.functional.activation import HardChoice, LeakyReLU, LogSoftmax, PReLU, ReLU, Sigmoid, Softmax, Tanh
from tinygrad_cnn.functional.conv import Conv2d
from tinygrad_cnn.functional.curves import Curve
from tinygrad_cnn.functional.dropout import Dropout
from tinygrad_cnn.functional.elementwise import Elementwise
from tinygrad_cnn.functional.indexing import Index
from tinygrad_cnn.functional.joining import Cat, Pad
from tinygrad_cnn.functional.linalg import Linear
from tinygrad_cnn.functional.lrn import LocalResponseNorm
from tinygrad_cnn.functional.norm import BatchNorm, BatchNormFixed
from tinygrad_cnn.functional.pool import AdaptiveAvgPool2d, AvgPool2d, MaxPool2d
from tinygrad_cnn.functional.pool_bins import AdaptiveMaxPool2d
from tinygrad_cnn.functional.reduce import Reduction
from tinygrad_cnn.functional.shape import Reshape
from tinygrad_cnn.kernels.geometry import Pair, Window
from tinygrad_cnn.tracing import Call, Shape

_ONE, _NONE = (1, 1), ((0, 0), (0, 0))
POINT = Window(_ONE, _ONE, _NONE, _ONE)  # each unit sees the unit at its own place


class Axis(NamedTuple):
    """What the units of a map see along one axis of the image, in pixels."""

    size: int  # pixels from the first to the last that a unit can see
    stride: int  # from a unit to the next
    centre: float  # of what the first unit sees; the centre of the first pixel is 0

    def through(self, window: Window, i: int) -> Axis:
        """Return what the results of a window on this map see."""
        more = window.extent[i] - 1
        centre = self.centre + (more / 2 - window.padding[i][0]) * self.stride
        return Axis(self.size + more * self.stride, self.stride * window.stride[i], centre)

    def joined(self, other: Axis) -> Axis:
        """Return the union; the strides are equal where maps of equal size are added."""
        start = min(self.centre - self.size / 2, other.centre - other.size / 2)
        stop = max(self.centre + self.size / 2, other.centre + other.size / 2)
        return Axis(round(stop - start), max(self.stride, other.stride), (start + stop) / 2)


class ReceptiveField(NamedTuple):
    """What the units of a map see of the image, not clipped to its borders."""

    height: Axis
    width: Axis

    def interval(self, unit: Pair) -> tuple[Pair, Pair]:
        """Return ((top, bottom), (left, right)) of the pixels that one unit (row, column) sees, half-open.

        >>> ReceptiveField(Axis(5, 2, 1.0), Axis(3, 2, 1.0)).interval((0, 4))
        ((-1, 4), (8, 11))
        """
        centres = (axis.centre + axis.stride * at for axis, at in zip(self, unit, strict=True))
        starts = [round(c - (axis.size - 1) / 2) for axis, c in zip(self, centres, strict=True)]
        return (starts[0], starts[0] + self.height.size), (starts[1], starts[1] + self.width.size)

    def __str__(self) -> str:
        (height, jh, _), (width, jw, _) = self
        return f"{_sides(height, width)} / {_sides(jh, jw)}"


PIXELS = ReceptiveField(Axis(1, 1, 0.0), Axis(1, 1, 0.0))


@singledispatch
def window(function: Function, x: Shape, y: Shape) -> Window | None:
    """Return the window through which each result of an operation sees its input.

    Args:
        function: the operation.
        x: the shape of the input.
        y: the shape of the result.

    Returns:
        `POINT` for what works number by number or mixes channels only; `everything` where a result sees the whole map;
        None where the table has no entry, or no one window describes the operation. An operation of one's own registers
        its window: ``@window.register(MyOperation)``.
    """
    return None


def everything(x: Shape) -> Window:
    """Return the window that covers a whole map (N, C, H, W); behind it there is one place."""
    return Window((x[2], x[3]), _ONE, _NONE, _ONE) if len(x) == 4 else POINT


def bins(size: int, count: int) -> tuple[int, int] | None:
    """Return (size, stride) of the bins of adaptive pooling where they are all alike, else None.

    >>> bins(6, 3), bins(7, 3), bins(5, 3)
    ((2, 2), (3, 2), None)
    """
    starts = [i * size // count for i in range(count)]
    stops = [-(-(i + 1) * size // count) for i in range(count)]
    sizes = {stop - start for start, stop in zip(starts, stops, strict=True)}
    strides = {b - a for a, b in pairwise(starts)} or {1}
    return (sizes.pop(), strides.pop()) if len(sizes) == len(strides) == 1 else None


@window.register(BatchNorm)  # by statistics of the batch, which are taken as given
@window.register(BatchNormFixed)
@window.register(Curve)
@window.register(Dropout)
@window.register(Elementwise)
@window.register(LeakyReLU)
@window.register(LocalResponseNorm)
@window.register(PReLU)
@window.register(ReLU)
@window.register(Sigmoid)
@window.register(Tanh)
def _(function: Function, x: Shape, y: Shape) -> Window:
    return POINT


@window.register
def _(function: Conv2d, x: Shape, y: Shape) -> Window:
    stride, padding, dilation, _ = function.geometry
    return Window(function.w_shape[2:], stride, padding, dilation)


@window.register(MaxPool2d)
@window.register(AvgPool2d)
def _(function: MaxPool2d | AvgPool2d, x: Shape, y: Shape) -> Window:
    return function.window


@window.register(AdaptiveAvgPool2d)
@window.register(AdaptiveMaxPool2d)
def _(function: AdaptiveAvgPool2d | AdaptiveMaxPool2d, x: Shape, y: Shape) -> Window | None:
    rows, columns = bins(x[2], y[2]), bins(x[3], y[3])
    if rows is None or columns is None:
        return None
    return Window((rows[0], columns[0]), (rows[1], columns[1]), _NONE, _ONE)


@window.register(HardChoice)
@window.register(LogSoftmax)
@window.register(Softmax)
@window.register(Cat)
def _(function: Softmax | LogSoftmax | HardChoice | Cat, x: Shape, y: Shape) -> Window | None:
    return POINT if function.axis % len(x) in (0, 1) or len(x) != 4 else None


@window.register
def _(function: Reduction, x: Shape, y: Shape) -> Window | None:
    over = {axis % len(x) for axis in function.axes} & {2, 3}
    if len(x) != 4 or not over:
        return POINT
    return everything(x) if over == {2, 3} else None


@window.register
def _(function: Pad, x: Shape, y: Shape) -> Window:
    return Window(_ONE, _ONE, (function.widths[2], function.widths[3]), _ONE) if len(x) == 4 else POINT


@window.register
def _(function: Reshape, x: Shape, y: Shape) -> Window | None:
    # Flattened maps are read by a layer that sees all of them. Channels may be regrouped at their places.
    return POINT if len(x) == len(y) == 4 and x[2:] == y[2:] else everything(x) if len(y) == 2 else None


@window.register
def _(function: Index, x: Shape, y: Shape) -> Window | None:
    # x[:, channels] leaves everything at its place.
    key = function.key if isinstance(function.key, tuple) else (function.key,)
    plain = len(key) <= 2 and all(part is not None and part is not Ellipsis for part in key)
    return POINT if plain and len(x) == len(y) else None


@window.register
def _(function: Linear, x: Shape, y: Shape) -> Window:
    return POINT  # on vectors; maps were flattened before


def receptive_fields(calls: Iterable[Call], image: Any) -> list[ReceptiveField | None]:
    """Return what the result of each call sees of the image, None where that is not known.

    >>> import numpy as np
    >>> from tinygrad_cnn import Tensor, nn
    >>> from tinygrad_cnn.calls import record_calls
    >>> model, x = nn.Sequential(nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 3)), Tensor(np.zeros((1, 1, 9, 8), np.float32))
    >>> [str(field) for field in receptive_fields(record_calls(model, x), x)]
    ['3 / 1', '5 / 1']
    """
    known: dict[int, ReceptiveField | None] = {}
    found = []
    for call in calls:
        field: ReceptiveField | None = None
        seen: list[tuple[ReceptiveField | None, Shape]] = []  # of weights and constants nothing
        for x, source in zip(call.inputs, call.sources, strict=True):
            if source is None and getattr(x, "data", x) is image.data:
                seen.append((PIXELS, tuple(x.shape)))
            elif source is not None and source.index in known:
                seen.append((known[source.index], tuple(x.shape)))
        for i, (before, shape) in enumerate(seen):
            through = window(call.function, shape, call.shape) if before is not None else None
            if before is None or through is None:
                field = None
                break
            after = ReceptiveField(before.height.through(through, 0), before.width.through(through, 1))
            field = after if i == 0 or field is None else ReceptiveField(*map(Axis.joined, field, after))
        if seen:
            known[call.index] = field
        found.append(field)
    return found


def _sides(height: int, width: int) -> str:
    return str(height) if height == width else f"{height} x {width}"
