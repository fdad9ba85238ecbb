"""2x2 windows side by side, which most networks pool with: whole vectors of windows, two rows of the image at a time.

A window lies in neighbouring columns. So two vectors of a row are dealt out into the left and the right column of a
vector of windows, and in the gradients two vectors are zipped into a row. Every pixel is read or written once.
"""

from __future__ import annotations

from math import inf, prod
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_cnn.kernels import buffers
from tinygrad_cnn.kernels.compile import device, kernel
from tinygrad_cnn.kernels.geometry import Pair
from tinygrad_cnn.kernels.threads import split
from tinygrad_cnn.kernels.tile import VECTOR_BYTES
from tinygrad_cnn.kernels.vector import (
    add,
    equal,
    evens,
    fill,
    indices,
    inlined,
    load,
    load_indices,
    multiply,
    odds,
    pick,
    store,
    wins,
    zip_high,
    zip_low,
)  # fmt: skip

Shape = tuple[int, int, int, int]
PLACE = np.dtype(np.uint8)
# The place of a maximum that its ReLU made 0: in no corner of the window, so no gradient goes through either of them.
NOWHERE = 4


def _flat(x: ndarray) -> ndarray:
    return np.ascontiguousarray(x).reshape(-1)


@inlined
def better(best: Any, where: Any, value: Any, place: Any) -> tuple[Any, Any]:
    """Return (best, where) with value and its place in the lanes where value wins: where it is larger, or NaN."""
    mask = wins(value, best)
    return pick(mask, value, best), pick(mask, place, where)


@inlined
def _raised(v: Any, floor: float) -> Any:
    """Return max(v, floor): with 0 the ReLU, with -inf v. NaN stays."""
    least = fill(v, floor)
    return pick(wins(v, least), v, least)


@inlined
def _pixels(x: ndarray, at: int, end: int) -> tuple[Any, Any]:
    """Return two vectors of a row of the image, of which ``end`` pixels exist."""
    count = VECTOR_BYTES // x.itemsize
    return load(x, at, 0, end, 0.0), load(x, at + count, 0, end - count, 0.0)


@inlined
def _write_pixels(left: Any, right: Any, gx: ndarray, at: int, end: int) -> None:
    """Write ``end`` pixels of a row of the image: the left and the right column of a vector of windows in turn."""
    count = VECTOR_BYTES // gx.itemsize
    store(zip_low(left, right), gx, at, end)
    if end > count:
        store(zip_high(left, right), gx, at + count, end - count)


