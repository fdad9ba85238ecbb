"""Pooling: each window of pixels becomes one number. The gradient of each operation is its adjoint, and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from numpy import ndarray

from tinygrad_cnn.autograd import Function
from tinygrad_cnn.functional.conv import IMAGE
from tinygrad_cnn.functional.linalg import same_float
from tinygrad_cnn.functional.shape import reshape, shape_of
from tinygrad_cnn.kernels import pool as kernel
from tinygrad_cnn.kernels.geometry import (
    AXES,
    Pair,
    Window,
    check_elements,
    check_remainder,
    for_axes,
    out_length,
    whole,
)
from tinygrad_cnn.state import place


class MaxPool2d(Function):
    """The maximum of each window; ``index`` remembers its place."""

    keeps = ("index",)

    def __init__(self, window: Window, out_size: Pair) -> None:
        self.window, self.out_size = window, out_size

    def forward(self, x: ndarray) -> ndarray:
        self.x_shape = x.shape
        y, self.index = kernel.max_pool2d(x, self.window, self.out_size)
        return y

    def grad_x(self, gy: Any) -> Any:
        return MaxPoolScatter(self.index, self.x_shape).apply(gy)


class MaxPoolScatter(Function):
    """Zeros of ``x_shape`` with each gy added at its index."""

    keeps = ("index",)

    def __init__(self, index: ndarray, x_shape: kernel.Shape) -> None:
        self.index, self.x_shape = index, x_shape

    def forward(self, gy: ndarray) -> ndarray:
        return kernel.max_pool2d_grad(gy, self.index, self.x_shape)

    def grad_gy(self, ggx: Any) -> Any:
        return MaxPoolGather(self.index, self.x_shape).apply(ggx)


class MaxPoolGather(Function):
    """The pixel at each index: what max pooling is near an image whose maxima stand there."""

    keeps = ("index",)

    def __init__(self, index: ndarray, x_shape: kernel.Shape) -> None:
        self.index, self.x_shape = index, x_shape

    def forward(self, ggx: ndarray) -> ndarray:
        return kernel.max_pool2d_gather(ggx, self.index)

    def grad_ggx(self, gy: Any) -> Any:
        return MaxPoolScatter(self.index, self.x_shape).apply(gy)


class AvgPool2d(Function):
    """The sum of each window over its divisor."""

    def __init__(self, window: Window, out_size: Pair, count_include_pad: bool, divisor: int) -> None:
        self.window, self.out_size = window, out_size
        self.count_include_pad, self.divisor = count_include_pad, divisor  # divisor 0: what each window holds

    def forward(self, x: ndarray) -> ndarray:
        self.x_shape = x.shape
        return kernel.avg_pool2d(x, self.window, self.out_size, self.count_include_pad, self.divisor)

    def grad_x(self, gy: Any) -> Any:
        return AvgPool2dGrad(self.window, self.x_shape, self.count_include_pad, self.divisor).apply(gy)


class AvgPool2dGrad(Function):
    """Each gy over its divisor, added to every pixel of its window."""

    def __init__(self, window: Window, x_shape: kernel.Shape, count_include_pad: bool, divisor: int) -> None:
        self.window, self.x_shape = window, x_shape
        self.count_include_pad, self.divisor = count_include_pad, divisor

    def forward(self, gy: ndarray) -> ndarray:
        self.out_size = gy.shape[2:]
        return kernel.avg_pool2d_grad(gy, self.window, self.x_shape, self.count_include_pad, self.divisor)

    def grad_gy(self, ggx: Any) -> Any:
        return AvgPool2d(self.window, self.out_size, self.count_include_pad, self.divisor).apply(ggx)


class AdaptiveAvgPool2d(Function):
    """The mean of each of OH x OW bins."""

    def __init__(self, out_size: Pair) -> None:
        self.out_size = out_size

    def forward(self, x: ndarray) -> ndarray:
        self.x_shape = x.shape
        return kernel.adaptive_avg_pool2d(x, self.out_size)

    def grad_x(self, gy: Any) -> Any:
        return AdaptiveAvgPool2dGrad(self.x_shape).apply(gy)


class AdaptiveAvgPool2dGrad(Function):
    """Each gy over the size of its bin, added to every pixel of the bin."""

    def __init__(self, x_shape: kernel.Shape) -> None:
        self.x_shape = x_shape

    def forward(self, gy: ndarray) -> ndarray:
        self.out_size = gy.shape[2:]
        return kernel.adaptive_avg_pool2d_grad(gy, self.x_shape)

    def grad_gy(self, ggx: Any) -> Any:
        return AdaptiveAvgPool2d(self.out_size).apply(ggx)


def max_pool2d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Return the maximum of each window.

        y[n, c, i, j] = max over p, q of x[n, c, i*SH + p*DH - PH, j*SW + q*DW - PW]

    Padding never wins, NaN always does. Of equal maxima the first in row-major order receives the whole gradient.

    Args:
        input: (N, C, H, W) or (C, H, W).
        kernel_size: an int or (KH, KW), like all sizes here.
        stride: the step from window to window; ``kernel_size`` where None.
        padding: at most half of the window.
        dilation: the step from tap to tap in a window.
        ceil_mode: count a last window that hangs over the edge too, if it starts inside the image or its first padding.
        return_indices: return (y, indices), where indices are h*W + w of the maxima in the unpadded image.

    Returns:
        (N, C, OH, OW), or (C, OH, OW); OH = (H + 2*PH - DH*(KH - 1) - 1) // SH + 1.

    >>> import numpy as np
    >>> max_pool2d(np.arange(12.0).reshape(1, 3, 4), 2)
    array([[[5., 7.]]])
    """
    op = "max_pool2d"
    x = images(op, input)
    window, out_size = windows(op, x.shape[2:], kernel_size, stride, padding, dilation, ceil_mode)
    function = MaxPool2d(window, out_size)
    y = like(input, function.apply(x))
    if not return_indices:
        return y
    index = kernel.pixel_index(function.index, x.shape).reshape(y.shape)
    return y, index if type(y) is ndarray else y.wrap(index)


