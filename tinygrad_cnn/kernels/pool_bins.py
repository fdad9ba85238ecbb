"""The maximum of rectangles, and averages of points: adaptive and region-of-interest pooling.

A region is a grid of bins in one image of the batch. What a bin covers is worked out beforehand in tables, one for the
rows and one for the columns: so adaptive pooling is a single region that is the whole image, and the rounding of boxes
is no business of the loops.
"""

from __future__ import annotations

from math import prod

import numpy as np
from numpy import ndarray

from tinygrad_cnn.kernels import buffers
from tinygrad_cnn.kernels.compile import kernel
from tinygrad_cnn.kernels.threads import split

Shape = tuple[int, ...]


@kernel(writes="y index")
def _largest(
    x: ndarray, image: ndarray, rows: ndarray, columns: ndarray, y: ndarray, index: ndarray, start: int, stop: int
) -> None:
    channels, width = y.shape[1], x.shape[2]
    for i in range(start, stop):
        region, channel = i // channels, i % channels
        plane = x[image[region] * channels + channel]
        for ph in range(rows.shape[1]):
            for pw in range(columns.shape[1]):
                best, where = x.dtype.type(-np.inf), -1
                for h in range(rows[region, ph, 0], rows[region, ph, 1]):
                    for w in range(columns[region, pw, 0], columns[region, pw, 1]):
                        if not plane[h, w] <= best or where < 0:  # larger, or NaN
                            best, where = plane[h, w], h * width + w
                y[region, channel, ph, pw] = best if where >= 0 else x.dtype.type(0)
                index[region, channel, ph, pw] = where


def max_bins(x: ndarray, image: ndarray, rows: ndarray, columns: ndarray) -> tuple[ndarray, ndarray]:
    """Return the maximum of every bin of every region, and where it was found.

    Args:
        x: (N, C, H, W).
        image: (K,): in which of the N images each region lies.
        rows: (K, PH, 2): the first row of each bin, and the one after the last.
        columns: (K, PW, 2).

    Returns:
        y and index, (K, C, PH, PW): index is h*W + w in the plane, of equal maxima the first, of NaNs the last. A bin
        without pixels gives 0 and the index -1.

    >>> span = np.array([[[0, 2], [1, 3]]])
    >>> max_bins(np.array([[[[1.0, 5.0, 2.0]]]]), np.array([0]), np.array([[[0, 1]]]), span)
    (array([[[[5., 5.]]]]), array([[[[1, 1]]]]))
    """
    n, c, height, width = x.shape
    shape = len(image), c, rows.shape[1], columns.shape[1]
    y, index = buffers.empty(shape, x.dtype), buffers.empty(shape, np.int64)
    planes = np.ascontiguousarray(x).reshape(n * c, height, width)
    covered = (rows[..., 1] - rows[..., 0]).sum(1) * (columns[..., 1] - columns[..., 0]).sum(1)
    split(_largest, len(image) * c, planes, image, rows, columns, y, index, work=c * int(covered.sum()))
    return y, index


@kernel(writes="gx")
def _to_the_largest(gy: ndarray, index: ndarray, image: ndarray, gx: ndarray, start: int, stop: int) -> None:
    channels = gy.shape[1]
    for i in range(start, stop):
        gx[i] = 0
        for region in range(len(image)):
            if image[region] == i // channels:
                sources, places = gy[region, i % channels], index[region, i % channels]
                for j in range(len(places)):
                    if places[j] >= 0:
                        gx[i, places[j]] += sources[j]


def max_bins_grad(gy: ndarray, index: ndarray, image: ndarray, x_shape: Shape) -> ndarray:
    """Return the gradient of `max_bins`: every gy added to the pixel that was the maximum."""
    gx = buffers.empty(x_shape, gy.dtype)
    shape = *gy.shape[:2], prod(gy.shape[2:])
    flat = np.ascontiguousarray(gy).reshape(shape), np.ascontiguousarray(index).reshape(shape)
    planes = prod(x_shape[:2])
    split(_to_the_largest, planes, *flat, image, gx.reshape(planes, prod(x_shape[2:])), work=gx.size + gy.size)
    return gx