@device
def keep_maxima(
    x: ndarray, top: int, y: ndarray, place: ndarray, out: int, relu: bool, width: int, oh: int, ow: int
) -> None:
    """Write the maxima of the windows of the plane that begins at ``top``, and their places, from ``out`` on."""
    floor = 0.0 if relu else -inf
    for i in range(oh):
        for j in range(0, ow, VECTOR_BYTES // x.itemsize):
            at = top + 2 * (i * width + j)
            a, b = _pixels(x, at, 2 * (ow - j))
            c, d = _pixels(x, at + width, 2 * (ow - j))
            a, b, c, d = _raised(a, floor), _raised(b, floor), _raised(c, floor), _raised(d, floor)
            best, where = evens(a, b), indices(a, 0, 0)
            best, where = better(best, where, odds(a, b), indices(a, 1, 0))
            best, where = better(best, where, evens(c, d), indices(a, 2, 0))
            best, where = better(best, where, odds(c, d), indices(a, 3, 0))
            if relu:
                where = pick(wins(best, fill(a, 0.0)), where, indices(a, NOWHERE, 0))
            store(best, y, out + i * ow + j, ow - j)
            store(where, place, out + i * ow + j, ow - j)


@kernel(writes="y place")
def _maximum(
    x: ndarray, y: ndarray, place: ndarray, relu: bool, height: int, width: int, oh: int, ow: int, start: int,
    stop: int,
) -> None:  # fmt: skip
    for plane in range(start, stop):
        keep_maxima(x, plane * height * width, y, place, plane * oh * ow, relu, width, oh, ow)


@device
def put_maxima(
    gy: ndarray, place: ndarray, at: int, gx: ndarray, to: int, width: int, oh: int, ow: int
) -> None:  # fmt: skip
    """Write the plane of gy that begins at ``at`` to the maxima of the plane of gx that begins at ``to``."""
    for i in range(oh):
        top, out = to + 2 * i * width, at + i * ow
        for j in range(0, ow, VECTOR_BYTES // gy.itemsize):
            g = load(gy, out + j, 0, ow - j, 0.0)
            where, zero = load_indices(place, out + j, ow - j, g), fill(g, 0.0)
            for p in range(2):
                left = pick(equal(where, indices(g, 2 * p, 0)), g, zero)
                right = pick(equal(where, indices(g, 2 * p + 1, 0)), g, zero)
                _write_pixels(left, right, gx, top + 2 * j + p * width, 2 * (ow - j))


@kernel(writes="gx")
def _to_the_maximum(
    gy: ndarray, place: ndarray, gx: ndarray, height: int, width: int, oh: int, ow: int, start: int, stop: int
) -> None:
    for plane in range(start, stop):
        put_maxima(gy, place, plane * oh * ow, gx, plane * height * width, width, oh, ow)


@kernel
def _average(
    x: ndarray, y: ndarray, share: float, height: int, width: int, oh: int, ow: int, start: int, stop: int
) -> None:
    for plane in range(start, stop):
        for i in range(oh):
            top, out = (plane * height + 2 * i) * width, (plane * oh + i) * ow
            for j in range(0, ow, VECTOR_BYTES // x.itemsize):
                a, b = _pixels(x, top + 2 * j, 2 * (ow - j))
                c, d = _pixels(x, top + 2 * j + width, 2 * (ow - j))
                left, right = add(a, c), add(b, d)
                total = add(evens(left, right), odds(left, right))
                store(multiply(total, fill(total, share)), y, out + j, ow - j)


@kernel(writes="gx")
def _spread(
    gy: ndarray, gx: ndarray, share: float, height: int, width: int, oh: int, ow: int, start: int, stop: int
) -> None:
    for plane in range(start, stop):
        for i in range(oh):
            top, out = (plane * height + 2 * i) * width, (plane * oh + i) * ow
            for j in range(0, ow, VECTOR_BYTES // gy.itemsize):
                g = load(gy, out + j, 0, ow - j, 0.0)
                g = multiply(g, fill(g, share))
                _write_pixels(g, g, gx, top + 2 * j, 2 * (ow - j))
                _write_pixels(g, g, gx, top + 2 * j + width, 2 * (ow - j))


def maximum(x: ndarray, out_size: Pair, relu: bool = False) -> tuple[ndarray, ndarray]:
    """Return the maximum of every window of x (N, C, H, W), or of its ReLU, and its place in the window.

    The place is a uint8, 2*row + column; NOWHERE where the ReLU left nothing.
    """
    y = buffers.empty(x.shape[:2] + out_size, x.dtype)
    place = buffers.empty(y.shape, PLACE)
    arrays = _flat(x), y.reshape(-1), place.reshape(-1)
    split(_maximum, prod(x.shape[:2]), *arrays, relu, *x.shape[2:], *out_size, work=x.size)
    return y, place


def to_the_maximum(gy: ndarray, place: ndarray, x_shape: Shape) -> ndarray:
    """Return gy at the place of every window's maximum, and zeros elsewhere."""
    gx = buffers.empty(x_shape, gy.dtype)
    arrays = _flat(gy), _flat(place), gx.reshape(-1)
    split(_to_the_maximum, prod(x_shape[:2]), *arrays, *x_shape[2:], *gy.shape[2:], work=gx.size)
    return _without_edge(gx, gy.shape)


def average(x: ndarray, out_size: Pair, divisor: int) -> ndarray:
    """Return the sum of every window of x (N, C, H, W) over the divisor."""
    y = buffers.empty(x.shape[:2] + out_size, x.dtype)
    split(_average, prod(x.shape[:2]), _flat(x), y.reshape(-1), 1 / divisor, *x.shape[2:], *out_size, work=x.size)
    return y


def spread(gy: ndarray, x_shape: Shape, divisor: int) -> ndarray:
    """Return every gy over the divisor in all pixels of its window."""
    gx = buffers.empty(x_shape, gy.dtype)
    split(_spread, prod(x_shape[:2]), _flat(gy), gx.reshape(-1), 1 / divisor, *x_shape[2:], *gy.shape[2:], work=gx.size)
    return _without_edge(gx, gy.shape)


def _without_edge(gx: ndarray, shape: tuple[int, ...]) -> ndarray:
    """Write zeros where the last row or column of an odd image is in no window."""
    if gx.shape[2] % 2:
        gx[:, :, 2 * shape[2] :] = 0
    if gx.shape[3] % 2:
        gx[:, :, :, 2 * shape[3] :] = 0
    return gx
