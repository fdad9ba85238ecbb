"""Convolution: one trilinear form and its three faces.

    T(x, w, u) = <x * w, u> = sum of x[n, c, oh*SH + p*DH - top, ow*SW + q*DW - left] * w[o, c, p, q] * u[n, o, oh, ow]

is linear in the image x, the filters w and the output gradient u. Its derivative by u is the convolution, by x the
input gradient, by w the weight gradient: three operations that differentiate into each other, to any order.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from numpy import ndarray

from tinygrad_cnn.autograd import Function, Variable
from tinygrad_cnn.functional.linalg import same_float
from tinygrad_cnn.functional.reduce import sum
from tinygrad_cnn.functional.shape import Shape, array_shape, reshape, shape_of
from tinygrad_cnn.kernels import conv, conv_input_grad, conv_weight_grad, winograd
from tinygrad_cnn.kernels.geometry import (
    AXES,
    Padding,
    Pair,
    Window,
    check_elements,
    check_remainder,
    for_axes,
    out_length,
    padding_for_axes,
    same_padding,
    same_tf_padding,
    whole,
)
from tinygrad_cnn.kernels.reduce import channel_sum
from tinygrad_cnn.state import place, sizes_are_strict

IMAGE = {1: "L", 2: "H, W", 3: "D, H, W"}
FILTER = {1: "K", 2: "KH, KW", 3: "KD, KH, KW"}


class Geometry(NamedTuple):
    """How the filters move over the image."""

    stride: Pair
    padding: Padding
    dilation: Pair
    groups: int


@lru_cache(maxsize=1024)
def convolved(x_shape: Shape, w_shape: Shape, geometry: Geometry) -> Shape:
    """Return the shape (N, O, OH, OW) of a convolution."""
    image, size = (x_shape[2], x_shape[3]), (w_shape[2], w_shape[3])
    return x_shape[0], w_shape[0], *Window(size, *geometry[:3]).out_size("conv2d", image)


class Conv2d(Function):
    """y = x * w + b: the form's derivative by u."""

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry

    def forward(self, x: ndarray, w: ndarray, b: ndarray | None = None) -> ndarray:
        self.x_shape, self.w_shape = x.shape, w.shape
        if m := winograd.choose(x.dtype, x.shape, w.shape, *self.geometry):
            return winograd.conv2d(x, w, b, *self.geometry[1:3], m)
        return conv.conv2d(x, w, b, *self.geometry)

    def grad_x(self, gy: Any, w: Any) -> Any:
        return Conv2dInputGrad(self.geometry, self.x_shape).apply(gy, w)

    def grad_w(self, gy: Any, x: Any) -> Any:
        return Conv2dWeightGrad(self.geometry, self.w_shape).apply(gy, x)

    def grad_b(self, gy: Any) -> Any:
        return over_pixels(gy)


def over_pixels(gy: Any) -> Any:
    """Sum (N, O, OH, OW) to (O,): the gradient of a bias."""
    if type(gy) is not ndarray:
        return sum(gy, (0, 2, 3))
    n, o, oh, ow = gy.shape
    return channel_sum(gy.reshape(n, o, oh * ow))


class Conv2dInputGrad(Function):
    """gx = the form's derivative by x; also what a transposed convolution computes."""

    def __init__(self, geometry: Geometry, x_shape: Shape) -> None:
        self.geometry, self.x_shape = geometry, x_shape

    def forward(self, gy: ndarray, w: ndarray) -> ndarray:
        self.w_shape = w.shape
        if m := winograd.choose(gy.dtype, self.x_shape, w.shape, *self.geometry):
            return winograd.conv2d_input_grad(gy, w, self.x_shape, *self.geometry[1:3], m)
        return conv_input_grad.conv2d_input_grad(gy, w, self.x_shape, *self.geometry)

    def grad_gy(self, ggx: Any, w: Any) -> Any:
        return Conv2d(self.geometry).apply(ggx, w, None)

    def grad_w(self, ggx: Any, gy: Any) -> Any:
        return Conv2dWeightGrad(self.geometry, self.w_shape).apply(gy, ggx)


class Conv2dWeightGrad(Function):
    """gw = the form's derivative by w."""

    def __init__(self, geometry: Geometry, w_shape: Shape) -> None:
        self.geometry, self.w_shape = geometry, w_shape

    def forward(self, gy: ndarray, x: ndarray) -> ndarray:
        self.x_shape = x.shape
        return conv_weight_grad.conv2d_weight_grad(gy, x, self.w_shape, *self.geometry)

    def grad_gy(self, ggw: Any, x: Any) -> Any:
        return Conv2d(self.geometry).apply(x, ggw, None)

    def grad_x(self, ggw: Any, gy: Any) -> Any:
        return Conv2dInputGrad(self.geometry, self.x_shape).apply(gy, ggw)


