"""Convolution of signals and of volumes, by the convolution of images.

A signal is an image of height 1. In a volume the taps along the depth become channels: `Unfold` along one axis copies
KD slices for each slice of the result, and one convolution of images does the rest, in all orders of gradients.
"""

from __future__ import annotations

from typing import Any

from tinygrad_cnn.functional.conv import Conv2d, Geometry, checked_geometry, reshape_batch
from tinygrad_cnn.functional.shape import array_shape, permute, reshape, shape_of
from tinygrad_cnn.functional.unfold import Unfold
from tinygrad_cnn.kernels.geometry import Window


def conv1d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Any:
    """Cross-correlate signals with filters.

        y[n, o, i] = b[o] + sum over c, p of x[n, c, i*s + p*d - P] * w[o, c, p]

    Args:
        input: (N, C, L) or (C, L).
        weight: (O, C/groups, K).
        bias: (O,) or None.
        stride: the step of the filter.
        padding: zeros on both sides, ((before, after),), 'valid', 'same' or 'same_tf', as in `conv2d`.
        dilation: the distance between taps.
        groups: as in `conv2d`.

    Returns:
        (N, O, OL) with OL = (L + before + after - d*(K - 1) - 1)//s + 1, or (O, OL).

    >>> import numpy as np
    >>> conv1d(np.array([[[1.0, 2.0, 4.0, 8.0]]]), np.array([[[-1.0, 1.0]]]))
    array([[[1., 2., 4.]]])
    """
    if len(x := array_shape("conv1d", input)) == 2:
        return reshape_batch(conv1d(reshape(input, 1, *x), weight, bias, stride, padding, dilation, groups))
    geometry = checked_geometry(input, weight, bias, stride, padding, dilation, groups, "conv1d")
    w = shape_of(weight)
    y = Conv2d(plane(geometry)).apply(reshape(input, *x[:2], 1, x[2]), reshape(weight, *w[:2], 1, w[2]), bias)
    return reshape(y, *y.shape[:2], y.shape[3])


def conv3d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Any:
    """Cross-correlate volumes with filters: `conv2d` with one axis more.

    Args:
        input: (N, C, D, H, W) or (C, D, H, W).
        weight: (O, C/groups, KD, KH, KW).
        bias: (O,) or None.
        stride: an int or (depth, height, width).
        padding: an int, (depth, height, width), a pair (before, after) for each axis, 'valid', 'same' or 'same_tf'.
        dilation: an int or (depth, height, width).
        groups: as in `conv2d`.

    Returns:
        (N, O, OD, OH, OW) or (O, OD, OH, OW).

    >>> import numpy as np
    >>> conv3d(np.ones((2, 1, 5, 6, 7)), np.ones((4, 1, 3, 3, 3)), padding=(1, 0, 0)).shape
    (2, 4, 5, 4, 5)
    """
    if len(x := array_shape("conv3d", input)) == 4:
        return reshape_batch(conv3d(reshape(input, 1, *x), weight, bias, stride, padding, dilation, groups))
    geometry = checked_geometry(input, weight, bias, stride, padding, dilation, groups, "conv3d")
    N, C, D, H, W = x
    O, CG, KD, KH, KW = shape_of(weight)
    window = depth(KD, geometry)
    OD = window.out_size("conv3d", (D, H * W))[0]
    slices = reshape(Unfold(window).apply(reshape(input, N, C, D, H * W)), N, C * KD, OD, H, W)
    images = reshape(permute(slices, 0, 2, 1, 3, 4), N * OD, C * KD, H, W)
    y = Conv2d(plane(geometry)).apply(images, reshape(weight, O, CG * KD, KH, KW), bias)
    return permute(reshape(y, N, OD, *y.shape[1:]), 0, 2, 1, 3, 4)


def plane(geometry: Geometry) -> Geometry:
    """Return the last two axes of a geometry; before that of a signal comes an axis of length 1."""
    stride, padding, dilation, groups = geometry
    around: Any = ((0, 0), *padding)[-2:]
    return Geometry((1, *stride)[-2:], around, (1, *dilation)[-2:], groups)


def depth(size: int, geometry: Geometry) -> Window:
    """Return the window along the first axis alone, for volumes that are seen as images (D, H*W)."""
    return Window((size, 1), (geometry.stride[0], 1), (geometry.padding[0], (0, 0)), (geometry.dilation[0], 1))
