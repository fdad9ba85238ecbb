"""Patches of images as columns, and back: two linear operations, each the adjoint of the other."""

from __future__ import annotations

import math
from typing import Any

from numpy import ndarray

from tinygrad_cnn.autograd import Function
from tinygrad_cnn.functional.conv import conv_geometry
from tinygrad_cnn.functional.linalg import same_float
from tinygrad_cnn.functional.shape import Shape, reshape, shape_of
from tinygrad_cnn.kernels import unfold as kernel
from tinygrad_cnn.kernels.geometry import AXES, Window, check_elements, check_remainder, for_axes
from tinygrad_cnn.state import place


class Unfold(Function):
    """A column for each window: what its taps see, channel by channel."""

    def __init__(self, window: Window) -> None:
        self.window = window

    def forward(self, x: ndarray) -> ndarray:
        self.x_shape = x.shape
        return kernel.unfold(x, self.window)

    def grad_x(self, gy: Any) -> Any:
        return Fold(self.window, self.x_shape).apply(gy)


class Fold(Function):
    """The sum of all columns, each added where `Unfold` would have read it."""

    def __init__(self, window: Window, x_shape: Shape) -> None:
        self.window, self.x_shape = window, x_shape

    def forward(self, columns: ndarray) -> ndarray:
        return kernel.fold(columns, self.x_shape, self.window)

    def grad_columns(self, gx: Any) -> Any:
        return Unfold(self.window).apply(gx)


def unfold(input: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """Return the patches that a window sees as columns (im2col), so that a convolution is a matrix product.

        y[n, (c*KH + p)*KW + q, i*OW + j] = x[n, c, i*SH + p*DH - top, j*SW + q*DW - left]

    Args:
        input: (N, C, H, W) or (C, H, W).
        kernel_size: an int or (KH, KW).
        dilation: the step from tap to tap.
        padding: zeros around the image: an int, (vertical, horizontal) or ((top, bottom), (left, right)).
        stride: the step from window to window.

    Returns:
        (N, C*KH*KW, OH*OW) or (C*KH*KW, OH*OW), OH as in `conv2d`.

    >>> import numpy as np
    >>> x, w = np.arange(9.0).reshape(1, 1, 3, 3), np.ones((1, 1, 2, 2))
    >>> w.reshape(1, 4) @ unfold(x, 2)
    array([[[ 8., 12., 20., 24.]]])
    """
    op, shape = "unfold", shape_of(input)
    same_float(op, input=input)
    if len(shape) == 3:
        y = unfold(reshape(input, 1, *shape), kernel_size, dilation, padding, stride)
        return reshape(y, y.shape[1:])
    if len(shape) != 4:
        raise ValueError(f"{place(op)}: input must be (N, C, H, W) or (C, H, W), got shape {shape}")
    window, out_size = _window(op, shape[2:], kernel_size, stride, padding, dilation)
    check_elements(op, (*shape[:2], *window.size, *out_size))
    return Unfold(window).apply(input)


def fold(input: Any, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """Add columns to the pixels of their patches (col2im): the adjoint of `unfold`, not its inverse.

    Args:
        input: (N, C*KH*KW, L) or (C*KH*KW, L), where L = OH*OW is the number of windows in the output.
        output_size: (H, W) of the image to be made, or one int for both.
        kernel_size: an int or (KH, KW), and the others as in `unfold`.
        dilation: the step from tap to tap.
        padding: rows and columns of the padded image that are cut off.
        stride: the step from window to window.

    Returns:
        (N, C, H, W) or (C, H, W). Where windows overlap, what they hold is added up.

    >>> import numpy as np
    >>> fold(unfold(np.ones((1, 1, 2, 3)), (2, 2)), (2, 3), (2, 2))
    array([[[[1., 2., 1.],
             [1., 2., 1.]]]])
    """
    op, shape = "fold", shape_of(input)
    same_float(op, input=input)
    if len(shape) == 2:
        y = fold(reshape(input, 1, *shape), output_size, kernel_size, dilation, padding, stride)
        return reshape(y, y.shape[1:])
    if len(shape) != 3:
        raise ValueError(f"{place(op)}: input must be (N, C*KH*KW, L) or (C*KH*KW, L), got shape {shape}")
    image = for_axes(op, "output_size", output_size, 2)
    window, out_size = _window(op, image, kernel_size, stride, padding, dilation)
    taps, windows = math.prod(window.size), math.prod(out_size)
    if shape[1] % taps or shape[2] != windows:
        raise ValueError(
            f"{place(op)}: an image of {image} with windows of {window.size} has {out_size[0]} x {out_size[1]} = "
            f"{windows} columns of C*{taps} values, got input {shape}"
        )
    return Fold(window, (shape[0], shape[1] // taps, *image)).apply(input)


def _window(op: str, image: Any, size: Any, stride: Any, padding: Any, dilation: Any) -> tuple[Window, Any]:
    taps: Any = for_axes(op, "kernel_size", size, 2)
    window = Window(taps, *conv_geometry(op, taps, stride, padding, dilation, 1, image)[:3])
    out_size = window.out_size(op, image)
    for axis in zip(AXES[2], image, *window, strict=True):
        check_remainder(op, *axis)
    return window, out_size
