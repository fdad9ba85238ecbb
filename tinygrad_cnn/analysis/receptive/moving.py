"""What moves elements without mixing them, and what picks them by index: the links are found by moving numbers."""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_cnn.analysis.receptive.links import POINT, Link, Moved, Same, Sliding, Turned, numbered, places
from tinygrad_cnn.functional.joining import Cat, Pad
from tinygrad_cnn.functional.picking import Gather, ScatterAdd
from tinygrad_cnn.functional.sampling import Sample
from tinygrad_cnn.functional.sums import CumSum
from tinygrad_cnn.functional.unfold import Fold, Unfold
from tinygrad_cnn.kernels.geometry import Window
from tinygrad_cnn.tracing import Call, Shape

_ONE = (1, 1)


def moved(function: Any, call: Call, i: int) -> Link:
    """Return the link of what only moves elements: run on the numbers of the places, it tells where they go."""
    shapes, y = call.input_shapes, call.shape
    if isinstance(function, Cat) and len(y) == 4 and function.axis == 1:
        return Same(shapes[i], y)  # channels side by side, the common case
    numbers = [numbered(x).astype(float) if j == i else np.zeros(x) for j, x in enumerate(shapes)]
    found = copy(function).forward(*numbers).astype(np.int64)
    if places(shapes[i]) == places(y) and np.array_equal(found, numbered(y)):
        return Same(shapes[i], y)
    if window := _cut(found, shapes[i]):
        return Sliding(window, shapes[i], y)
    link = Moved(found[None], shapes[i])
    if _is_signal(shapes[i], y):
        link.window = POINT
    return link


def _is_signal(x: Shape, y: Shape) -> bool:
    """Say whether a signal (N, C, L) becomes an image of height 1 (N, C, 1, L), or the other way round."""
    signal, image = sorted((x, y), key=len)
    return len(signal) == 3 and image == (*signal[:2], 1, signal[2])


def _cut(found: ndarray, x: Shape) -> Window | None:
    """Return the window of x[:, :, top::down, left::across] and the like, None for other moves."""
    if not len(x) == found.ndim == 4 or not found.size or not (found == found[0, 0]).all() or found.min() < 1:
        return None
    rows, columns = np.divmod(found[0, 0] - 1, x[3])
    firsts = rows[:2, 0].tolist(), columns[0, :2].tolist()
    (top, down), (left, across) = ((at[0], at[-1] - at[0] if len(at) > 1 else 1) for at in firsts)
    straight = (np.diff(rows, axis=0) == down).all() and (np.diff(columns, axis=1) == across).all()
    square = (rows == rows[:, :1]).all() and (columns == columns[:1]).all()
    if not (straight and square and down > 0 and across > 0):
        return None
    return Window(_ONE, (down, across), ((-top, 0), (-left, 0)), _ONE)


def padded(function: Pad, call: Call, i: int) -> Link:
    """Return the link of a border put around, or cut off."""
    x, y, widths = call.input_shapes[0], call.shape, function.widths
    if len(x) == 4:
        return Sliding(Window(_ONE, _ONE, (widths[2], widths[3]), _ONE), x, y)
    return moved(Pad(widths, 0.0), call, i)


def folded(function: Fold, call: Call, i: int) -> Link:
    """Return the link of columns that are added where `Unfold` would have read them."""
    numbers = Unfold(function.window).forward(numbered(call.shape).astype(float))
    return Turned(Moved(numbers.astype(np.int64)[None], call.shape))


def added(function: ScatterAdd, call: Call, i: int) -> Link:
    """Return the link of what is added to an array at some places."""
    if i == 0:
        return Same(call.input_shapes[0], call.shape)
    numbers = Gather(function.index, function.axis).forward(numbered(call.shape).astype(float))
    return Turned(Moved(numbers.astype(np.int64)[None], call.shape))


def sampled(function: Sample, call: Call, i: int) -> Link:
    """Return the link of points between pixels, as they were in this run."""
    x, y, index = call.input_shapes[i], call.shape, function.index  # (N, C, pixels), (N, C, P), (N, K, P)
    w = np.asarray(getattr(call.inputs[1], "data", call.inputs[1]))
    numbers = numbered(x)
    if i == 1:  # the point p of every channel has the weights (k, p)
        return Moved(np.stack([np.broadcast_to(numbers[:, k, None], y) for k in range(x[1])]), x)
    at = np.where(w != 0, index, -1).transpose(1, 0, 2)[:, :, None]  # (K, N, 1, P)
    first = numbers[:, :, :1]
    return Moved(np.where(at >= 0, first + at, 0), x)


def accumulated(function: CumSum, call: Call, i: int) -> Link:
    """Return the link of sums of all that stands before."""
    return nearby(call.shape, function.axis, 1 - call.shape[function.axis], 0)


def nearby(shape: Shape, axis: int, first: int, last: int) -> Link:
    """Return the link of what sees from ``first`` to ``last`` places away along an axis."""
    numbers = np.moveaxis(numbered(shape), axis, 0)
    at = np.arange(first, last + 1)[:, None] + np.arange(len(numbers))
    inside = (at >= 0) & (at < len(numbers))
    found = np.where(inside.reshape(*at.shape, *[1] * (len(shape) - 1)), numbers[at * inside], 0)
    return Moved(np.moveaxis(found, 1, axis % len(shape) + 1), shape)
