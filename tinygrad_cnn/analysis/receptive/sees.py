"""What each kind of operation sees of its inputs: the table behind all receptive fields."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import singledispatch
from itertools import pairwise

import numpy as np
from numpy import ndarray

from tinygrad_cnn.analysis.receptive.links import (
    Along,
    Everything,
    Link,
    Product,
    Same,
    Several,
    Sliding,
    Turned,
    marked,
    places,
)
from tinygrad_cnn.analysis.receptive.moving import accumulated, added, folded, moved, nearby, padded, sampled
from tinygrad_cnn.autograd import Function
from tinygrad_cnn.functional.activation import HardChoice, LeakyReLU, LogSoftmax, PReLU, ReLU, Sigmoid, Softmax, Tanh
from tinygrad_cnn.functional.conv import Conv2d, Conv2dInputGrad
from tinygrad_cnn.functional.curves import Curve
from tinygrad_cnn.functional.dropout import Dropout
from tinygrad_cnn.functional.elementwise import Elementwise
from tinygrad_cnn.functional.extremum import ArgExtremum, TakeAlong
from tinygrad_cnn.functional.indexing import Index, Mask, SetItem
from tinygrad_cnn.functional.joining import Cat, Pad
from tinygrad_cnn.functional.label import OneHot
from tinygrad_cnn.functional.linalg import Linear, MatMul
from tinygrad_cnn.functional.loss import LabelLoss, MSELoss
from tinygrad_cnn.functional.loss_binary import BCEWithLogits, BinaryCrossEntropy
from tinygrad_cnn.functional.loss_difference import SmoothL1Loss
from tinygrad_cnn.functional.lrn import LocalResponseNorm
from tinygrad_cnn.functional.max_unpool import MaxUnpool
from tinygrad_cnn.functional.norm import BatchNorm, BatchNormFixed
from tinygrad_cnn.functional.norm_groups import GroupNorm
from tinygrad_cnn.functional.picking import Gather, ScatterAdd
from tinygrad_cnn.functional.pool import AdaptiveAvgPool2d, AvgPool2d, MaxPool2d
from tinygrad_cnn.functional.pool_bins import AdaptiveMaxPool2d
from tinygrad_cnn.functional.reduce import Reduction
from tinygrad_cnn.functional.resize import Resize
from tinygrad_cnn.functional.roi import RoIAlign, RoIPool
from tinygrad_cnn.functional.sampling import Sample
from tinygrad_cnn.functional.shape import Expand, Permute, Reshape, SumTo
from tinygrad_cnn.functional.sums import CumSum
from tinygrad_cnn.functional.unfold import Fold, Unfold
from tinygrad_cnn.kernels.geometry import Window
from tinygrad_cnn.tracing import Call, Shape

_ONE, _NONE = (1, 1), ((0, 0), (0, 0))


@singledispatch
def sees(function: Function, call: Call, i: int) -> Link:
    """Return how the units of a call see its input ``i``.

    Raises:
        NotImplementedError: the table has no entry for the operation.

    An operation of one's own registers what it is like:

    >>> from tinygrad_cnn.analysis.receptive.links import Sliding
    >>> class Blur(Function):
    ...     def forward(self, x):
    ...         return (x[..., :-1] + x[..., 1:]) / 2
    ...     def grad_x(self, gy):
    ...         raise NotImplementedError
    >>> @sees.register
    ... def _(function: Blur, call, i):
    ...     return Sliding(Window((1, 2), (1, 1), ((0, 0), (0, 0)), (1, 1)), call.input_shapes[i], call.shape)
    """
    raise NotImplementedError(
        f"receptive fields: nobody has said what {function.name} sees; write @sees.register for it, as the table in "
        "tinygrad_cnn/analysis/receptive/sees.py does, and return Same, Sliding, Product, Along or Everything of "
        "tinygrad_cnn.analysis.receptive.links"
    )


# --- each place by itself ----------------------------------------------------------------------------------------


@sees.register(BatchNorm)  # by statistics of the batch, which are taken as given
@sees.register(BatchNormFixed)
@sees.register(Curve)
@sees.register(Dropout)
@sees.register(Elementwise)
@sees.register(LeakyReLU)
@sees.register(Mask)
@sees.register(PReLU)
@sees.register(ReLU)
@sees.register(Sigmoid)
@sees.register(Tanh)
def _(function: Function, call: Call, i: int) -> Link:
    x, y = call.input_shapes[i], call.shape
    return Same(x, y) if i == 0 or isinstance(function, Elementwise) else Everything(x, y)


def mixed(axes: Sequence[int], x: Shape, y: Shape) -> Link:
    """Return the link of what mixes along some axes; channels of images are mixed anyway."""
    on_grid = {axis % len(x) for axis in axes} & set(range(len(x) - len(places(x)), len(x)))
    return Along(axes, x, y) if on_grid or places(x) != places(y) else Same(x, y)


# --- windows on images -------------------------------------------------------------------------------------------


@sees.register
def _(function: Conv2d, call: Call, i: int) -> Link:
    x, w = call.input_shapes[:2]
    stride, padding, dilation, _ = function.geometry
    return (
        Everything(call.input_shapes[i], call.shape)
        if i
        else Sliding(Window((w[2], w[3]), stride, padding, dilation), x, call.shape)
    )


@sees.register
def _(function: Conv2dInputGrad, call: Call, i: int) -> Link:
    (x, w), y = call.input_shapes, call.shape
    stride, padding, dilation, _ = function.geometry
    window = Window((w[2], w[3]), stride, padding, dilation)
    if i:
        return Everything(w, y)
    if stride == (1, 1):  # a convolution with the filter turned by 180 degrees
        (height, width), ((top, _), (left, _)) = window.extent, padding
        around = ((height - 1 - top, 0), (width - 1 - left, 0))
        return Sliding(Window(window.size, stride, around, dilation), x, y)
    return Turned(Sliding(window, y, x))


@sees.register(MaxPool2d)
@sees.register(AvgPool2d)
def _(function: MaxPool2d | AvgPool2d, call: Call, i: int) -> Link:
    return Sliding(function.window, call.input_shapes[0], call.shape)


@sees.register(AdaptiveAvgPool2d)
@sees.register(AdaptiveMaxPool2d)
def _(function: AdaptiveAvgPool2d | AdaptiveMaxPool2d, call: Call, i: int) -> Link:
    x, y = call.input_shapes[0], call.shape
    rows, columns = bins(x[2], y[2]), bins(x[3], y[3])
    if rows and columns:
        return Sliding(Window((rows[0], columns[0]), (rows[1], columns[1]), _NONE, _ONE), x, y)
    starts_stops = [
        ([i * n // out for i in range(out)], [-(-(i + 1) * n // out) for i in range(out)])
        for n, out in zip(x[2:], y[2:], strict=True)
    ]
    return Product(*(_from_to(np.array(a), np.array(b), n) for (a, b), n in zip(starts_stops, x[2:], strict=True)))


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


def _from_to(starts: ndarray, stops: ndarray, length: int) -> ndarray:
    """Return the matrix (out, length) of units that see a range each."""
    at = np.arange(length)
    return (at >= starts[:, None]) & (at < stops[:, None])


@sees.register
def _(function: Resize, call: Call, i: int) -> Link:
    x = call.input_shapes[0]
    (rows, _), (columns, _) = function.rows[0], function.columns[0]
    return Product(marked(rows.T, x[-2]), marked(columns.T, x[-1]))


@sees.register
def _(function: RoIPool, call: Call, i: int) -> Link:
    x, (_, rows, columns) = call.input_shapes[0], function.tables
    ranges = zip(rows, columns, strict=True)
    return Several([Product(_from_to(r[:, 0], r[:, 1], x[2]), _from_to(c[:, 0], c[:, 1], x[3])) for r, c in ranges])


@sees.register
def _(function: RoIAlign, call: Call, i: int) -> Link:
    x, (_, rows, columns, down, across) = call.input_shapes[0], function.points
    rows, columns = np.where(down, rows, -1), np.where(across, columns, -1)
    return Several([Product(marked(r, x[2]), marked(c, x[3])) for r, c in zip(rows, columns, strict=True)])


# --- sums and products along axes --------------------------------------------------------------------------------


@sees.register(HardChoice)
@sees.register(LogSoftmax)
@sees.register(Softmax)
def _(function: Softmax | LogSoftmax | HardChoice, call: Call, i: int) -> Link:
    return mixed((function.axis,), call.input_shapes[0], call.shape)


@sees.register
def _(function: LocalResponseNorm, call: Call, i: int) -> Link:
    x = call.input_shapes[0]
    return Same(x, x) if len(x) == 4 else nearby(x, 1, -function.before, function.after)


@sees.register
def _(function: Reduction, call: Call, i: int) -> Link:
    return mixed(function.axes, call.input_shapes[0], call.shape)


@sees.register
def _(function: ArgExtremum, call: Call, i: int) -> Link:
    x = call.input_shapes[0]
    return mixed(range(len(x)) if function.axis is None else (function.axis,), x, call.shape)


@sees.register
def _(function: SumTo, call: Call, i: int) -> Link:
    return Turned(Same(call.shape, call.input_shapes[0]))


@sees.register
def _(function: GroupNorm, call: Call, i: int) -> Link:
    x, groups = call.input_shapes[0], math.prod(function.layout[:2])
    first = next((j for j in range(1, len(x)) if math.prod(x[:j]) == groups), 1)  # what comes before is kept apart
    return Everything(call.input_shapes[i], call.shape) if i else mixed(range(first, len(x)), x, call.shape)


@sees.register
def _(function: Linear, call: Call, i: int) -> Link:
    return Everything(call.input_shapes[i], call.shape) if i else Along((-1,), call.input_shapes[0], call.shape)


@sees.register
def _(function: MatMul, call: Call, i: int) -> Link:
    x, y = call.input_shapes[i], call.shape
    if min(map(len, call.input_shapes)) < 2 or len(x) < len(y):
        return Everything(x, y)
    return Along((-2 if i else -1,), x, y)


@sees.register
def _(function: LabelLoss, call: Call, i: int) -> Link:
    x, y = call.input_shapes[i], call.shape
    return Everything(x, y) if i or not y else Along((1,), x, y)


@sees.register(BCEWithLogits)
@sees.register(BinaryCrossEntropy)
@sees.register(MSELoss)
@sees.register(SmoothL1Loss)
def _(function: Function, call: Call, i: int) -> Link:
    x, y = call.input_shapes[i], call.shape
    return Same(x, y) if x == y else Everything(x, y)


@sees.register
def _(function: OneHot, call: Call, i: int) -> Link:
    return Everything(call.input_shapes[0], call.shape)


# --- elements that move ------------------------------------------------------------------------------------------

for _kind in (Cat, Expand, Gather, Index, MaxUnpool, Permute, Reshape, SetItem, TakeAlong, Unfold):
    sees.register(_kind, moved)
sees.register(Pad, padded)
sees.register(Fold, folded)
sees.register(ScatterAdd, added)
sees.register(Sample, sampled)
sees.register(CumSum, accumulated)
