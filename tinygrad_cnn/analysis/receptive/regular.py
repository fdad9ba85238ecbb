"""Which pixels of the image a unit can see, as numbers for a whole map.

Along one axis, let the units of a map see r pixels, j pixels apart, the first with its centre at c. A window of extent
k = d*(size - 1) + 1, stride s and leading padding p gives

    r' = r + (k - 1)*j        c' = c + ((k - 1)/2 - p)*j        j' = j*s

Two 3 x 3 convolutions see 5 x 5: 1 + 2 + 2. Where branches join, a unit sees the union of what they saw.
Araujo, Norris and Sim, 2019, "Computing receptive fields of convolutional neural networks",
https://distill.pub/2019/computing-receptive-fields.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from tinygrad_cnn.analysis.receptive.links import Link, places
from tinygrad_cnn.analysis.receptive.wiring import START, Wiring
from tinygrad_cnn.kernels.geometry import Pair, Window
from tinygrad_cnn.tensor import Tensor
from tinygrad_cnn.tracing import Call, Shape


class Axis(NamedTuple):
    """What the units of a map see along one axis of the image, in pixels."""

    size: int  # pixels from the first to the last that a unit can see
    stride: int  # from a unit to the next; 0 where all see the same
    centre: float  # of what the first unit sees; the centre of the first pixel is 0

    @property
    def start(self) -> int:
        """The first pixel that the first unit sees; negative in the padding."""
        return round(self.centre - (self.size - 1) / 2)

    def through(self, window: Window, i: int) -> Axis:
        """Return what the results of a window on this map see."""
        more = window.extent[i] - 1
        centre = self.centre + (more / 2 - window.padding[i][0]) * self.stride
        return Axis(self.size + more * self.stride, self.stride * window.stride[i], centre)

    def joined(self, other: Axis, units: int) -> Axis | None:
        """Return the union; None where the strides of several units differ."""
        if self.stride != other.stride and units > 1:
            return None
        start = min(self.start, other.start)
        size = max(self.start + self.size, other.start + other.size) - start
        return Axis(size, max(self.stride, other.stride), start + (size - 1) / 2)


class ReceptiveField(NamedTuple):
    """What the units of a map see of the image, not clipped to its borders."""

    height: Axis
    width: Axis

    def interval(self, unit: Pair) -> tuple[Pair, Pair]:
        """Return ((top, bottom), (left, right)) of the pixels that one unit (row, column) sees, half-open.

        >>> ReceptiveField(Axis(5, 2, 1.0), Axis(3, 2, 1.0)).interval((0, 4))
        ((-1, 4), (8, 11))
        """
        top, left = (axis.start + axis.stride * at for axis, at in zip(self, unit, strict=True))
        return (top, top + self.height.size), (left, left + self.width.size)

    def joined(self, other: ReceptiveField, y: Shape) -> ReceptiveField | None:
        """Return the union of two fields of the units of one map."""
        height = self.height.joined(other.height, y[2] if len(y) == 4 else 1)
        width = self.width.joined(other.width, y[-1])
        return ReceptiveField(height, width) if height and width else None

    def __str__(self) -> str:
        (height, jh, _), (width, jw, _) = self
        return f"{_sides(height, width)} / {_sides(jh, jw)}"


PIXELS = ReceptiveField(Axis(1, 1, 0.0), Axis(1, 1, 0.0))


class Seen(NamedTuple):
    """What the units of a map see: each its own stretch, where the map is regular, and all of them together."""

    field: ReceptiveField | None
    together: tuple[Pair, Pair]

    def through(self, link: Link) -> Seen:
        """Return what the units of the next map see."""
        if self.field and self.field.height.stride == self.field.width.stride == 0:
            return self  # all see the same already
        if self.field and link.window:
            field = ReceptiveField(self.field.height.through(link.window, 0), self.field.width.through(link.window, 1))
            if len(link.y) != 4:
                return Seen(field, self.together)
            (top, _), (left, _) = field.interval((0, 0))
            (_, bottom), (_, right) = field.interval((link.y[2] - 1, link.y[3] - 1))
            return Seen(field, ((top, bottom), (left, right)))
        if link.whole:
            axes = (Axis(stop - start, 0, (start + stop - 1) / 2) for start, stop in self.together)
            return Seen(ReceptiveField(*axes), self.together)
        return Seen(None, self.together)

    def joined(self, other: Seen, y: Shape) -> Seen:
        """Return what the units of a map see along two ways."""
        (top, bottom), (left, right) = (
            (min(a, c), max(b, d)) for (a, b), (c, d) in zip(self.together, other.together, strict=True)
        )
        field = self.field.joined(other.field, y) if self.field and other.field else None
        return Seen(field, ((top, bottom), (left, right)))


def seen_by(wiring: Wiring) -> dict[int, Seen]:
    """Return what the units of every call see of the start, which is an image (N, C, H, W) or a signal (N, C, L)."""
    grid = places(wiring.shape)
    if len(wiring.shape) not in (3, 4):
        return {}
    height, width = grid if len(wiring.shape) == 4 else (1, grid[1])
    known = {START: Seen(PIXELS, ((0, height), (0, width)))}
    for index, links in wiring.into.items():
        first, *more = (known[source].through(link) for source, link in links)
        for other in more:
            first = first.joined(other, wiring.calls[index].shape)
        known[index] = first
    return known


def receptive_fields(calls: Iterable[Call], image: Any) -> list[ReceptiveField | None]:
    """Return what the result of each call sees of the image, None where the units of a map differ in that.

    `receptive_field` tells more about one of them.

    Args:
        calls: a trace.
        image: what the model was called with.

    >>> import numpy as np
    >>> from tinygrad_cnn import Tensor, nn
    >>> from tinygrad_cnn.calls import record_calls
    >>> model, x = nn.Sequential(nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 3)), Tensor(np.zeros((1, 1, 9, 8), np.float32))
    >>> [str(field) for field in receptive_fields(record_calls(model, x), x)]
    ['3 / 1', '5 / 1']
    """
    calls = list(calls) if isinstance(calls, Iterable) else [calls]
    image = image.data if isinstance(image, Tensor) else image
    if not all(isinstance(call, Call) for call in calls) or not isinstance(image, np.ndarray):
        raise TypeError("receptive_fields: needs the calls of a trace and the image that the model was called with")
    known = seen_by(Wiring(calls, image))
    return [known[call.index].field if call.index in known else None for call in calls]


def _sides(height: int, width: int) -> str:
    return str(height) if height == width else f"{height} x {width}"
