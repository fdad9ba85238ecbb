"""Patches of images as columns (im2col) and back (col2im): what a convolution would need as a matrix product.

Row (c, p, q) of the columns is channel c as tap (p, q) of the window sees it, window by window: copies of parts of
image rows, zeros where the window lies on the padding. Back, the same parts are added.
"""

from __future__ import annotations

from math import prod

import numpy as np
from numpy import ndarray

from tinygrad_cnn.kernels import buffers
from tinygrad_cnn.kernels.compile import kernel
from tinygrad_cnn.kernels.geometry import Window
from tinygrad_cnn.kernels.threads import split

Shape = tuple[int, ...]


@kernel
def _unfold(
    x: ndarray, y: ndarray, sh: int, sw: int, top: int, left: int, dh: int, dw: int, start: int, stop: int
) -> None:
    _, height, width = x.shape
    _, kh, kw, oh, ow = y.shape
    for plane in range(start, stop):
        for p in range(kh):
            for q in range(kw):
                first = q * dw - left
                begin = min(ow, max(0, -(first // sw)))  # the windows from begin to end see the image
                end = max(begin, min(ow, (width - 1 - first) // sw + 1))
                for i in range(oh):
                    h, columns = i * sh + p * dh - top, y[plane, p, q, i]
                    if not 0 <= h < height:
                        columns[:] = 0
                        continue
                    columns[:begin] = 0
                    columns[end:] = 0
                    pixels = x[plane, h]
                    for j in range(begin, end):
                        columns[j] = pixels[first + j * sw]


@kernel(writes="x")
def _fold(
    y: ndarray, x: ndarray, sh: int, sw: int, top: int, left: int, dh: int, dw: int, start: int, stop: int
) -> None:
    _, height, width = x.shape
    _, kh, kw, oh, ow = y.shape
    for plane in range(start, stop):
        x[plane] = 0
        for p in range(kh):
            for q in range(kw):
                first = q * dw - left
                begin = min(ow, max(0, -(first // sw)))
                end = max(begin, min(ow, (width - 1 - first) // sw + 1))
                for i in range(oh):
                    h, columns = i * sh + p * dh - top, y[plane, p, q, i]
                    if not 0 <= h < height:
                        continue
                    pixels = x[plane, h]
                    for j in range(begin, end):
                        pixels[first + j * sw] += columns[j]


def unfold(x: ndarray, window: Window) -> ndarray:
    """Return the patches of x (N, C, H, W) as columns (N, C*KH*KW, OH*OW).

    >>> unfold(np.arange(4.0).reshape(1, 1, 1, 4), Window((1, 2), (1, 1), ((0, 0), (0, 1)), (1, 1)))
    array([[[0., 1., 2., 3.],
            [1., 2., 3., 0.]]])
    """
    n, c, height, width = x.shape
    out_size = window.out_size("unfold", (height, width))
    y = buffers.empty((n, c * prod(window.size), prod(out_size)), x.dtype)
    planes = np.ascontiguousarray(x).reshape(n * c, height, width)
    split(_unfold, n * c, planes, y.reshape(n * c, *window.size, *out_size), *_steps(window), work=y.size)
    return y


def fold(y: ndarray, x_shape: Shape, window: Window) -> ndarray:
    """Add every column of y (N, C*KH*KW, OH*OW) to the pixels of its patch in an image of zeros (N, C, H, W).

    >>> fold(np.ones((1, 2, 3)), (1, 1, 1, 4), Window((1, 2), (1, 1), ((0, 0), (0, 0)), (1, 1)))
    array([[[[1., 2., 2., 1.]]]])
    """
    n, c, height, width = x_shape
    out_size = window.out_size("fold", (height, width))
    x = buffers.empty(x_shape, y.dtype)
    columns = np.ascontiguousarray(y).reshape(n * c, *window.size, *out_size)
    split(_fold, n * c, columns, x.reshape(n * c, height, width), *_steps(window), work=y.size)
    return x


def _steps(window: Window) -> tuple[int, ...]:
    (top, _), (left, _) = window.padding
    return *window.stride, top, left, *window.dilation
