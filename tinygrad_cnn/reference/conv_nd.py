"""Convolution along any number of axes, its transpose, and patches as columns: one loop over windows and taps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tinygrad_cnn.kernels.geometry import Window
from tinygrad_cnn.reference.precision import in_float64

Shape = tuple[int, ...]


@in_float64
def conv_nd(
    x: np.ndarray,
    w: np.ndarray,
    b: np.ndarray | None,
    stride: Sequence[int],
    padding: Sequence[tuple[int, int]],
    dilation: Sequence[int],
    groups: int,
) -> np.ndarray:
    """Cross-correlate x (N, C, ...) with filters w (O, C/groups, ...) along all axes after the second.

    >>> conv_nd(np.array([[[1.0, 2.0, 4.0]]]), np.array([[[-1.0, 1.0]]]), None, [1], [(0, 1)], [1], 1)
    array([[[ 1.,  2., -4.]]])
    """
    image, kernel = x.shape[2:], w.shape[2:]
    out = tuple(
        (n + sum(p) - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(image, kernel, stride, padding, dilation, strict=True)
    )
    y = np.zeros((len(x), len(w), *out))
    grouped = x.reshape(len(x), groups, -1, *image)
    filters = w.reshape(groups, -1, *w.shape[1:])
    for at, tap, pixel in _meetings(out, kernel, image, stride, padding, dilation):
        seen = np.einsum("ngc,goc->ngo", grouped[(..., *pixel)], filters[(..., *tap)])
        y[(..., *at)] += seen.reshape(len(x), len(w))
    return y if b is None else y + b.reshape(-1, *[1] * len(out))


@in_float64
def conv_transpose_nd(
    x: np.ndarray,
    w: np.ndarray,
    b: np.ndarray | None,
    stride: Sequence[int],
    padding: Sequence[tuple[int, int]],
    output_padding: Sequence[int],
    groups: int,
    dilation: Sequence[int],
) -> np.ndarray:
    """Let every pixel of x (N, C, ...) add the filters w (C, O/groups, ...), scaled by it, to the result.

    >>> conv_transpose_nd(np.array([[[1.0, 10.0]]]), np.ones((1, 1, 3)), None, [2], [(0, 0)], [0], 1, [1])
    array([[[ 1.,  1., 11., 10., 10.]]])
    """
    size, kernel = x.shape[2:], w.shape[2:]
    out = tuple(
        (n - 1) * s - sum(p) + d * (k - 1) + e + 1
        for n, k, s, p, e, d in zip(size, kernel, stride, padding, output_padding, dilation, strict=True)
    )
    O = w.shape[1] * groups
    y = np.zeros((len(x), O, *out))
    grouped = x.reshape(len(x), groups, -1, *size)
    filters = w.reshape(groups, -1, *w.shape[1:])
    for at, tap, pixel in _meetings(size, kernel, out, stride, padding, dilation):
        added = np.einsum("ngc,gco->ngo", grouped[(..., *at)], filters[(..., *tap)])
        y[(..., *pixel)] += added.reshape(len(x), O)
    return y if b is None else y + b.reshape(-1, *[1] * len(out))


@in_float64
def unfold(x: np.ndarray, window: Window) -> np.ndarray:
    """Return the patches of x (N, C, H, W) as columns (N, C*KH*KW, OH*OW).

        y[n, (c*KH + p)*KW + q, i*OW + j] = x[n, c, i*SH + p*DH - top, j*SW + q*DW - left]

    >>> unfold(np.arange(4.0).reshape(1, 1, 1, 4), Window((1, 2), (1, 1), ((0, 0), (0, 1)), (1, 1)))
    array([[[0., 1., 2., 3.],
            [1., 2., 3., 0.]]])
    """
    (N, C, H, W), size = x.shape, window.size
    out = window.out_size("unfold", (H, W))
    y = np.zeros((N, C, *size, *out))
    for at, tap, pixel in _meetings(out, size, (H, W), *window[1:]):
        y[(..., *tap, *at)] = x[(..., *pixel)]
    return y.reshape(N, C * size[0] * size[1], -1)


@in_float64
def fold(y: np.ndarray, x_shape: Shape, window: Window) -> np.ndarray:
    """Add every column of y (N, C*KH*KW, OH*OW) to the pixels of its patch in an image of zeros.

    >>> fold(np.ones((1, 2, 3)), (1, 1, 1, 4), Window((1, 2), (1, 1), ((0, 0), (0, 0)), (1, 1)))
    array([[[[1., 2., 2., 1.]]]])
    """
    (N, C, H, W), size = x_shape, window.size
    out = window.out_size("fold", (H, W))
    x, columns = np.zeros(x_shape), y.reshape(N, C, *size, *out)
    for at, tap, pixel in _meetings(out, size, (H, W), *window[1:]):
        x[(..., *pixel)] += columns[(..., *tap, *at)]
    return x


def _meetings(
    out: Shape,
    kernel: Shape,
    image: Shape,
    stride: Sequence[int],
    padding: Sequence[tuple[int, int]],
    dilation: Sequence[int],
) -> Iterator[tuple[Any, Any, Any]]:
    """Yield (window, tap, pixel) wherever a tap of a window meets a pixel of the image."""
    for at in np.ndindex(out):
        for tap in np.ndindex(kernel):
            steps = zip(at, stride, tap, dilation, padding, strict=True)
            pixel = tuple(i * s + p * d - before for i, s, p, d, (before, _) in steps)
            if all(0 <= i < n for i, n in zip(pixel, image, strict=True)):
                yield at, tap, pixel
