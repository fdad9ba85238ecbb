"""Max and average pooling over (N, C, H, W), one image plane at a time.

Where windows lie is worked out once for each axis: `_spans` lists the taps inside the image, so the kernels have
no borders to think of, and adaptive bins are nothing special.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
from numba.extending import intrinsic, overload
from numpy import ndarray

from tinygrad_cnn.kernels import buffers
from tinygrad_cnn.kernels.compile import kernel
from tinygrad_cnn.kernels.geometry import Pair, Window
from tinygrad_cnn.kernels.threads import split

Shape = tuple[int, int, int, int]
SIDE_BY_SIDE = Window((2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1))


def _planes(x: ndarray) -> ndarray:
    """(N, C, H, W) -> (N*C, H, W)"""
    return np.ascontiguousarray(x).reshape(prod(x.shape[:2]), *x.shape[2:])


def _flat_planes(x: ndarray) -> ndarray:
    """(N, C, H, W) -> (N*C, H*W)"""
    return np.ascontiguousarray(x).reshape(prod(x.shape[:2]), prod(x.shape[2:]))


def _spans(window: Window, axis: int, length: int, out: int) -> ndarray:
    """Return for every window along an axis: its first tap inside the image, how many follow, its extent in pixels.

    The extent counts padding, but not what overhangs the padding's end (torch's rule for the average).
    """
    size, stride, dilation = window.size[axis], window.stride[axis], window.dilation[axis]
    before, after = window.padding[axis]
    start = np.arange(out) * stride - before
    stop = np.minimum(start + window.extent[axis], length + after)
    skipped = np.maximum(0, -(start // dilation))  # taps before the image
    end = np.clip(-(-(length - start) // dilation), skipped, np.maximum(skipped, size))
    return np.stack([start + skipped * dilation, end - skipped, stop - start], 1)


def _bins(length: int, out: int) -> ndarray:
    """Return the same for adaptive bins: floor(i * length / out) up to ceil((i + 1) * length / out)."""
    i = np.arange(out)
    begin, end = i * length // out, -(-(i + 1) * length // out)
    return np.stack([begin, end - begin, end - begin], 1)


def select(condition: Any, a: Any, b: Any) -> Any:
    """Return a if the condition holds, else b, without a branch: the compiler turns an ``if`` here into jumps."""
    return a if condition else b


@intrinsic
def _select(typing_context: Any, condition: Any, a: Any, b: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(*args)

    return a(condition, a, a), generate


@overload(select)
def _compiled_select(condition: Any, a: Any, b: Any) -> Callable[..., Any]:
    def compiled(condition: Any, a: Any, b: Any) -> Any:
        return _select(condition, a, b)  # type: ignore[call-arg]

    return compiled


# "value wins" is value > best, or value is NaN (value != value). Best is then NaN, which only another NaN beats.


@kernel(writes="y index")
def _max_pool(
    x: ndarray, rows: ndarray, columns: ndarray, y: ndarray, index: ndarray, dh: int, dw: int, start: int, stop: int
) -> None:
    width = x.shape[2]
    for plane in range(start, stop):
        for i in range(len(rows)):
            for j in range(len(columns)):
                top, left = rows[i, 0], columns[j, 0]
                best, where = x.dtype.type(-np.inf), -1
                if rows[i, 1] > 0 and columns[j, 1] > 0:
                    best, where = x[plane, top, left], top * width + left
                for p in range(rows[i, 1]):
                    taps = x[plane, top + p * dh]
                    for q in range(columns[j, 1]):
                        value = taps[left + q * dw]
                        wins = (value > best) | (value != value)
                        best = select(wins, value, best)
                        where = select(wins, (top + p * dh) * width + left + q * dw, where)
                y[plane, i, j], index[plane, i, j] = best, where


@kernel(writes="y index")
def _max_pool_2x2(x: ndarray, corners: ndarray, y: ndarray, index: ndarray, start: int, stop: int) -> None:
    """Do the same for 2x2 windows side by side, for as many planes at a time as ``corners`` lists upper left corners.

    Upper and lower rows are copied together first: one long loop is vector code, one for each short row is not.
    """
    _, rows, columns = y.shape
    width = x.shape[2]
    group = len(corners) // (rows * columns)
    upper, lower = np.empty(2 * len(corners), x.dtype), np.empty(2 * len(corners), x.dtype)
    upper_rows, lower_rows = upper.reshape(group * rows, 2 * columns), lower.reshape(group * rows, 2 * columns)
    for first in range(start, stop, group):
        last = min(first + group, stop)
        for plane in range(first, last):
            for i in range(rows):
                upper_row, lower_row = upper_rows[(plane - first) * rows + i], lower_rows[(plane - first) * rows + i]
                even, odd = x[plane, 2 * i], x[plane, 2 * i + 1]
                for w in range(len(upper_row)):
                    upper_row[w] = even[w]
                    lower_row[w] = odd[w]
        maxima, places = y[first:last].reshape(-1), index[first:last].reshape(-1)
        for j in range(len(maxima)):
            best, where = upper[2 * j], 0
            value = upper[2 * j + 1]
            wins = (value > best) | (value != value)
            best, where = select(wins, value, best), select(wins, 1, where)
            value = lower[2 * j]
            wins = (value > best) | (value != value)
            best, where = select(wins, value, best), select(wins, width, where)
            value = lower[2 * j + 1]
            wins = (value > best) | (value != value)
            best, where = select(wins, value, best), select(wins, width + 1, where)
            maxima[j], places[j] = best, corners[j] + where


def max_pool2d(x: ndarray, window: Window, out_size: Pair) -> tuple[ndarray, ndarray]:
    """Return the maximum of every window, and where it was found.

    Args:
        x: (N, C, H, W).
        window: size, stride, padding and dilation; padding is never a maximum.
        out_size: (OH, OW); windows may overhang the padding.

    Returns:
        y (N, C, OH, OW), and index, int64 of the same shape: h*W + w in the unpadded plane. The window is
        read row by row: the first of equal maxima wins, and NaN beats everything before it, so of several NaNs the
        last one is remembered, as in PyTorch. A window without any tap inside the image gives -inf and the index -1.

    >>> x = np.array([[[[1.0, 5.0], [5.0, 0.0]]]])
    >>> max_pool2d(x, SIDE_BY_SIDE, (1, 1))
    (array([[[[5.]]]]), array([[[[1]]]]))
    """
    n, c, height, width = x.shape
    oh, ow = out_size
    y = buffers.empty((n, c, oh, ow), x.dtype)
    index = buffers.empty(y.shape, np.int64)
    if window == SIDE_BY_SIDE and 2 * oh <= height and 2 * ow <= width and y.size:
        corners = (2 * width * np.arange(oh)[:, None] + 2 * np.arange(ow)).reshape(-1)
        corners = np.tile(corners, 1 + 512 // len(corners))
        split(_max_pool_2x2, n * c, _planes(x), corners, _planes(y), _planes(index), work=x.size)
    else:
        spans = _spans(window, 0, height, oh), _spans(window, 1, width, ow)
        arrays = _planes(x), *spans, _planes(y), _planes(index)
        split(_max_pool, n * c, *arrays, *window.dilation, work=y.size * prod(window.size))
    return y, index


@kernel(writes="gx")
def _scatter(gy: ndarray, index: ndarray, gx: ndarray, start: int, stop: int) -> None:
    for plane in range(start, stop):
        sources, places, sums = gy[plane], index[plane], gx[plane]
        sums[:] = 0
        for i in range(len(places)):
            if places[i] >= 0:
                sums[places[i]] += sources[i]


def max_pool2d_grad(gy: ndarray, index: ndarray, x_shape: Shape) -> ndarray:
    """Add every gy to the pixel that was the maximum; overlapping windows add up, index -1 is skipped."""
    gx = buffers.empty(x_shape, gy.dtype)
    arrays = _flat_planes(gy), _flat_planes(index), _flat_planes(gx)
    split(_scatter, len(arrays[0]), *arrays, work=gx.size)
    return gx


@kernel
def _gather(x: ndarray, index: ndarray, y: ndarray, start: int, stop: int) -> None:
    zero = x.dtype.type(0)
    for plane in range(start, stop):
        sources, places, results = x[plane], index[plane], y[plane]
        for i in range(len(places)):
            results[i] = sources[places[i]] if places[i] >= 0 else zero


def max_pool2d_gather(ggx: ndarray, index: ndarray) -> ndarray:
    """Return ggx at every index and 0 where it is -1: the adjoint of `max_pool2d_grad`."""
    y = buffers.empty(index.shape, ggx.dtype)
    arrays = _flat_planes(ggx), _flat_planes(index), _flat_planes(y)
    split(_gather, len(arrays[0]), *arrays, work=y.size)
    return y


@kernel
def _average(x: ndarray, rows: ndarray, columns: ndarray, y: ndarray, start: int, stop: int) -> None:
    for plane in range(start, stop):
        for i in range(len(rows)):
            for j in range(len(columns)):
                top, left = rows[i, 0], columns[j, 0]
                total = 0.0
                for h in range(top, top + rows[i, 1]):
                    taps = x[plane, h, left : left + columns[j, 1]]
                    for w in range(len(taps)):
                        total += taps[w]
                y[plane, i, j] = total / max(1, rows[i, 2] * columns[j, 2])


@kernel(writes="gx")
def _spread(gy: ndarray, rows: ndarray, columns: ndarray, gx: ndarray, start: int, stop: int) -> None:
    for plane in range(start, stop):
        gx[plane] = 0
        for i in range(len(rows)):
            for j in range(len(columns)):
                top, left = rows[i, 0], columns[j, 0]
                share = gy.dtype.type(gy[plane, i, j] / max(1, rows[i, 2] * columns[j, 2]))
                for h in range(top, top + rows[i, 1]):
                    taps = gx[plane, h, left : left + columns[j, 1]]
                    for w in range(len(taps)):
                        taps[w] += share


def _average_spans(
    window: Window, image: Pair, out_size: Pair, count_include_pad: bool, divisor: int
) -> tuple[ndarray, ndarray]:
    """Return the spans of both axes with the divisor's two factors as extents."""
    rows, columns = _spans(window, 0, image[0], out_size[0]), _spans(window, 1, image[1], out_size[1])
    if divisor:
        rows[:, 2], columns[:, 2] = divisor, 1
    elif not count_include_pad:
        rows[:, 2], columns[:, 2] = rows[:, 1], columns[:, 1]
    return rows, columns


