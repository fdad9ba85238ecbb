"""Convolution without im2col: offset tables over the flat padded image drive the register tile.

For stride 1 let J be the padded row length. The input of *every* output pixel for one tap (c, p, q) is the flat padded
image shifted by c*plane + p*J + q. So the output is computed in a row pitch of J (the last columns of a row are garbage
and dropped when the row is written out), all loads are contiguous, and nothing is unrolled into columns.

A stride s splits the image into s*s phase images, [a, b] holding the pixels (s*i + a, s*j + b): tap p reads phase
p % s at the row p // s, again with stride 1. Dilation only changes offsets, groups only choose channels. The gradients
(conv_input_grad.py, conv_weight_grad.py) use the same layouts.

Names: x w b y; gy gx gw; N C H W, O KH KW, OH OW; I J rows and row length of a phase image.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy import ndarray

from tinygrad_cnn.kernels import buffers, conv_lanes, conv_pointwise, threads
from tinygrad_cnn.kernels.compile import device, kernel
from tinygrad_cnn.kernels.conv_lanes import NO_INDEX, NONE, adjust
from tinygrad_cnn.kernels.geometry import Padding, Pair, Window
from tinygrad_cnn.kernels.permute import contiguous
from tinygrad_cnn.kernels.pool_2x2 import keep_maxima
from tinygrad_cnn.kernels.strided import split_run
from tinygrad_cnn.kernels.tile import LONGEST_CHAIN, VECTOR_BYTES, VECTORS, copy_run, lanes, outer_tile, rows_for
from tinygrad_cnn.kernels.tile_weight import fetch

# A tile reads whole vectors, so up to its width beyond the last output: zeros that are never written.
SLACK = max(VECTORS) * lanes(np.dtype(np.float32))

Shape = tuple[int, ...]
NEAR = 1 << 18  # bytes of maps that stay near until they are pooled: a quarter of a usual second cache
NEAREST = 1 << 14  # bytes of an image that stay near while its filters go over it: half of a small first cache
LINE = 64  # bytes of a line of memory
AHEAD = 1 << 13  # bytes: so far ahead a row of pixels is fetched, or dealing it to two would wait for it


class Layout(NamedTuple):
    """Where the pixels of one padded image lie, split into phases, and the offset of each tap."""

    out: Pair  # OH, OW
    phase: Pair  # I, J
    image: int  # elements of all channels and phases, and the slack
    table: np.ndarray  # the offset of each tap (c, p, q) of one group


@lru_cache(maxsize=256)
def layout(c: int, image: Pair, size: Pair, stride: Pair, padding: Padding, dilation: Pair, groups: int) -> Layout:
    """Return the layout of (c, *image) for one geometry."""
    window = Window(size, stride, padding, dilation)
    out = window.out_size("conv2d", image)
    (sh, sw), (hp, wp) = stride, window.padded(image)
    i, j = -(-hp // sh), -(-wp // sw)
    cs, ps, qs = np.ogrid[: c // groups, : size[0], : size[1]]
    h, w = ps * dilation[0], qs * dilation[1]
    table = ((cs * sh + h % sh) * sw + w % sw) * (i * j) + h // sh * j + w // sw
    taps = table.reshape(-1).astype(np.int64)
    return Layout(out, (i, j), c * sh * sw * i * j + SLACK, taps)


@device
def pack(x: ndarray, n: int, image: ndarray, sh: int, sw: int, top: int, left: int, i_size: int, j_size: int) -> None:
    """Copy image n into its padded phase images; what lies between was zero from the start."""
    c_size, h_size, w_size = x.shape[1:]
    plane = i_size * j_size
    for c in range(c_size):
        for h in range(h_size):
            i, a = divmod(h + top, sh)
            source, at = ((n * c_size + c) * h_size + h) * w_size, ((c * sh + a) * sw * i_size + i) * j_size
            if sw == 1:
                copy_run(x, source, image, at + left, w_size, x.dtype.type(0))
            elif sw == 2:
                for k in range(0, w_size, LINE // x.itemsize):
                    fetch(x, source + AHEAD // x.itemsize + k)
                even, odd = left % 2 * plane + left // 2, (left + 1) % 2 * plane + (left + 1) // 2
                split_run(x, source, image, at + even, at + odd, w_size)
            else:
                pixels = x[n, c, h]
                for b in range(sw):
                    first = (b - left) % sw  # the first pixel of this phase
                    for j in range((w_size - first + sw - 1) // sw):
                        image[at + b * plane + (first + left) // sw + j] = pixels[first + j * sw]


@device
def sums_at(
    a: ndarray, a_start: int, depth: int, table: ndarray, low: int, high: int, image: ndarray, at: int, sums: ndarray,
    count: int, rows: int, vectors: int, width: int,
) -> None:  # fmt: skip
    """Fill ``sums`` (block, row, width) with ``count`` outputs at the flat position ``at``; rows overlap at the end.

    Taps low..high of the table are summed; a row of a has ``depth`` of them.
    """
    blocks = (count + rows - 1) // rows
    for k in range(low, max(high, low + 1), LONGEST_CHAIN):
        chain = min(LONGEST_CHAIN, high - k)
        for block in range(blocks):
            first = min(block * rows, count - rows)
            outer_tile(
                a, a_start + first * depth + k, depth, 1, image, at, table, k, chain,
                sums, block * rows * width, width, rows, vectors, k > low,
            )  # fmt: skip


@kernel(writes="y index rooms")
def _forward(
    x: ndarray, w: ndarray, b: ndarray, table: ndarray, scale: ndarray, shift: ndarray, y: ndarray, index: ndarray,
    rooms: ndarray, relu: bool, o_size: int, oh_size: int, ow_size: int, groups: int, parts: int, bands: int,
    sh: int, sw: int, top: int, left: int, i_size: int, j_size: int, rows: int, vectors: int, start: int, stop: int,
) -> None:  # fmt: skip
    """Compute the items start..stop, an item being a band of tiles of one image.

    x (N * parts, C, H, W): the channels of an image that do not see each other come in parts, each an image of its own
    with ``groups`` groups and ``o_size`` filters. w (O of all parts, taps), b likewise or empty, table (taps,) as in
    Layout; a room for each piece: sums (rows, width), the padded image, and where there is an index all maps before
    they are pooled. The tile is ``rows`` filters high and ``vectors`` vectors wide. Where anything follows the
    convolution, an image is one band.
    """
    n_size, size = x.shape[0], oh_size * ow_size
    room = rooms[threads.piece_at(start, n_size * bands)]
    o_group, depth, width = o_size // groups, w.shape[1], vectors * (VECTOR_BYTES // x.itemsize)
    blocks = (o_group + rows - 1) // rows
    group = (x.shape[1] // groups) * sh * sw * i_size * j_size
    flat = (oh_size - 1) * j_size + ow_size
    tiles = (flat + width - 1) // width
    image = room[blocks * rows * width : blocks * rows * width + groups * group + SLACK]
    image[:] = 0  # what lies around and between the pixels stays zero
    whole = room[len(room) - o_size * size :] if index.size else y
    packed = -1
    for item in range(start, stop):
        n, band = divmod(item, bands)
        if n != packed:
            pack(x, n, image, sh, sw, top, left, i_size, j_size)
            packed = n
        filters, maps = n % parts * o_size, 0 if index.size else n * o_size
        for tile in range(tiles * band // bands, tiles * (band + 1) // bands):
            for g in range(groups):
                at, f = g * group + tile * width, (filters + g * o_group) * depth
                sums_at(w, f, depth, table, 0, depth, image, at, room, o_group, rows, vectors, width)
                # write the runs of this tile that are real columns
                position = tile * width
                end = min(position + width, flat)
                while position < end:
                    oh, ow = divmod(position, j_size)
                    run = min(j_size - ow, end - position)
                    real = min(run, ow_size - ow)
                    for block in range(blocks):
                        first = min(block * rows, o_group - rows)
                        for r in range(rows):
                            o = g * o_group + first + r
                            bias = b[filters + o] if b.size else b.dtype.type(0)
                            source = (block * rows + r) * width + position - tile * width
                            copy_run(room, source, whole, (maps + o) * size + oh * ow_size + ow, real, bias)
                    position += run
        for o in range(o_size if scale.size or relu or index.size else 0):
            plane = whole[(maps + o) * size : (maps + o + 1) * size]
            adjust(plane, scale, shift, filters + o, relu and not index.size)
            if index.size:
                oh, ow = oh_size // 2, ow_size // 2
                keep_maxima(whole, o * size, y, index, (n * o_size + o) * oh * ow, relu, ow_size, oh, ow)


def conv2d(
    x: np.ndarray, w: np.ndarray, b: np.ndarray | None, stride: Pair, padding: Padding, dilation: Pair, groups: int,
    way: Route | None = None,
) -> np.ndarray:  # fmt: skip
    """Return y (N, O, OH, OW) of images x (N, C, H, W), filters w (O, C/groups, KH, KW) and a bias b (O,) or None.

    ``way`` is what `route` says of them, where that is known.
    """
    way = way or route(x.shape, w.shape, x.dtype, stride, padding, dilation, groups)
    y = buffers.empty(way.y, x.dtype)
    if way.by == "pointwise":
        conv_pointwise.convolve(False, x, w, b, y)
    elif way.by == "lanes":
        conv_lanes.convolve(False, x, w, b, y, way.window, groups)
    elif way.flat:
        convolve(x, w, b, y, way.flat)
    return y


def convolve(
    x: np.ndarray, w: np.ndarray, b: np.ndarray | None, y: np.ndarray, flat: Flat, index: np.ndarray = NO_INDEX,
    scale: np.ndarray = NONE, shift: np.ndarray = NONE, relu: bool = False,
) -> None:  # fmt: skip
    """Fill y with the convolution of x by filters w; scale and shift, ReLU, pooling follow as in conv_lanes.py."""
    b = np.empty(0, x.dtype) if b is None else np.ascontiguousarray(b)
    rooms = rooms_for(flat.items, flat.room + (flat.maps if index.size else 0), x.dtype)
    threads.split(
        _forward, flat.items, contiguous(x).reshape(flat.x), contiguous(w).reshape(flat.filters, -1), b, flat.table,
        scale, shift, y.reshape(-1), index.reshape(-1), rooms, relu, *flat.numbers, work=flat.work,
    )  # fmt: skip


class Flat(NamedTuple):
    """What `_forward` is given beside filters and bias: shapes of its arrays, and its numbers."""

    items: int
    follows: bool  # whether scale and shift, and a ReLU, may follow in the same launch
    pools: bool  # whether 2x2 max pooling may
    x: Shape
    filters: int
    table: np.ndarray
    room: int  # elements of scratch for each piece
    maps: int  # further ones where an image is pooled
    numbers: tuple[int, ...]
    work: int


class Route(NamedTuple):
    """How images and filters of given shapes are convolved."""

    y: Shape
    window: Window
    by: str  # "pointwise", "lanes", "flat", or "" where there is nothing to compute
    flat: Flat | None = None


# A network asks the same at every step, and for a small one the answer costs more than the convolution.
@lru_cache(maxsize=256)
def route(x: Shape, w: Shape, dtype: np.dtype, stride: Pair, padding: Padding, dilation: Pair, groups: int) -> Route:
    """Return how images x (N, C, H, W) are convolved by filters w (O, C/groups, KH, KW)."""
    (n, c, height, width), (o, depth, kh, kw), image = x, w, (x[2], x[3])
    stride = within(stride, (kh, kw), image, padding)
    window = Window((kh, kw), stride, padding, dilation)
    y = n, o, *window.out_size("conv2d", image)
    if 0 in y:
        return Route(y, window, "")
    if conv_pointwise.pays(window, x, o, groups, dtype):
        return Route(y, window, "pointwise")
    if goes_in_lanes(x, y[1:], window, depth * kh * kw, dtype):
        return Route(y, window, "lanes")
    rows, parts = rows_for(o // groups), parts_of(n, groups, c * height * width * dtype.itemsize)
    plan = layout(c // parts, image, (kh, kw), stride, padding, dilation, groups // parts)
    work = math.prod(y) * depth * kh * kw // threads.MULTIPLY_ADDS
    n, bands = n * parts, bands_for(n * parts, work)
    (top, _), (left, _) = padding
    numbers = (
        o // parts, *plan.out, groups // parts, parts, bands, *stride, top, left, *plan.phase, rows, VECTORS[rows]
    )  # fmt: skip
    sums, maps = tile_room(dtype, o // groups, rows), o // parts * plan.out[0] * plan.out[1]
    views, alone = (n, c // parts, *image), bands == 1
    pools = alone and maps * dtype.itemsize <= NEAR and min(plan.out) > 1
    flat = Flat(n * bands, alone, pools, views, o, plan.table, sums + plan.image, maps, numbers, work)
    return Route(y, window, "flat", flat)


def within(stride: Pair, size: Pair, image: Pair, padding: Padding) -> Pair:
    """Return the stride, no longer than the padded image: one that leads out of it costs as much and does no more."""
    height, width = Window(size, (1, 1), padding, (1, 1)).padded(image)
    return min(stride[0], max(height, 1)), min(stride[1], max(width, 1))


def goes_in_lanes(x: Shape, y: Shape, window: Window, taps: int, dtype: np.dtype) -> bool:
    """Say whether images lie in the lanes of vectors (conv_lanes.py) for the convolution of x to maps y (O, OH, OW)."""
    (n, *image), stride = x, window.stride
    pitch = -(-window.padded((image[1], image[2]))[1] // stride[1])
    return not is_wide(pitch, y[2], stride) and conv_lanes.pays(n, tuple(image), y, taps, stride, dtype)


def is_wide(pitch: int, width: int, stride: Pair) -> bool:
    """Say whether so little of a row is padding that tiles of the flat image beat images in the lanes of vectors."""
    return stride[1] <= 2 and 100 * pitch <= 106 * width


def parts_of(n: int, groups: int, size: int) -> int:
    """Into how many parts the groups of n images are divided, each an image of its own.

    So many that there is one for each piece and that one, of ``size`` bytes in all, stays in the nearest cache.
    """
    enough = (k for k in range(1, groups) if groups % k == 0 and n * k >= threads.PIECES and size <= k * NEAREST)
    return next(enough, groups)


def bands_for(n: int, work: int) -> int:
    """Into how many bands an image is cut, so that few images also make enough pieces for the threads.

    Every piece copies its image: where there is little work, bands would cost more than they bring.
    """
    return -(-threads.PIECES // n) if n < threads.PIECES // 2 and work >= 2 * threads.SERIAL_BELOW else 1


def rooms_for(items: int, room: int, dtype: np.dtype) -> np.ndarray:
    """Return scratch for each piece of a launch, (pieces, room or a little more): each begins with a line of memory."""
    return buffers.empty((threads.pieces_of(items), -(-room // LINE) * LINE), dtype)


def tile_room(dtype: np.dtype, count: int, rows: int) -> int:
    """Return how many elements a tile of every output of a group fills, of ``count`` outputs, ``rows`` at a time."""
    return -(-count // rows) * rows * VECTORS[rows] * lanes(dtype)
