"""The input gradient of a convolution, on the offset tables of conv.py.

It is a convolution of the padded output gradient with turned filters, once for each phase of the input.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy import ndarray

from tinygrad_cnn.kernels import buffers, conv_lanes, conv_pointwise, pool_2x2, threads
from tinygrad_cnn.kernels.compile import kernel
from tinygrad_cnn.kernels.conv import (
    SLACK,
    Shape,
    bands_for,
    is_wide,
    pack,
    parts_of,
    rooms_for,
    sums_at,
    tile_room,
    within,
)
from tinygrad_cnn.kernels.conv_lanes import NO_INDEX
from tinygrad_cnn.kernels.geometry import Padding, Pair, Window
from tinygrad_cnn.kernels.permute import contiguous
from tinygrad_cnn.kernels.pool_2x2 import put_maxima
from tinygrad_cnn.kernels.strided import join_run
from tinygrad_cnn.kernels.tile import VECTOR_BYTES, VECTORS, copy_run, rows_for


class Adjoint(NamedTuple):
    """How the padded output gradient lies, and the phases of the input, one after the other."""

    rows: int
    pitch: int
    origin: Pair  # where gy[0, 0] stands
    order: np.ndarray | None  # of the taps (p, o, q) of one group by phase; None where there is one phase
    table: np.ndarray  # in this order, the offset of each tap
    lines: np.ndarray  # how many rows of gy lie between a line of taps and the first of its phase
    phases: np.ndarray  # (phases, 10), as `_input_grad` reads them


@lru_cache(maxsize=256)
def adjoint(o: int, image: Pair, filters: Pair, stride: Pair, padding: Padding, dilation: Pair) -> Adjoint:
    """Return the plan of the input gradient of one group with ``o`` outputs."""
    window = Window(filters, stride, padding, dilation)
    reach = tuple((filters[d] - 1) * dilation[d] // stride[d] for d in (0, 1))
    size = tuple(-(-window.padded(image)[d] // stride[d]) for d in (0, 1))
    rows, pitch = size[0] + reach[0], size[1] + reach[1]
    orders, tables, lines, phases = [], [], [], []
    start = line = 0
    for phase in np.ndindex(*stride):
        taps, inside = [], []
        for d, first in enumerate(phase):
            steps = np.arange(filters[d]) * dilation[d]
            taps.append(np.flatnonzero(steps % stride[d] == first))
            before = padding[d][0]
            # the pixel stride*i + first - before lies in the image for these i
            inside += [max(-(-(before - first) // stride[d]), 0), -(-(before + image[d] - first) // stride[d])]
        ps, os, qs = taps[0][:, None, None], np.arange(o)[:, None], taps[1]
        up = reach[0] - ps * dilation[0] // stride[0]
        back = reach[1] - qs * dilation[1] // stride[1]
        orders.append(((ps * o + os) * filters[1] + qs).reshape(-1))
        tables.append((os * rows * pitch + up * pitch + back).reshape(-1))
        lines.append(taps[0] * dilation[0] // stride[0])
        if inside[0] < inside[1] and inside[2] < inside[3]:
            phases.append((*phase, start, orders[-1].size, line, taps[0].size, *inside))
        start, line = start + orders[-1].size, line + taps[0].size
    whole = [np.concatenate(parts).astype(np.int64) for parts in (orders, tables, lines)]
    order, table, between = whole
    return Adjoint(
        rows, pitch, (reach[0], reach[1]), order if stride != (1, 1) else None, table, between,
        np.array(phases, np.int64).reshape(-1, 10),
    )  # fmt: skip


@kernel(writes="gx rooms")
def _input_grad(
    gy: ndarray, index: ndarray, w: ndarray, table: ndarray, lines: ndarray, phases: ndarray, gx: ndarray,
    rooms: ndarray, oh_size: int, groups: int, parts: int, bands: int, sh: int, sw: int, top: int, left: int,
    origin_h: int, origin_w: int, i_size: int, pitch: int, rows: int, vectors: int, start: int, stop: int,
) -> None:  # fmt: skip
    """Compute the items start..stop, in parts and bands as _forward does, from gy padded to (i_size, pitch).

    Where there is an index gy is that of the maxima, and a map has ``oh_size`` rows, of which the last may be in no
    window. A room for each piece: sums (rows, width), and the padded gy. w (C of all parts, taps), table (taps,) and
    lines as in Adjoint. A phase is (a, b), where its taps begin, their number, where its lines begin, their number, and
    which of its rows and columns lie inside the image.
    """
    n_size, c_size, h_size, w_size = gx.shape
    o_size, ph_size, pw_size = gy.shape[1:]
    pooled = gy.reshape(-1)
    room = rooms[threads.piece_at(start, n_size * bands)]
    c_group, depth, width = c_size // groups, w.shape[1], vectors * (VECTOR_BYTES // gy.itemsize)
    image = room[(c_group + rows - 1) // rows * rows * width :]
    group = (gy.shape[1] // groups) * i_size * pitch
    image[:] = 0
    packed = -1
    for item in range(start, stop):
        n, band = divmod(item, bands)
        if n != packed:
            if index.size:
                for o in range(o_size):
                    maxima, to = (n * o_size + o) * ph_size * pw_size, (o * i_size + origin_h) * pitch + origin_w
                    put_maxima(pooled, index, maxima, image, to, pitch, ph_size, pw_size)
            else:
                pack(gy, n, image, 1, 1, origin_h, origin_w, i_size, pitch)
            packed = n
        for a, b, begin, taps, line, line_count, i_first, i_last, j_first, j_last in phases:
            origin = i_first * pitch + j_first
            flat = (i_last - 1) * pitch + j_last - origin
            tiles = (flat + width - 1) // width
            for tile in range(tiles * band // bands, tiles * (band + 1) // bands):
                for g in range(groups):
                    position = origin + tile * width
                    # the lines of the filter that reach gy from the rows of this tile; the others would add zeros
                    i, i_end = position // pitch, (position + width - 1) // pitch
                    low = high = 0
                    for reached in lines[line : line + line_count]:
                        low += reached <= i - oh_size
                        high += reached <= i_end
                    of_line = taps // max(line_count, 1)
                    low, high = begin + low * of_line, begin + max(low, high) * of_line
                    at = g * group + position
                    first = (n % parts * c_size + g * c_group) * depth
                    sums_at(w, first, depth, table, low, high, image, at, room, c_group, rows, vectors, width)
                    end = min(position + width, origin + flat)
                    while position < end:
                        i, j = divmod(position, pitch)
                        run = min(pitch - j, end - position)
                        skip = max(j_first - j, 0)
                        real = min(run, j_last - j)
                        for block in range((c_group + rows - 1) // rows):
                            first = min(block * rows, c_group - rows)
                            for r in range(rows):
                                c = g * c_group + first + r
                                source = (block * rows + r) * width + position - origin - tile * width
                                h, column = sh * i + a - top, sw * j + b - left
                                target = ((n * c_size + c) * h_size + h) * w_size + column + sw * skip
                                if sw == 1:
                                    copy_run(room, source + skip, gx, target, real - skip, gx.dtype.type(0))
                                elif sw == 2:
                                    join_run(room, source + skip, gx, target, real - skip)
                                else:
                                    for k in range(skip, real):
                                        gx[n, c, h, column + sw * k] = room[source + k]
                        position += run


class Route(NamedTuple):
    """How an input gradient is computed, and what `_input_grad` is given."""

    by: str  # "pointwise", "lanes" or "turned"
    window: Window
    out: tuple[int, int, int, int]  # the shape of the convolution
    plan: Adjoint | None = None
    items: int = 0
    gy: Shape = ()
    gx: Shape = ()
    room: int = 0
    numbers: tuple[int, ...] = ()
    work: int = 0


@lru_cache(maxsize=256)
def route(
    gy: Shape, w: Shape, x: Shape, dtype: np.dtype, stride: Pair, padding: Padding, dilation: Pair, groups: int,
    pooled: bool = False,
) -> Route:  # fmt: skip
    """Return how the gradient gy (N, O, OH, OW) goes back to images x (N, C, H, W); asked at every step, found once.

    Where gy is ``pooled`` to (N, O, OH//2, OW//2), Route.out is what it was before.
    """
    (n, c, height, width), (o, _, kh, kw), image = x, w, (x[2], x[3])
    sh, sw = stride = within(stride, (kh, kw), image, padding)
    window = Window((kh, kw), stride, padding, dilation)
    out, maxima = (n, o, *window.out_size("conv2d", image)), gy[2:]
    gy = out if pooled else gy
    if conv_pointwise.pays(window, gy, c, groups, dtype):
        return Route("pointwise", window, out)
    pitch, taps = -(-window.padded(image)[1] // sw) + (kw - 1) * dilation[1] // sw, o // groups * kh * kw // (sh * sw)
    if not is_wide(pitch * sw, width, stride) and conv_lanes.pays(n, gy[1:], x[1:], taps, stride, dtype):
        return Route("lanes", window, out)
    plan = adjoint(o // groups, image, (kh, kw), stride, padding, dilation)
    rows, parts = rows_for(c // groups), parts_of(n, groups, math.prod(gy[1:]) * dtype.itemsize)
    work = math.prod(x) * o // groups * kh * kw // (sh * sw * threads.MULTIPLY_ADDS)
    n, bands = n * parts, bands_for(n * parts, work)
    room = tile_room(dtype, c // groups, rows) + o // parts * plan.rows * plan.pitch + SLACK
    numbers = (
        out[2], groups // parts, parts, bands, sh, sw, padding[0][0], padding[1][0], *plan.origin, plan.rows,
        plan.pitch, rows, VECTORS[rows],
    )  # fmt: skip
    views = (n, o // parts, *maxima), (n, c // parts, height, width)
    return Route("turned", window, out, plan, n * bands, *views, room, numbers, work)


def takes_maxima(
    x_shape: tuple[int, ...], w_shape: tuple[int, ...], stride: Pair, padding: Padding, dilation: Pair, groups: int,
    dtype: np.dtype,
) -> bool:  # fmt: skip
    """Say whether `conv2d_input_grad` takes the index of 2x2 max pooling and lays the maxima where it needs them."""
    out = Window((w_shape[2], w_shape[3]), stride, padding, dilation).out_size("conv2d", (x_shape[2], x_shape[3]))
    gy = x_shape[0], w_shape[0], *out
    return 0 not in gy and route(gy, w_shape, x_shape, dtype, stride, padding, dilation, groups).by == "turned"


def conv2d_input_grad(
    gy: np.ndarray, w: np.ndarray, x_shape: tuple[int, ...], stride: Pair, padding: Padding, dilation: Pair,
    groups: int, index: np.ndarray = NO_INDEX,
) -> np.ndarray:  # fmt: skip
    """Return gx (N, C, H, W): the transpose of `conv2d` in x, applied to gy (N, O, OH, OW).

    Around gy lie zeros: a NaN or infinity of w may also spoil pixels near the border that its tap does not reach.
    With the index of 2x2 max pooling (uint8, 2 * row + column), gy (N, O, OH//2, OW//2) is that of the maxima.
    """
    gy, gx = contiguous(gy), buffers.empty(x_shape, gy.dtype)
    if not gx.size or not gy.size:
        gx.fill(0)
        return gx
    way = route(gy.shape, w.shape, x_shape, gy.dtype, stride, padding, dilation, groups, index.size > 0)
    if index.size and way.by != "turned":
        gy, index = pool_2x2.to_the_maximum(gy, index, way.out), NO_INDEX
    if way.by == "pointwise":
        conv_pointwise.convolve(True, gy, w, None, gx)
    elif way.by == "lanes":
        conv_lanes.convolve(True, gy, w, None, gx, way.window, groups)
    elif plan := way.plan:
        # (groups, O/g, C/g, KH, KW) -> (C, KH * O/g * KW), then sorted by phase
        turned = w.reshape(groups, -1, *w.shape[1:]).transpose(0, 2, 3, 1, 4).reshape(x_shape[1], -1)
        turned = np.ascontiguousarray(turned) if plan.order is None else turned.take(plan.order, 1)
        threads.split(
            _input_grad, way.items, gy.reshape(way.gy), index.reshape(-1), turned, plan.table, plan.lines, plan.phases,
            gx.reshape(way.gx), rooms_for(way.items, way.room, gy.dtype), *way.numbers, work=way.work,
        )  # fmt: skip
    return gx
