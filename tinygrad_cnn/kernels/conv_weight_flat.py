"""The weight gradient of a convolution with few taps, as in a first layer: dot products of flat images.

    gw[o, tap] = gy[o] . x[tap]      each a plane of OH*OW numbers

x is copied once for each column q of the window, cut to the columns that it sees. In such a copy a row p of the window
begins p rows later, so every tap is a run of neighbours, and gy is read where it lies. A tile (tile.py) holds the sums
of a few filters and taps lane by lane; the lanes are added when the chain of sums has grown long.

Where 2x2 max pooling follows, gy is that of the maxima: an image at a time it is put where they were, in the cache.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_cnn.kernels import buffers, threads
from tinygrad_cnn.kernels.compile import kernel
from tinygrad_cnn.kernels.geometry import Padding, Pair, Window
from tinygrad_cnn.kernels.pool_2x2 import put_maxima
from tinygrad_cnn.kernels.reduce import plane_sum
from tinygrad_cnn.kernels.tile import INNER_ROWS, INNER_TAPS, LONGEST_CHAIN, copy_run, inner_tile, lanes

# The copies of an image, and its output gradient, have at most so many numbers: they stay in the second cache.
CACHED = 2**17
# With more taps the windows fill vectors, and whole filters are summed at once (conv_weight_grad.py).
FEW_TAPS = 32
NO_INDEX, NO_SUMS = np.empty(0, np.uint8), np.empty(0)


@kernel(writes="sums biases images rests acc room")
def _dots_of_planes(
    gy: ndarray, index: ndarray, room: ndarray, put: ndarray, x: ndarray, table: ndarray, sums: ndarray,
    biases: ndarray, images: ndarray, rests: ndarray, acc: ndarray, kw: int, dw: int, top: int, left: int, rows: int,
    height: int, width: int, start: int, stop: int,
) -> None:  # fmt: skip
    """Add to sums (piece, O, taps), and to biases (piece, O) unless empty, those of the images start..stop.

    Scratch for each piece: the copies of an image, what is left of each plane of gy behind its last whole vector
    (O, lanes), and the sums (blocks of filters and taps, lanes). Where there is an index, gy is that of maxima, and
    ``room``, which ``put`` is for reading, has the planes of an image for each piece.
    """
    n_size, c_size, h_size, w_size = x.shape
    o_size, plane, oh, ow = sums.shape[1], height * width, height // 2, width // 2
    factors = put if index.size else gy
    piece, zero = threads.piece_at(start, n_size), gy.dtype.type(0)
    image, rest, total = images[piece], rests[piece], acc[piece]
    lane = total.shape[1]
    whole, tiles, tile = plane // lane, len(table) // INNER_TAPS, INNER_ROWS * INNER_TAPS
    left_over, chain = plane - whole * lane, max(1, LONGEST_CHAIN // (whole + 1))
    for n in range(start, stop):
        for q in range(kw):
            first = max(left - q * dw, 0)
            seen = max(min(w_size + left - q * dw, width) - first, 0)
            for c in range(c_size):
                for h in range(h_size):
                    source = ((n * c_size + c) * h_size + h) * w_size + first + q * dw - left
                    copy_run(x, source, image, ((q * c_size + c) * rows + h + top) * width + first, seen, zero)
        size, at = oh * ow if index.size else plane, (piece if index.size else n) * o_size * plane
        for o in range(biases.shape[1]):
            biases[piece, o] += plane_sum(gy, index, (n * o_size + o) * size, size)
        for o in range(o_size):
            if index.size:
                put_maxima(gy, index, (n * o_size + o) * oh * ow, room, at + o * plane, width, oh, ow)
            if left_over:
                copy_run(factors, at + o * plane + whole * lane, rest, o * lane, left_over, zero)
        if (n - start) % chain == 0:
            total[:] = 0
        for block in range((o_size + INNER_ROWS - 1) // INNER_ROWS):
            o = block * INNER_ROWS
            height = min(INNER_ROWS, o_size - o)
            for t in range(tiles):
                target, tap = (block * tiles + t) * tile * lane, t * INNER_TAPS
                inner_tile(factors, at + o * plane, plane, image, 0, table, tap, whole, total, target, height)
                if left_over:
                    inner_tile(rest, o * lane, lane, image, whole * lane, table, tap, 1, total, target, height)
        if (n - start) % chain == chain - 1 or n == stop - 1:
            for o in range(o_size):
                for k in range(sums.shape[2]):
                    place = (o // INNER_ROWS * tiles + k // INNER_TAPS) * tile
                    sums[piece, o, k] += total[place + o % INNER_ROWS * INNER_TAPS + k % INNER_TAPS].sum()


@lru_cache(maxsize=1024)
def pays(
    x_shape: tuple[int, ...], w_shape: tuple[int, ...], stride: Pair, padding: Padding, dilation: Pair, groups: int
) -> bool:
    """Say whether the weight gradient is computed this way."""
    (n, c, *image), (o, _, kh, kw) = x_shape, w_shape
    window = Window((kh, kw), stride, padding, dilation)
    oh, ow = window.out_size("conv2d", (image[0], image[1]))
    size = (c * kw * window.padded((image[0], image[1]))[0] + o * oh) * ow
    few = n >= threads.PIECES and prod(w_shape[1:]) <= FEW_TAPS and groups == 1
    return few and stride == (1, 1) and size <= CACHED


@lru_cache(maxsize=256)
def _plan(
    x: tuple[int, ...], w: tuple[int, ...], padding: Padding, dilation: Pair, lane: int, pooled: bool
) -> tuple[Any, ...]:
    """Return what the kernel is given: the table of taps, the shapes of its scratch, its numbers and its work."""
    (n, c, *image), (o, _, kh, kw) = x, w
    window = Window((kh, kw), (1, 1), padding, dilation)
    rows, (oh, ow) = window.padded((image[0], image[1]))[0], window.out_size("conv2d", (image[0], image[1]))
    # Where each tap (C, KH, KW) begins in the copies (KW, C, rows, OW): whole tiles, the last repeated.
    cs, ps, qs = np.ogrid[:c, :kh, :kw]
    taps = (((qs * c + cs) * rows + ps * dilation[0]) * ow).reshape(-1)
    table, pieces = np.pad(taps, (0, -len(taps) % INNER_TAPS), "edge"), threads.pieces_of(n)
    acc, sums = (pieces, -(-o // INNER_ROWS) * len(table) * INNER_ROWS, lane), (pieces, o, len(taps))
    maxima = (pieces * o * oh * ow,) if pooled else (0,)  # odd last rows and columns, in no window, stay zero
    shapes = (pieces, c * kw * rows * ow + lane), (pieces, o, lane), maxima
    numbers = kw, dilation[1], padding[0][0], padding[1][0], rows, oh, ow
    return table, acc, sums, shapes, numbers, n * o * oh * ow * len(taps) // threads.MULTIPLY_ADDS


def weight_grad(
    gy: ndarray, x: ndarray, w_shape: tuple[int, ...], padding: Padding, dilation: Pair,
    index: ndarray = NO_INDEX, gb: ndarray = NO_SUMS,
) -> ndarray:  # fmt: skip
    """Return gw, and fill gb, as `conv2d_weight_grad` does, index and all, for a stride of 1.

    A NaN or an infinity of x may spoil more taps than see it: it meets the zeros behind the last row of a plane.
    """
    key = x.shape, w_shape, padding, dilation, lanes(x.dtype), index.size > 0
    table, acc_shape, sums_shape, shapes, numbers, work = _plan(*key)
    sums, biases, acc = np.zeros(sums_shape), np.zeros((sums_shape[0], len(gb))), buffers.empty(acc_shape, x.dtype)
    images, rests, room = lent = buffers.borrow(key, x.dtype, *shapes)
    threads.split(
        _dots_of_planes, len(x), gy.reshape(-1), index.reshape(-1), room, room, x, table, sums, biases, images, rests,
        acc, *numbers, work=work,
    )  # fmt: skip
    buffers.give_back(key, lent)
    gb[...] = biases.sum(0)
    return sums.sum(0).reshape(w_shape).astype(x.dtype)
