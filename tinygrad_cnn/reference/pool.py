"""Pooling: what a window of pixels becomes, and which pixels its gradient returns to.

`out_size` is an argument throughout: whether the last, incomplete window counts (`ceil_mode`) is decided by the caller.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tinygrad_cnn.reference.precision import in_float64

Pair = tuple[int, int]
Shape = tuple[int, ...]


@in_float64
def max_pool2d(
    x: np.ndarray, size: Pair, stride: Pair, padding: tuple[Pair, Pair], dilation: Pair, out_size: Pair
) -> tuple[np.ndarray, np.ndarray]:
    """Take the largest pixel of every window, and remember where it was.

        y[n, c, i, j] = max over p, q of x[n, c, i*SH + p*DH - top, j*SW + q*DW - left]

    Only taps inside the plane compete; padding is never chosen. The window is read row by row: the first of equal
    maxima wins, and a NaN beats everything before it (of several NaNs the last one is remembered), as in PyTorch.

    Args:
        x: images (N, C, H, W).
        size: (KH, KW).
        stride: (SH, SW).
        padding: ((top, bottom), (left, right)).
        dilation: (DH, DW).
        out_size: (OH, OW).

    Returns:
        y (N, C, OH, OW) and index (N, C, OH, OW), int64: h*W + w of the chosen pixel in the unpadded plane. A window
        with no tap inside the plane (possible only under dilation) gives -inf and index -1, and has no gradient.

    >>> x = np.array([[[[1.0, 5.0, 2.0], [5.0, 0.0, 7.0]]]])
    >>> y, index = max_pool2d(x, (2, 2), (1, 1), ((0, 0), (0, 0)), (1, 1), out_size=(1, 2))
    >>> y, index
    (array([[[[5., 7.]]]]), array([[[[1, 5]]]]))
    """
    N, C, H, W = x.shape
    (KH, KW), (SH, SW), (DH, DW) = size, stride, dilation
    (top, _), (left, _) = padding
    y = np.full((N, C, *out_size), -np.inf)
    index = np.full((N, C, *out_size), -1, np.int64)
    for n, c, i, j in np.ndindex(y.shape):
        for p, q in np.ndindex(KH, KW):
            h, w = i * SH + p * DH - top, j * SW + q * DW - left
            if not (0 <= h < H and 0 <= w < W):
                continue
            pixel = x[n, c, h, w]
            if index[n, c, i, j] < 0 or pixel > y[n, c, i, j] or np.isnan(pixel):
                y[n, c, i, j], index[n, c, i, j] = pixel, h * W + w
    return y, index


@in_float64
def max_pool2d_grad(gy: np.ndarray, index: np.ndarray, x_shape: Shape) -> np.ndarray:
    """Return the gradient of `max_pool2d`: each window gives all of it to the pixel it chose.

        gx[n, c, index[n, c, i, j]] += gy[n, c, i, j]

    A pixel chosen by several overlapping windows receives their sum; index -1 gives nothing to anyone.

    >>> max_pool2d_grad(np.array([[[[2.0, 3.0]]]]), np.array([[[[1, 1]]]]), (1, 1, 2, 2))
    array([[[[0., 5.],
             [0., 0.]]]])
    """
    N, C, H, W = x_shape
    gx = np.zeros((N, C, H * W))
    for n, c, i, j in np.ndindex(gy.shape):
        if index[n, c, i, j] >= 0:
            gx[n, c, index[n, c, i, j]] += gy[n, c, i, j]
    return gx.reshape(x_shape)


@in_float64
def avg_pool2d(
    x: np.ndarray,
    size: Pair,
    stride: Pair,
    padding: tuple[Pair, Pair],
    out_size: Pair,
    count_include_pad: bool,
    divisor_override: int | None,
) -> np.ndarray:
    """Average every window.

        y[n, c, i, j] = (sum of the window's pixels inside the plane) / divisor

    The divisor is `divisor_override` if given. Else it counts the pixels of the window inside the plane and, under
    `count_include_pad`, those on the padding too; what hangs over the padding's far end is never counted. A window
    without a pixel of the plane is 0.

    Args:
        x: images (N, C, H, W).
        size: (KH, KW).
        stride: (SH, SW).
        padding: ((top, bottom), (left, right)).
        out_size: (OH, OW).
        count_include_pad: whether zeros of the padding count.
        divisor_override: the divisor of every window, or None.

    Returns:
        y (N, C, OH, OW).

    >>> x = np.arange(7.0).reshape(1, 1, 1, 7)
    >>> avg_pool2d(x, (1, 2), (1, 3), ((0, 0), (0, 0)), (1, 3), count_include_pad=True, divisor_override=None)
    array([[[[0.5, 3.5, 6. ]]]])
    """
    y = np.zeros((*x.shape[:2], *out_size))
    windows = _avg_windows(x.shape, out_size, size, stride, padding, count_include_pad, divisor_override)
    for i, j, rows, columns, divisor in windows:
        y[:, :, i, j] = x[:, :, rows, columns].sum(axis=(2, 3)) / divisor
    return y


@in_float64
def avg_pool2d_grad(
    gy: np.ndarray,
    x_shape: Shape,
    size: Pair,
    stride: Pair,
    padding: tuple[Pair, Pair],
    count_include_pad: bool,
    divisor_override: int | None,
) -> np.ndarray:
    """Return the gradient of `avg_pool2d`: each window shares it equally among its pixels, by the same divisor.

        gx[n, c, window(i, j)] += gy[n, c, i, j] / divisor

    >>> gy = np.array([[[[1.0, 1.0, 1.0]]]])
    >>> avg_pool2d_grad(gy, (1, 1, 1, 7), (1, 2), (1, 3), ((0, 0), (0, 0)), True, None)
    array([[[[0.5, 0.5, 0. , 0.5, 0.5, 0. , 1. ]]]])
    """
    gx = np.zeros(x_shape)
    windows = _avg_windows(x_shape, gy.shape[2:], size, stride, padding, count_include_pad, divisor_override)
    for i, j, rows, columns, divisor in windows:
        gx[:, :, rows, columns] += gy[:, :, i, j, None, None] / divisor  # (N, C) -> (N, C, 1, 1)
    return gx


@in_float64
def adaptive_avg_pool2d(x: np.ndarray, out_size: Pair) -> np.ndarray:
    """Average the plane in OH x OW bins that cover it evenly.

        bin i holds the rows floor(i*H / OH) up to, not including, ceil((i+1)*H / OH); columns alike

    Neighbouring bins share a row where OH does not divide H.

    Args:
        x: images (N, C, H, W).
        out_size: (OH, OW), larger than the plane if you like.

    Returns:
        y (N, C, OH, OW).

    >>> adaptive_avg_pool2d(np.arange(5.0).reshape(1, 1, 1, 5), (1, 3))
    array([[[[0.5, 2. , 3.5]]]])
    """
    y = np.zeros((*x.shape[:2], *out_size))
    for i, j, rows, columns in _bins(x.shape, out_size):
        y[:, :, i, j] = x[:, :, rows, columns].mean(axis=(2, 3))
    return y


@in_float64
def adaptive_avg_pool2d_grad(gy: np.ndarray, x_shape: Shape) -> np.ndarray:
    """Return the gradient of `adaptive_avg_pool2d`: each bin shares it equally among its pixels.

        gx[n, c, bin(i, j)] += gy[n, c, i, j] / (pixels in the bin)

    >>> adaptive_avg_pool2d_grad(np.array([[[[2.0, 3.0, 4.0]]]]), (1, 1, 1, 5))
    array([[[[1., 2., 1., 3., 2.]]]])
    """
    gx = np.zeros(x_shape)
    for i, j, rows, columns in _bins(x_shape, gy.shape[2:]):
        area = (rows.stop - rows.start) * (columns.stop - columns.start)
        gx[:, :, rows, columns] += gy[:, :, i, j, None, None] / area
    return gx


def _avg_windows(
    x_shape: Shape,
    out_size: Shape,
    size: Pair,
    stride: Pair,
    padding: tuple[Pair, Pair],
    count_include_pad: bool,
    divisor_override: int | None,
) -> Iterator[tuple[int, int, slice, slice, int]]:
    """Yield for every window (i, j) its rows and columns inside the plane, and its divisor."""
    for i, j in np.ndindex(out_size):
        rows, height = _span(i, x_shape[2], size[0], stride[0], padding[0])
        columns, width = _span(j, x_shape[3], size[1], stride[1], padding[1])
        if divisor_override is not None:
            divisor = divisor_override
        elif count_include_pad:
            divisor = height * width
        else:
            divisor = (rows.stop - rows.start) * (columns.stop - columns.start)
        yield i, j, rows, columns, divisor or 1  # an empty window sums to 0: 0/1, not 0/0


def _span(i: int, length: int, k: int, s: int, padding: Pair) -> tuple[slice, int]:
    """Return the part of window i inside [0, length), and how long it is with the padding, without the overhang."""
    before, after = padding
    start = i * s - before
    stop = min(start + k, length + after)
    inside = slice(min(max(start, 0), length), min(max(stop, 0), length))
    return inside, stop - start


def _bins(x_shape: Shape, out_size: Shape) -> Iterator[tuple[int, int, slice, slice]]:
    """Yield for every adaptive bin (i, j) its rows and columns."""
    H, W = x_shape[2:]
    OH, OW = out_size
    for i, j in np.ndindex(OH, OW):
        rows = slice(i * H // OH, -(-(i + 1) * H // OH))  # -(-a // b) is a/b rounded up
        columns = slice(j * W // OW, -(-(j + 1) * W // OW))
        yield i, j, rows, columns
