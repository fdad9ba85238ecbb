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

from tinygrad_cnn.kernels import buffers, pool_2x2
from tinygrad_cnn.kernels.compile import kernel
from tinygrad_cnn.kernels.geometry import Pair, Window
from tinygrad_cnn.kernels.pool_2x2 import Shape, better
from tinygrad_cnn.kernels.threads import split
from tinygrad_cnn.kernels.tile import LONGEST_CHAIN, VECTOR_BYTES
from tinygrad_cnn.kernels.vector import add, evens, fill, indices, inlined, load, multiply, store

SIDE_BY_SIDE = Window((2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1))


def _side_by_side(window: Window, image: Pair, out_size: Pair) -> bool:
    """Return whether these are 2x2 windows side by side inside the image, which have kernels of their own."""
    return window == SIDE_BY_SIDE and 2 * out_size[0] <= image[0] and 2 * out_size[1] <= image[1]


def _flat(x: ndarray) -> ndarray:
    return np.ascontiguousarray(x).reshape(-1)


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


@inlined
def _strided(x: ndarray, row: int, first: int, step: int, width: int, outside: float, scratch: ndarray) -> Any:
    """Return the vector of pixels first, first + step, ... of the row that starts at x[row]; beside it is outside."""
    count = len(scratch)
    if step == 1:
        return load(x, row + first, -first, width - first, outside)
    if step == 2:
        middle = first + count
        left = load(x, row + first, -first, width - first, outside)
        return evens(left, load(x, row + middle, -middle, width - middle, outside))
    for lane in range(count):
        w = first + lane * step
        scratch[lane] = x[row + w] if 0 <= w < width else outside
    return load(scratch, 0, 0, count, outside)


