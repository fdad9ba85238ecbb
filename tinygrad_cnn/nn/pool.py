"""Pooling layers: one number for each window of an image, as in `functional.pool`."""

from __future__ import annotations

from typing import Any

from tinygrad_cnn import functional as F
from tinygrad_cnn.kernels.geometry import Pair, pair, whole
from tinygrad_cnn.nn.module import Module


class MaxPool2d(Module):
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

    kernel_size: int | Pair
    stride: int | Pair
    padding: int | Pair
    dilation: int | Pair
    return_indices: bool
    ceil_mode: bool

    def __init__(
        self,
        kernel_size: int | Pair,
        stride: int | Pair | None = None,
        padding: int | Pair = 0,
        dilation: int | Pair = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        self.kernel_size, self.stride, self.padding = _checked_window("MaxPool2d", kernel_size, stride, padding)
        pair("MaxPool2d", "dilation", dilation)
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def forward(self, input: Any) -> Any:
        return F.max_pool2d(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices
        )

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, dilation={self.dilation}, "
            f"ceil_mode={self.ceil_mode}"
        )


class AvgPool2d(Module):
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

    kernel_size: int | Pair
    stride: int | Pair
    padding: int | Pair
    ceil_mode: bool
    count_include_pad: bool
    divisor_override: int | None

    def __init__(
        self,
        kernel_size: int | Pair,
        stride: int | Pair | None = None,
        padding: int | Pair = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        self.kernel_size, self.stride, self.padding = _checked_window("AvgPool2d", kernel_size, stride, padding)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: Any) -> Any:
        return F.avg_pool2d(
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


class AdaptiveAvgPool2d(Module):
    """The means of a grid of windows that covers the image, whatever its size; see `functional.adaptive_avg_pool2d`.

    Args:
        output_size: (OH, OW) or one int for both; None keeps the size of the image.

    >>> import numpy as np
    >>> AdaptiveAvgPool2d(1)(np.arange(8.0).reshape(1, 1, 2, 4))
    array([[[[3.5]]]])
    """

    output_size: int | tuple[int | None, int | None] | None

    def __init__(self, output_size: int | tuple[int | None, int | None] | None) -> None:
        for size in output_size if isinstance(output_size, (tuple, list)) else (output_size,):
            if size is not None:
                whole("AdaptiveAvgPool2d", "output_size", size, 1)
        self.output_size = output_size

    def forward(self, input: Any) -> Any:
        return F.adaptive_avg_pool2d(input, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


def _checked_window(op: str, kernel_size: Any, stride: Any, padding: Any) -> tuple[Any, Any, Any]:
    """Return the three as they are, the stride filled in, or raise where one is no int or pair of ints."""
    stride = kernel_size if stride is None else stride
    sizes = pair(op, "kernel_size", kernel_size)
    pair(op, "stride", stride)
    for size, margin, axis in zip(sizes, pair(op, "padding", padding, 0), ("height", "width"), strict=True):
        if 2 * margin > size:
            raise ValueError(
                f"{op}: padding must be at most half the window, got padding {margin} for a window of {axis} {size}"
            )
    return kernel_size, stride, padding