def avg_pool2d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """Return the average of each window.

    Args:
        input: (N, C, H, W) or (C, H, W).
        kernel_size: an int or (KH, KW), like all sizes here.
        stride: the step from window to window; ``kernel_size`` where None.
        padding: zeros around the image, at most half of the window.
        ceil_mode: as in `max_pool2d`; what hangs over the padding is never counted.
        count_include_pad: divide by the size of the window, zeros of the padding included; else by its pixels.
        divisor_override: divide every window by this.

    Returns:
        (N, C, OH, OW), or (C, OH, OW); OH = (H + 2*PH - KH) // SH + 1.

    >>> import numpy as np
    >>> avg_pool2d(np.arange(12.0).reshape(1, 3, 4), (3, 2))
    array([[[4.5, 6.5]]])
    """
    op = "avg_pool2d"
    x = images(op, input)
    window, out_size = windows(op, x.shape[2:], kernel_size, stride, padding, 1, ceil_mode)
    divisor = 0
    if divisor_override is not None:
        divisor = whole(op, "divisor_override", divisor_override, 1)
    return like(input, AvgPool2d(window, out_size, bool(count_include_pad), divisor).apply(x))


def adaptive_avg_pool2d(input: Any, output_size: Any) -> Any:
    """Return the means of OH x OW bins that cover an image of any size.

    Bin i holds the rows from i*H // OH up to ceil((i + 1)*H / OH), columns alike: where OH does not divide H,
    neighbours share a row.

    Args:
        input: (N, C, H, W) or (C, H, W).
        output_size: an int or (OH, OW); None keeps the size of its axis.

    Returns:
        (N, C, OH, OW) or (C, OH, OW).

    >>> import numpy as np
    >>> adaptive_avg_pool2d(np.arange(10.0).reshape(1, 2, 5), (None, 3))
    array([[[0.5, 2. , 3.5],
            [5.5, 7. , 8.5]]])
    """
    op = "adaptive_avg_pool2d"
    x = images(op, input)
    return like(input, AdaptiveAvgPool2d(bins(op, x, output_size)).apply(x))


def images(op: str, input: Any, axes: int = 2) -> Any:
    """Return the input as (N, C, H, W), or with 1 or 3 axes behind (N, C)."""
    same_float(op, input=input)
    shape = shape_of(input)
    if len(shape) not in (axes + 1, axes + 2) or 0 in shape[-axes:]:
        letters = IMAGE[axes]
        raise ValueError(
            f"{place(op)}: needs images of shape (N, C, {letters}) or (C, {letters}) with at least one pixel, got "
            f"{shape}"
        )
    return input if len(shape) == axes + 2 else reshape(input, 1, *shape)


def like(input: Any, y: Any) -> Any:
    """Drop the batch axis that `images` added."""
    return y if len(input.shape) == len(y.shape) else reshape(y, *y.shape[1:])


def bins(op: str, x: Any, output_size: Any) -> Any:
    """Return how many adaptive bins each axis of (N, C, ...) has; None keeps its size."""
    image = x.shape[2:]
    sizes = tuple(output_size) if isinstance(output_size, Iterable) else (output_size,) * len(image)
    if len(sizes) == len(image):
        sizes = tuple(n if size is None else size for n, size in zip(image, sizes, strict=True))
    out_size = for_axes(op, "output_size", sizes, len(image))
    check_elements(op, (*x.shape[:2], *out_size))
    return out_size


def windows(
    op: str, image: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> tuple[Any, Any]:
    """Return the window, with an entry for each axis of the image, and how many of them there are along each."""
    axes = AXES[len(image)]
    size: Any = for_axes(op, "kernel_size", kernel_size, len(axes))
    steps: Any = size if stride is None else for_axes(op, "stride", stride, len(axes))
    around: Any = tuple((n, n) for n in for_axes(op, "padding", padding, len(axes), 0))
    window = Window(size, steps, around, for_axes(op, "dilation", dilation, len(axes)))  # type: ignore[arg-type]
    out_size = []
    for axis, length, k, s, p, d in zip(axes, image, *window, strict=True):
        extent = d * (k - 1) + 1
        if 2 * p[0] > extent:
            raise ValueError(
                f"{place(op)}: padding may be at most half of the window, or a window could lie outside of the image: "
                f"along the {axis} padding {p[0]} > {extent} // 2, where dilation*(size - 1) + 1 = {extent}"
            )
        out_size.append(out_length(op, axis, length, k, s, p, d, ceil_mode))
        if not ceil_mode:
            check_remainder(op, axis, length, k, s, p, d)
        if d > 1:
            _check_taps(op, axis, length, out_size[-1], k, s, p[0], d)
    return window, tuple(out_size)


def _check_taps(op: str, axis: str, length: int, out: int, size: int, stride: int, before: int, step: int) -> None:
    """Raise where all taps of a dilated window fall beside the image: such a window has no maximum."""
    span = step * (size - 1) + 1
    for start in range(-before, out * stride - before, stride):
        inside = start if start >= 0 else start % step  # the first tap that is not left of the image
        if inside >= min(length, start + span):
            raise ValueError(
                f"{place(op)}: a window sees no pixel: along the {axis} (size {length}) it reads every {step}. "
                f"position from {start} to {start + span - 1}. Use less dilation ({step}), padding ({before}) or "
                f"stride ({stride})"
            )