def conv2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """Cross-correlate images with filters.

        y[n, o, i, j] = b[o] + sum over c, p, q of x[n, c, i*s + p*d - P, j*s + q*d - P] * w[o, c, p, q]

    With 3x3 filters and stride 1, float32 may be computed by Winograd's algorithm: see `tinygrad_cnn.set_winograd`.

    Args:
        input: (N, C, H, W) or one image (C, H, W); float32 or float64.
        weight: (O, C/groups, KH, KW), of the same dtype.
        bias: (O,) or None.
        stride: an int or (vertical, horizontal).
        padding: zeros around the image: an int, (vertical, horizontal), ((top, bottom), (left, right)), 'valid' (none),
            'same' (the output has the size of the input; stride 1; an odd pixel goes to the bottom and right), or
            'same_tf' (TensorFlow's SAME: OH = ceil(H/s), so the padding depends on H).
        dilation: the distance between the pixels that a filter reads: an int or (vertical, horizontal).
        groups: input and output channels are divided into this many groups that do not see each other.

    Returns:
        (N, O, OH, OW) with OH = (H + top + bottom - d*(KH - 1) - 1)//s + 1, or (O, OH, OW).

    Raises:
        ValueError: shapes that do not fit, with the formula and its numbers; inside `tinygrad_cnn.strict_sizes` also a
            stride that leaves pixels unread.
        TypeError: dtypes that differ or are not floats.

    >>> import numpy as np
    >>> conv2d(np.ones((8, 1, 28, 28)), np.ones((6, 1, 5, 5)), padding=2).shape
    (8, 6, 28, 28)
    """
    if len(x := array_shape("conv2d", input)) == 3:
        return reshape_batch(conv2d(reshape(input, (1, *x)), weight, bias, stride, padding, dilation, groups))
    geometry = checked_geometry(input, weight, bias, stride, padding, dilation, groups)
    return Conv2d(geometry).apply(input, weight, bias)


def checked_geometry(
    input: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: Any, op: str = "conv2d"
) -> Geometry:
    """Return the geometry of a convolution of (N, C, H, W), or raise an error that says what does not fit.

    ``op`` may be conv1d or conv3d too, whose geometry has one or three entries instead of pairs.
    """
    x, w, b = [v._data if isinstance(v, Variable) else v for v in (input, weight, bias)]
    same_float(op, input=x, weight=w, bias=b)
    shapes = shape_of(x), shape_of(w), None if b is None else shape_of(b)
    strict = sizes_are_strict.get()
    try:
        return _geometry_of(op, *shapes, stride, padding, dilation, groups, strict)
    except TypeError:  # a list, which the cache cannot hold, or an argument that is wrong
        return _geometry_of.__wrapped__(op, *shapes, stride, padding, dilation, groups, strict)


# A network asks the same questions at every step.
@lru_cache(maxsize=1024, typed=True)
def _geometry_of(
    op: str, x: Shape, w: Shape, b: Shape | None, stride: Any, padding: Any, dilation: Any, groups: Any, strict: bool
) -> Geometry:
    axes = int(op[-2])  # conv2d, conv_transpose2d
    letters, sizes = IMAGE[axes], FILTER[axes]
    if len(w) != axes + 2:
        raise ValueError(f"{place(op)}: weight must be (O, C/groups, {sizes}), got shape {w}")
    if len(x) != axes + 2:
        raise ValueError(f"{place(op)}: input must be (N, C, {letters}) or (C, {letters}), got shape {x}")
    geometry = conv_geometry(op, w[2:], stride, padding, dilation, groups, x[2:])
    if x[1] != w[1] * geometry.groups or w[0] % geometry.groups:
        reads = f"expects {w[1]}, its second size"
        if geometry.groups > 1:
            reads = (
                f"with groups={groups} reads {w[1]} x {groups} = {w[1] * groups} and makes {w[0]} maps, "
                "which groups must divide"
            )
        raise ValueError(f"{place(op)}: input {x} has {x[1]} channels, weight {w} {reads}")
    if b is not None and b != w[:1]:
        raise ValueError(f"{place(op)}: bias must have shape ({w[0]},) for weight {w}, got {b}")
    padded = (n + before + after for n, (before, after) in zip(x[2:], geometry.padding, strict=True))
    check_elements(op, (x[0], max(x[1], w[0]), *padded))
    for axis in zip(AXES[axes], x[2:], w[2:], *geometry[:3], strict=True):
        out_length(op, *axis)
        if strict:
            check_remainder(op, *axis)
    return geometry


def conv_geometry(
    op: str, size: Shape, stride: Any, padding: Any, dilation: Any, groups: Any, image: Shape = ()
) -> Geometry:
    """Return the geometry with an entry for each axis, or raise an error that names the argument."""
    axes = AXES[len(size)]
    for axis, length in zip(axes, size, strict=True):
        whole(op, f"kernel {axis}", length, 1)
    strides: Any = for_axes(op, "stride", stride, len(axes))
    dilations: Any = for_axes(op, "dilation", dilation, len(axes))
    extents = [d * (k - 1) + 1 for d, k in zip(dilations, size, strict=True)]
    around: Any
    if padding == "same":
        if any(step != 1 for step in strides):
            raise ValueError(
                f"{place(op)}: padding='same' needs stride 1, got {strides}; give the padding in pixels, or 'same_tf'"
            )
        around = tuple(map(same_padding, extents))
    elif padding == "same_tf":
        around = tuple(map(same_tf_padding, image, extents, strides))
    elif isinstance(padding, str) and padding != "valid":
        raise ValueError(f"{place(op)}: padding must be numbers, 'valid', 'same' or 'same_tf', got {padding!r}")
    else:
        around = padding_for_axes(op, 0 if isinstance(padding, str) else padding, len(axes))
    return Geometry(strides, around, dilations, whole(op, "groups", groups, 1))


def reshape_batch(y: Any) -> Any:
    """Take the batch axis of one image away again."""
    return reshape(y, y.shape[1:])
