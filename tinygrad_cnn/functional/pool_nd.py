"""Pooling of signals and of volumes, by the pooling of images.

A signal is an image of height 1. A volume is pooled slice by slice, then along the depth as an image (D, OH*OW). That
is exact: a maximum of maxima, in the same order where several are equal, and an average of averages.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_cnn.functional.pool import AdaptiveAvgPool2d, AvgPool2d, MaxPool2d, bins, images, like, windows
from tinygrad_cnn.functional.shape import reshape
from tinygrad_cnn.kernels.geometry import Window, whole
from tinygrad_cnn.kernels.pool import pixel_index


def max_pool1d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Return the maximum of each window of (N, C, L) or (C, L); the arguments are those of `max_pool2d`.

    >>> import numpy as np
    >>> max_pool1d(np.array([[[1.0, 4.0, 2.0, 3.0]]]), 2, return_indices=True)
    (array([[[4., 3.]]]), array([[[1, 3]]]))
    """
    return _max("max_pool1d", 1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool3d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Return the maximum of each window of (N, C, D, H, W) or (C, D, H, W); the arguments are those of `max_pool2d`.

    Indices are (d*H + h)*W + w.

    >>> import numpy as np
    >>> max_pool3d(np.arange(24.0).reshape(1, 2, 3, 4), (2, 3, 2))
    array([[[[21., 23.]]]])
    """
    return _max("max_pool3d", 3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def avg_pool1d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:
    """Return the average of each window of (N, C, L) or (C, L); the arguments are those of `avg_pool2d`.

    >>> import numpy as np
    >>> avg_pool1d(np.arange(7.0).reshape(1, 7), 2, 3, ceil_mode=True)
    array([[0.5, 3.5, 6. ]])
    """
    return _average("avg_pool1d", 1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


def avg_pool3d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """Return the average of each window of (N, C, D, H, W) or (C, D, H, W); the arguments are those of `avg_pool2d`.

    >>> import numpy as np
    >>> avg_pool3d(np.arange(24.0).reshape(1, 2, 3, 4), (2, 3, 2))
    array([[[[10.5, 12.5]]]])
    """
    return _average(
        "avg_pool3d", 3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


def adaptive_avg_pool1d(input: Any, output_size: Any) -> Any:
    """Return the means of bins that cover (N, C, L) or (C, L); see `adaptive_avg_pool2d`.

    >>> import numpy as np
    >>> adaptive_avg_pool1d(np.arange(5.0).reshape(1, 5), 3)
    array([[0.5, 2. , 3.5]])
    """
    x = images("adaptive_avg_pool1d", input, 1)
    out = bins("adaptive_avg_pool1d", x, output_size)
    return like(input, _on_plane(AdaptiveAvgPool2d((1, *out)), x, out))


def adaptive_avg_pool3d(input: Any, output_size: Any) -> Any:
    """Return the means of bins that cover (N, C, D, H, W) or (C, D, H, W); see `adaptive_avg_pool2d`.

    >>> import numpy as np
    >>> adaptive_avg_pool3d(np.arange(24.0).reshape(1, 2, 3, 4), (1, None, 2)).shape
    (1, 1, 3, 2)
    """
    x = images("adaptive_avg_pool3d", input, 3)
    out = bins("adaptive_avg_pool3d", x, output_size)
    y = _on_plane(AdaptiveAvgPool2d(out[1:]), x, out)
    return like(input, along_depth(AdaptiveAvgPool2d((out[0], out[1] * out[2])), y, out[0]))


def _max(
    op: str, axes: int, input: Any, size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool, indices: bool
) -> Any:
    x = images(op, input, axes)
    window, out = windows(op, x.shape[2:], size, stride, padding, dilation, ceil_mode)
    function = MaxPool2d(_plane(window), (1, *out)[-2:])
    y = _on_plane(function, x, out)
    along = MaxPool2d(_depth(window), (out[0], out[-2] * out[-1])) if axes == 3 else None
    if along:
        y = along_depth(along, y, out[0])
    if not indices:
        return like(input, y)
    index = pixel_index(function.index, (*x.shape[:2], 1, *x.shape[2:])[-4:])
    index = in_volume(along.index, index, x.shape) if along else index.reshape(y.shape)
    return like(input, y), like(input, index if type(y) is ndarray else y.wrap(index))


def in_volume(chosen: ndarray, index: ndarray, x_shape: tuple[int, ...]) -> ndarray:
    """Return (d*H + h)*W + w, given the (d, oh*OW + ow) chosen along the depth and the index in each slice."""
    n, c, depth, height, width = x_shape
    *_, rows, columns = index.shape
    out = chosen.shape[2]
    chosen = chosen.reshape(n, c, out * rows * columns)
    within = np.take_along_axis(index.reshape(n, c, depth * rows * columns), chosen, 2)
    return (chosen // (rows * columns) * (height * width) + within).reshape(n, c, out, rows, columns)


def _average(
    op: str, axes: int, input: Any, size: Any, stride: Any, padding: Any, ceil_mode: bool, include: bool, divisor: Any
) -> Any:
    x = images(op, input, axes)
    window, out = windows(op, x.shape[2:], size, stride, padding, 1, ceil_mode)
    total = 0 if divisor is None else whole(op, "divisor_override", divisor, 1)
    y = _on_plane(AvgPool2d(_plane(window), (1, *out)[-2:], bool(include), total), x, out)
    if axes == 3:
        along = AvgPool2d(_depth(window), (out[0], out[-2] * out[-1]), bool(include), min(total, 1))
        y = along_depth(along, y, out[0])
    return like(input, y)


def _plane(window: Window) -> Window:
    """Return the last two axes; before that of a signal comes an axis of length 1."""
    size, stride, padding, dilation = window
    around: Any = ((0, 0), *padding)[-2:]
    return Window((1, *size)[-2:], (1, *stride)[-2:], around, (1, *dilation)[-2:])


def _depth(window: Window) -> Window:
    size, stride, padding, dilation = window
    return Window((size[0], 1), (stride[0], 1), (padding[0], (0, 0)), (dilation[0], 1))


def _on_plane(function: Any, x: Any, out: Any) -> Any:
    """Apply a pooling to the last two axes of (N, C, D, H, W), or to (N, C, L) as images of height 1."""
    n, c, *image = x.shape
    slices = 1 if len(image) == 1 else image[0]
    y = function.apply(reshape(x, n, c * slices, *(1, *image)[-2:]))
    return reshape(y, n, c, *(image[:1] if len(image) == 3 else ()), *out[-2:])


def along_depth(function: Any, x: Any, out: int) -> Any:
    """Apply a pooling of images (D, H*W) to (N, C, D, H, W)."""
    n, c, depth, height, width = x.shape
    return reshape(function.apply(reshape(x, n, c, depth, height * width)), n, c, out, height, width)