def max_bins_gather(ggx: ndarray, index: ndarray, image: ndarray) -> ndarray:
    """Return the pixel of ggx (N, C, H, W) at every index (K, C, PH, PW), 0 at the index -1."""
    n, c = ggx.shape[:2]
    places = index.reshape(len(image), c, prod(index.shape[2:]))
    found = ggx.reshape(n, c, -1)[image[:, None, None], np.arange(c)[:, None], np.maximum(places, 0)]
    return np.where(places >= 0, found, ggx.dtype.type(0)).reshape(index.shape)


@kernel
def _points(
    x: ndarray, image: ndarray, rows: ndarray, columns: ndarray, down: ndarray, across: ndarray, y: ndarray,
    start: int, stop: int,
) -> None:  # fmt: skip
    channels = y.shape[1]
    for i in range(start, stop):
        region, channel = i // channels, i % channels
        plane = x[image[region] * channels + channel]
        for ph in range(rows.shape[1]):
            for pw in range(columns.shape[1]):
                total = 0.0
                for a in range(rows.shape[2]):
                    if down[region, ph, a] != 0:
                        h, sum_of_line = rows[region, ph, a], 0.0
                        for b in range(columns.shape[2]):
                            sum_of_line += across[region, pw, b] * plane[h, columns[region, pw, b]]
                        total += down[region, ph, a] * sum_of_line
                y[region, channel, ph, pw] = total


@kernel(writes="gx")
def _to_points(
    gy: ndarray, image: ndarray, rows: ndarray, columns: ndarray, down: ndarray, across: ndarray, gx: ndarray,
    start: int, stop: int,
) -> None:  # fmt: skip
    channels = gy.shape[1]
    for i in range(start, stop):
        gx[i] = 0
        for region in range(len(image)):
            if image[region] != i // channels:
                continue
            for ph in range(rows.shape[1]):
                for a in range(rows.shape[2]):
                    h = rows[region, ph, a]
                    if down[region, ph, a] != 0:
                        for pw in range(columns.shape[1]):
                            share = gy[region, i % channels, ph, pw] * down[region, ph, a]
                            for b in range(columns.shape[2]):
                                gx[i, h, columns[region, pw, b]] += share * across[region, pw, b]


def point_bins(x: ndarray, image: ndarray, rows: ndarray, columns: ndarray, down: ndarray, across: ndarray) -> ndarray:
    """Return weighted sums of pixels for every bin of every region.

        y[k, c, i, j] = sum over a, b of
                        down[k, i, a] * across[k, j, b] * x[image[k], c, rows[k, i, a], columns[k, j, b]]

    Args:
        x: (N, C, H, W).
        image: (K,): in which of the N images each region lies.
        rows: (K, PH, A): the rows that each bin reads.
        columns: (K, PW, B): its columns.
        down: the weights of the rows, of their shape.
        across: the weights of the columns.

    Returns:
        (K, C, PH, PW).
    """
    n, c, height, width = x.shape
    y = buffers.empty((len(image), c, rows.shape[1], columns.shape[1]), x.dtype)
    planes = np.ascontiguousarray(x).reshape(n * c, height, width)
    work = y.size * rows.shape[2] * columns.shape[2]
    split(_points, len(image) * c, planes, image, rows, columns, down, across, y, work=work)
    return y


def point_bins_grad(
    gy: ndarray, image: ndarray, rows: ndarray, columns: ndarray, down: ndarray, across: ndarray, x_shape: Shape
) -> ndarray:
    """Return the gradient of `point_bins`: every gy, weighted, added to the pixels that its bin reads."""
    n, c, height, width = x_shape
    gx = buffers.empty(x_shape, gy.dtype)
    tables = image, rows, columns, down, across
    work = gx.size + gy.size * rows.shape[2] * columns.shape[2]
    split(_to_points, n * c, np.ascontiguousarray(gy), *tables, gx.reshape(n * c, height, width), work=work)
    return gx