def avg_pool2d(x: ndarray, window: Window, out_size: Pair, count_include_pad: bool, divisor: int) -> ndarray:
    """Return the average of every window of x (N, C, H, W): (N, C, OH, OW).

    The divisor is ``divisor`` where that is not 0, else the window's pixels, those on the padding included or not. A
    window without any pixel of the image gives 0.
    """
    n, c, *image = x.shape
    y = buffers.empty((n, c, *out_size), x.dtype)
    spans = _average_spans(window, (image[0], image[1]), out_size, count_include_pad, divisor)
    split(_average, n * c, _planes(x), *spans, _planes(y), work=y.size * prod(window.size))
    return y


def avg_pool2d_grad(gy: ndarray, window: Window, x_shape: Shape, count_include_pad: bool, divisor: int) -> ndarray:
    """Return the gradient of `avg_pool2d`: every pixel of a window gets gy / its divisor."""
    n, c, height, width = x_shape
    gx = buffers.empty(x_shape, gy.dtype)
    spans = _average_spans(window, (height, width), (gy.shape[2], gy.shape[3]), count_include_pad, divisor)
    split(_spread, n * c, _planes(gy), *spans, _planes(gx), work=gx.size + gy.size * prod(window.size))
    return gx


def adaptive_avg_pool2d(x: ndarray, out_size: Pair) -> ndarray:
    """Return the averages of OH x OW bins that cover x (N, C, H, W) evenly: (N, C, OH, OW).

    >>> adaptive_avg_pool2d(np.arange(5.0).reshape(1, 1, 1, 5), (1, 3))
    array([[[[0.5, 2. , 3.5]]]])
    """
    n, c, height, width = x.shape
    y = buffers.empty((n, c, *out_size), x.dtype)
    spans = _bins(height, out_size[0]), _bins(width, out_size[1])
    split(_average, n * c, _planes(x), *spans, _planes(y), work=x.size + y.size)
    return y


def adaptive_avg_pool2d_grad(gy: ndarray, x_shape: Shape) -> ndarray:
    """Return the gradient of `adaptive_avg_pool2d`: every pixel of a bin gets gy / the bin's pixels."""
    n, c, height, width = x_shape
    gx = buffers.empty(x_shape, gy.dtype)
    spans = _bins(height, gy.shape[2]), _bins(width, gy.shape[3])
    split(_spread, n * c, _planes(gy), *spans, _planes(gx), work=gx.size + gy.size)
    return gx
