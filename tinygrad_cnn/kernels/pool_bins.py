"""The maximum of rectangles, and averages of points: adaptive and region-of-interest pooling.

A region is a grid of bins in one image of the batch. What a bin covers is worked out beforehand in tables, one for the
rows and one for the columns: so adaptive pooling is a single region that is the whole image, and the rounding of boxes
is no business of the loops. The rows of a bin are gathered first, into one line: neighbours are a whole vector there.
Then each bin takes its few columns of that line.
"""

from __future__ import annotations

from math import prod

import numpy as np
from numpy import ndarray

from tinygrad_cnn.kernels import buffers
from tinygrad_cnn.kernels.compile import kernel
from tinygrad_cnn.kernels.threads import split

Shape = tuple[int, ...]


def _reach(columns: ndarray, width: int) -> ndarray:
    """Return (K, 2): from which column on each region reads, and where it has ended."""
    first, last = columns.min((1, 2), initial=width), columns.max((1, 2), initial=0)
    return np.stack([first, np.maximum(first, np.minimum(last + 1, width))], 1)


@kernel(writes="y index")
def _largest(
    x: ndarray, image: ndarray, rows: ndarray, columns: ndarray, reach: ndarray, y: ndarray, index: ndarray, start: int,
    stop: int,
) -> None:  # fmt: skip
    channels, width = y.shape[1], x.shape[2]
    largest, where = np.empty(width, x.dtype), np.empty(width, np.int32)
    for i in range(start, stop):
        region, channel = i // channels, i % channels
        plane, left, right = x[image[region] * channels + channel], reach[region, 0], reach[region, 1]
        tops, places = largest[left:right], where[left:right]
        for ph in range(rows.shape[1]):
            first, last = rows[region, ph, 0], rows[region, ph, 1]
            for h in range(first, last):
                line, at = plane[h, left:right], h * width + left
                if h == first:
                    for w in range(len(line)):
                        tops[w], places[w] = line[w], at + w
                else:
                    for w in range(len(line)):
                        v = line[w]
                        taken = (v > tops[w]) | (v != v)
                        tops[w] = v if taken else tops[w]
                        places[w] = at + w if taken else places[w]
            for pw in range(columns.shape[1]):
                best, found = x.dtype.type(0), -1
                for w in range(columns[region, pw, 0], columns[region, pw, 1] if first < last else 0):
                    v, place = largest[w], where[w]
                    # of equal ones the first, of NaNs the last
                    same = v == best and place < found
                    if found < 0 or v > best or same or (v != v and (best == best or place > found)):
                        best, found = v, place
                y[region, channel, ph, pw] = best
                index[region, channel, ph, pw] = found


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
    tables = image, rows, columns, _reach(columns, width)
    split(_largest, len(image) * c, planes, *tables, y, index, work=c * int(covered.sum()))
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
    x: ndarray, image: ndarray, rows: ndarray, columns: ndarray, down: ndarray, across: ndarray, reach: ndarray,
    y: ndarray, start: int, stop: int,
) -> None:  # fmt: skip
    channels = y.shape[1]
    sums = np.empty(x.shape[2])
    for i in range(start, stop):
        region, channel = i // channels, i % channels
        plane, left, right = x[image[region] * channels + channel], reach[region, 0], reach[region, 1]
        line = sums[left:right]
        for ph in range(rows.shape[1]):
            line[:] = 0.0
            for a in range(rows.shape[2]):
                share = down[region, ph, a]
                if share != 0:
                    pixels = plane[rows[region, ph, a], left:right]
                    for w in range(len(line)):
                        line[w] += share * pixels[w]
            for pw in range(columns.shape[1]):
                total = 0.0
                for b in range(columns.shape[2]):
                    if across[region, pw, b] != 0:
                        total += across[region, pw, b] * sums[columns[region, pw, b]]
                y[region, channel, ph, pw] = total


@kernel(writes="gx")
def _to_points(
    gy: ndarray, image: ndarray, rows: ndarray, columns: ndarray, down: ndarray, across: ndarray, reach: ndarray,
    gx: ndarray, start: int, stop: int,
) -> None:  # fmt: skip
    channels = gy.shape[1]
    sums = np.empty(gx.shape[2], gx.dtype)
    for i in range(start, stop):
        gx[i] = 0
        for region in range(len(image)):
            if image[region] != i // channels:
                continue
            left, right = reach[region, 0], reach[region, 1]
            line = sums[left:right]
            for ph in range(rows.shape[1]):
                line[:] = 0
                for pw in range(columns.shape[1]):
                    incoming = gy[region, i % channels, ph, pw]
                    for b in range(columns.shape[2]):
                        if across[region, pw, b] != 0:
                            sums[columns[region, pw, b]] += incoming * across[region, pw, b]
                for a in range(rows.shape[2]):
                    share = down[region, ph, a]
                    if share != 0:
                        pixels = gx[i, rows[region, ph, a], left:right]
                        for w in range(len(line)):
                            pixels[w] += share * line[w]


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
    tables = image, rows, columns, down, across, _reach(columns, width)
    split(_points, len(image) * c, planes, *tables, y, work=y.size * (rows.shape[2] + columns.shape[2]))
    return y


def point_bins_grad(
    gy: ndarray, image: ndarray, rows: ndarray, columns: ndarray, down: ndarray, across: ndarray, x_shape: Shape
) -> ndarray:
    """Return the gradient of `point_bins`: every gy, weighted, added to the pixels that its bin reads."""
    n, c, height, width = x_shape
    gx = buffers.empty(x_shape, gy.dtype)
    tables = image, rows, columns, down, across, _reach(columns, width)
    work = gx.size + gy.size * (rows.shape[2] + columns.shape[2])
    split(_to_points, n * c, np.ascontiguousarray(gy), *tables, gx.reshape(n * c, height, width), work=work)
    return gx