@kernel(writes="y index")
def _max_pool(
    x: ndarray, rows: ndarray, columns: ndarray, y: ndarray, index: ndarray, height: int, width: int, taps: int,
    stride: int, left: int, dh: int, dw: int, start: int, stop: int,
) -> None:  # fmt: skip
    scratch = np.empty(VECTOR_BYTES // x.itemsize, x.dtype)
    for i in range(start * len(rows), stop * len(rows)):
        plane, row, out = i // len(rows) * height * width, i % len(rows), i * len(columns)
        for first in range(0, len(columns), len(scratch)):
            corner = first * stride - left
            best = fill(load(scratch, 0, 0, 0, 0.0), -np.inf)
            where = indices(best, -1, 0)
            for h in range(rows[row, 0], rows[row, 0] + rows[row, 1] * dh, dh):
                for w in range(corner, corner + taps * dw, dw):
                    value = _strided(x, plane + h * width, w, stride, width, -np.inf, scratch)
                    best, where = better(best, where, value, indices(best, h * width + w, stride))
            store(best, y, out + first, len(columns) - first)
            store(where, index, out + first, len(columns) - first)
        for j in range(len(columns)):  # nothing wins over -inf: then it is the first tap
            if index[out + j] < 0 and rows[row, 1] > 0 and columns[j, 1] > 0:
                index[out + j] = rows[row, 0] * width + columns[j, 0]


def max_pool2d(x: ndarray, window: Window, out_size: Pair) -> tuple[ndarray, ndarray]:
    """Return the maximum of every window, and where it was found.

    Args:
        x: (N, C, H, W).
        window: size, stride, padding and dilation; padding is never a maximum.
        out_size: (OH, OW); windows may overhang the padding.

    Returns:
        y (N, C, OH, OW), and index of the same shape. For 2x2 windows side by side it is compact, uint8 2*p + q for the
        maximum in row p and column q of its window; else it is int64 h*W + w in the unpadded plane. `pixel_index`
        makes the second of the first. The window is read row by row: the first of equal maxima wins, and NaN beats
        everything before it, so of several NaNs the last one is remembered, as in PyTorch. A window without any tap
        inside the image gives -inf and the index -1.

    >>> x = np.array([[[[1.0, 5.0], [5.0, 0.0]]]])
    >>> max_pool2d(x, SIDE_BY_SIDE, (1, 1))
    (array([[[[5.]]]]), array([[[[1]]]], dtype=uint8))
    """
    n, c, height, width = x.shape
    if _side_by_side(window, (height, width), out_size):
        return pool_2x2.maximum(x, out_size)
    y, index = buffers.empty((n, c, *out_size), x.dtype), buffers.empty((n, c, *out_size), np.int64)
    spans = _spans(window, 0, height, out_size[0]), _spans(window, 1, width, out_size[1])
    steps = window.size[1], window.stride[1], window.padding[1][0], *window.dilation
    arrays = _flat(x), *spans, _flat(y), _flat(index)
    split(_max_pool, n * c, *arrays, height, width, *steps, work=y.size * prod(window.size))
    return y, index


def pixel_index(index: ndarray, x_shape: Shape) -> ndarray:
    """Return the index of `max_pool2d` as int64 h*W + w, also where it was compact.

    >>> pixel_index(np.array([[[[1, 2]]]], np.uint8), (1, 1, 2, 4))
    array([[[[1, 6]]]])
    """
    if index.dtype != np.uint8:
        return index
    *_, rows, columns = index.shape
    corners = 2 * x_shape[3] * np.arange(rows)[:, None] + 2 * np.arange(columns)
    return corners + np.array([0, 1, x_shape[3], x_shape[3] + 1])[index]


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
    if index.dtype == np.uint8:
        return pool_2x2.to_the_maximum(gy, index, x_shape)
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
    y, index = buffers.empty(index.shape, ggx.dtype), pixel_index(index, ggx.shape)
    arrays = _flat_planes(ggx), _flat_planes(index), _flat_planes(y)
    split(_gather, len(arrays[0]), *arrays, work=y.size)
    return y


@kernel
def _average(
    x: ndarray, rows: ndarray, columns: ndarray, shares: ndarray, y: ndarray, height: int, width: int, taps: int,
    stride: int, left: int, start: int, stop: int,
) -> None:  # fmt: skip
    scratch = np.empty(VECTOR_BYTES // x.itemsize, x.dtype)
    for i in range(start * len(rows), stop * len(rows)):
        plane, row, out = i // len(rows) * height * width, i % len(rows), i * len(columns)
        for first in range(0, len(columns), len(scratch)):
            corner, rest = first * stride - left, len(columns) - first
            total = load(scratch, 0, 0, 0, 0.0)
            for h in range(rows[row, 0], rows[row, 0] + rows[row, 1]):
                for w in range(corner, corner + taps):
                    total = add(total, _strided(x, plane + h * width, w, stride, width, 0.0, scratch))
            share = fill(total, 1 / max(1, rows[row, 2]))
            store(multiply(multiply(total, load(shares, first, 0, rest, 0.0)), share), y, out + first, rest)


@kernel(reassoc=True)
def _average_bins(x: ndarray, rows: ndarray, columns: ndarray, y: ndarray, start: int, stop: int) -> None:
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
    if _side_by_side(window, x.shape[2:], out_size):
        return pool_2x2.average(x, out_size, divisor or 4)
    y = buffers.empty((n, c, *out_size), x.dtype)
    rows, columns = _average_spans(window, (image[0], image[1]), out_size, count_include_pad, divisor)
    if prod(window.size) > LONGEST_CHAIN:
        split(_average_bins, n * c, _planes(x), rows, columns, _planes(y), work=y.size * prod(window.size))
        return y
    shares = (1 / np.maximum(1, columns[:, 2])).astype(x.dtype)
    steps = window.size[1], window.stride[1], window.padding[1][0]
    split(_average, n * c, _flat(x), rows, columns, shares, _flat(y), *image, *steps, work=y.size * prod(window.size))
    return y


def avg_pool2d_grad(gy: ndarray, window: Window, x_shape: Shape, count_include_pad: bool, divisor: int) -> ndarray:
    """Return the gradient of `avg_pool2d`: every pixel of a window gets gy / its divisor."""
    n, c, height, width = x_shape
    if _side_by_side(window, (height, width), gy.shape[2:]):
        return pool_2x2.spread(gy, x_shape, divisor or 4)
    gx = buffers.empty(x_shape, gy.dtype)
    spans = _average_spans(window, (height, width), (gy.shape[2], gy.shape[3]), count_include_pad, divisor)
    split(_spread, n * c, _planes(gy), *spans, _planes(gx), work=gx.size + gy.size * prod(window.size))
    return gx


def adaptive_avg_pool2d(x: ndarray, out_size: Pair) -> ndarray:
    """Return the averages of OH x OW bins that cover x (N, C, H, W) evenly: (N, C, OH, OW).

    >>> adaptive_avg_pool2d(np.arange(5.0).reshape(1, 1, 1, 5), (1, 3))
    array([[[[0.5, 2. , 3.5]]]])
    """
    if out_size == (1, 1):
        x = x.reshape(*x.shape[:2], 1, prod(x.shape[2:]))  # one long row
    n, c, height, width = x.shape
    y = buffers.empty((n, c, *out_size), x.dtype)
    spans = _bins(height, out_size[0]), _bins(width, out_size[1])
    split(_average_bins, n * c, _planes(x), *spans, _planes(y), work=x.size + y.size)
    return y


def adaptive_avg_pool2d_grad(gy: ndarray, x_shape: Shape) -> ndarray:
    """Return the gradient of `adaptive_avg_pool2d`: every pixel of a bin gets gy / the bin's pixels."""
    n, c, height, width = x_shape
    gx = buffers.empty(x_shape, gy.dtype)
    spans = _bins(height, gy.shape[2]), _bins(width, gy.shape[3])
    split(_spread, n * c, _planes(gy), *spans, _planes(gx), work=gx.size + gy.size)
    return gx
