"""Pooling layers: one number for each window of an image, as in `functional.pool`."""

from __future__ import annotations

from typing import Any

from tinygrad_cnn import functional as F
from tinygrad_cnn.kernels.geometry import AXES, for_axes
from tinygrad_cnn.nn.module import Module


class MaxPoolNd(Module):
    """What maximum pooling along 1, 2 or 3 axes shares."""

    axes: int

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        op = type(self).__name__
        self.kernel_size, self.stride, self.padding = checked_window(op, self.axes, kernel_size, stride, padding)
        for_axes(op, "dilation", dilation, self.axes)
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def forward(self, input: Any) -> Any:
        pool = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[self.axes - 1]
        return pool(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices
        )

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, dilation={self.dilation}, "
            f"ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(MaxPoolNd):
    """The largest number of each window of a signal; see `MaxPool2d`."""

    axes = 1


class MaxPool2d(MaxPoolNd):
    """The largest number of each window; see `functional.max_pool2d`.

    Args:
        kernel_size: the window, an int or (height, width).
        stride: the step of the window; ``kernel_size`` where None.
        padding: -inf around the image, at most half the window.
        dilation: the distance between the pixels of a window.
        return_indices: also return where in the plane each maximum stands.
        ceil_mode: let the last window hang over the edge.

    >>> import numpy as np
    >>> MaxPool2d(2)(np.arange(8.0).reshape(1, 1, 2, 4))
    array([[[[5., 7.]]]])
    """

    axes = 2


class MaxPool3d(MaxPoolNd):
    """The largest number of each window of a volume; see `MaxPool2d`."""

    axes = 3


class AvgPool1d(Module):
    """The mean of each window of a signal; see `AvgPool2d`.

    >>> import numpy as np
    >>> AvgPool1d(2)(np.arange(4.0).reshape(1, 4))
    array([[0.5, 2.5]])
    """

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        window = checked_window("AvgPool1d", 1, kernel_size, stride, padding)
        self.kernel_size, self.stride, self.padding = (for_axes("AvgPool1d", "window", n, 1, 0) for n in window)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, input: Any) -> Any:
        return F.avg_pool1d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPoolNd(Module):
    """What average pooling along 2 or 3 axes shares."""

    axes: int

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        window = checked_window(type(self).__name__, self.axes, kernel_size, stride, padding)
        self.kernel_size, self.stride, self.padding = window
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: Any) -> Any:
        return (F.avg_pool2d, F.avg_pool3d)[self.axes - 2](
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool2d(AvgPoolNd):
    """The mean of each window; see `functional.avg_pool2d`.

    Args:
        kernel_size: the window, an int or (height, width).
        stride: the step of the window; ``kernel_size`` where None.
        padding: zeros around the image, at most half the window.
        ceil_mode: let the last window hang over the edge.
        count_include_pad: whether the zeros of the padding count in the mean.
        divisor_override: divide by this instead of the number of pixels.

    >>> import numpy as np
    >>> AvgPool2d(2)(np.arange(8.0).reshape(1, 1, 2, 4))
    array([[[[2.5, 4.5]]]])
    """

    axes = 2


class AvgPool3d(AvgPoolNd):
    """The mean of each window of a volume; see `AvgPool2d`."""

    axes = 3


class LPPool1d(Module):
    """The p-norm of each window of a signal; see `functional.lp_pool2d`.

    >>> LPPool1d(2, 3, stride=2)
    LPPool1d(norm_type=2, kernel_size=3, stride=2, ceil_mode=False)
    """

    axes = 1

    def __init__(self, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> None:
        checked_window(type(self).__name__, self.axes, kernel_size, stride, 0)
        self.norm_type, self.kernel_size, self.stride, self.ceil_mode = norm_type, kernel_size, stride, ceil_mode

    def forward(self, input: Any) -> Any:
        pool = (F.lp_pool1d, F.lp_pool2d)[self.axes - 1]
        return pool(input, self.norm_type, self.kernel_size, self.stride, self.ceil_mode)

    def extra_repr(self) -> str:
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


class LPPool2d(LPPool1d):
    """The p-norm of each window of an image; see `functional.lp_pool2d`."""

    axes = 2


def checked_window(op: str, axes: int, kernel_size: Any, stride: Any, padding: Any) -> tuple[Any, Any, Any]:
    """Return the three as they are, the stride filled in, or raise where one does not fit the axes."""
    stride = kernel_size if stride is None else stride
    sizes = for_axes(op, "kernel_size", kernel_size, axes)
    for_axes(op, "stride", stride, axes)
    for size, margin, axis in zip(sizes, for_axes(op, "padding", padding, axes, 0), AXES[axes], strict=True):
        if 2 * margin > size:
            raise ValueError(
                f"{op}: padding must be at most half the window, got padding {margin} for a window of {axis} {size}"
            )
    return kernel_size, stride, padding
