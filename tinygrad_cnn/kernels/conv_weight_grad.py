"""The weight gradient of a convolution: a sum of outer products over the pixels.

    gw[o, tap] += gy[o, pixel] * x[pixel, tap]      taps: all (c, p, q) that the window sees at this pixel

Taps lie along the lanes of a vector, so nothing is reduced at the end and only real pixels are visited. For that x is
copied channels-last, a strip of rows at a time, in blocks of as many channels as a vector has lanes:

    image[block, row, column, channel]      the taps (q, c) of one row p of the window are neighbours in memory

(under a dilation, columns that are this far apart are stored side by side). Where there are few channels, as in a first
layer, all rows p of the window are stacked into the channels of each output row, so that all its taps are neighbours.
One table says where the window of each pixel of a strip starts, another where each vector of taps lies in a window.

Where 2x2 max pooling follows, gy stands at one pixel of four. There only the maxima are visited, one filter at a time,
each with a list of its own, in the order of the pixels: the bits are those of a gy with zeros everywhere else.

A depthwise convolution has one filter a channel: there gy is copied channels-last as well, and the lanes are channels.

The work is cut into jobs (unit, part): a unit is a group, or as many of its channels or its filters as keep their sums
in the cache; a part is some of the strips. The sums of the parts are added in a fixed order.
"""

from __future__ import annotations

from math import isfinite

import numpy as np
from numpy import ndarray

from tinygrad_cnn.kernels import buffers, conv_weight_flat, pool_2x2, threads
from tinygrad_cnn.kernels.compile import device, kernel
from tinygrad_cnn.kernels.conv_weight_flat import NO_INDEX
from tinygrad_cnn.kernels.geometry import Padding, Pair, Window
from tinygrad_cnn.kernels.permute import contiguous
from tinygrad_cnn.kernels.reduce import plane_sum
from tinygrad_cnn.kernels.strips import Shape, launch, strips
from tinygrad_cnn.kernels.tile import LONGEST_CHAIN, copy_run, lanes
from tinygrad_cnn.kernels.tile_weight import MOST_ALONE, MOST_VECTORS, choose, fetch, transpose, weight_row, weight_tile

# With fewer vectors in a window the lists of maxima cost more than the products that they save.
LEAST_VECTORS = 2


@device
def _turn(
    source: ndarray, starts: ndarray, rows: int, length: int, lane: int, target: ndarray, at: int, columns: ndarray
) -> None:
    """Transpose the rows that begin at ``starts`` (nowhere: zeros): target[at + columns[j] + r] = row r at j."""
    for j in range(0, length, lane):
        # the last lanes of a column spill zeros into the next one, which is written later
        for r in range((rows - 1) // lane * lane, -1, -lane):
            transpose(source, starts, r, j, min(lane, length - j), target, at + r, columns, 2 * (rows - r) <= lane)


@device
def _pack(
    x: ndarray, n: int, c: int, c_end: int, channels: int, h: int, count: int, dh: int, stack: int, starts: ndarray,
    lane: int, image: ndarray, at: int, pitch: int, columns: ndarray,
) -> None:  # fmt: skip
    """Copy ``channels`` from c on (zeros from ``c_end`` on) of the ``count`` rows h, h + 1 ... of an image.

    Or of one row of a strip, to which the ``stack`` rows h, h + dh ... belong.
    """
    c_size, h_size, w_size = x.shape[1:]
    low, high = (0, 1) if stack > 1 else (min(max(-h, 0), count), max(min(h_size - h, count), 0))
    for s in range(stack):
        first = ((n * c_size + c) * h_size + h + low + s * dh) * w_size
        exist = min(channels, c_end - c) if stack == 1 or 0 <= h + s * dh < h_size else 0
        for k in range(channels):
            starts[s * channels + k] = first + k * h_size * w_size if k < exist else -1
    image[at : at + low * pitch] = 0
    # behind its last pixel zeros may be written, into the next row
    _turn(x, starts, stack * channels, (high - low) * w_size, lane, image, at, columns[low * w_size :])
    image[at + max(low, high) * pitch : at + count * pitch] = 0


@device
def _gather(
    acc: ndarray, first: int, parts: int, taps: ndarray, gw: ndarray, o: int, tap: int, count: int, height: int
) -> None:
    """Add the parts of a unit's sums in their order, and put every tap of its filters in its place in gw."""
    rows = acc.shape[1]
    sums = acc.reshape(len(acc), rows, -1)
    for i in range(count):
        r = i + rows - count if i >= rows - height else i  # the last block ends with the last filter
        total, row = sums[first, r], gw[o + i, tap:]
        for part in range(1, parts):
            more = sums[first + part, r]
            for j in range(len(total)):
                total[j] += more[j]
        for t in range(min(len(taps), len(row))):
            row[t] = total[taps[t]]


@kernel(writes="gw gb acc images panels starts chosen")
def _weight_grad(
    gy: ndarray, x: ndarray, index: ndarray, pixels: ndarray, sides: ndarray, places: ndarray,
    columns: ndarray, dense: ndarray, taps: ndarray, gw: ndarray, gb: ndarray, acc: ndarray, images: ndarray,
    panels: ndarray, gathered: ndarray, starts: ndarray, chosen: ndarray, each: bool, groups: int, shares: int,
    units: int, parts: int, stack: int, channels: int, copied: int, band: int, oh_size: int, ow_size: int, sh: int,
    dh: int, top: int, start: int, stop: int,
) -> None:  # fmt: skip
    """Compute the jobs start..stop: acc[job] = the sums (filter, vector, lane) of a unit over a part of the images.

    Groups count once for each share of their filters: ``shares`` of them follow each other on the same channels.
    Filters come ``height`` at a time; the last block of them overlaps the one before, with rows of its own in acc.
    Where there is an index gy is that of maxima, and filters come one at a time. Every job sums its share of gb.
    """
    n_size, o_size, ph_size, pw_size = gy.shape
    c_size, h_size, w_size = x.shape[1:]
    _, together, blocks, rows, pitch = images.shape
    _, acc_rows, vectors, lane = acc.shape
    _, height, deep = panels.shape
    c_group, o_group = c_size // groups * shares, 1 if each else o_size // groups
    per_group, per_block = units // groups, vectors // blocks
    piece = threads.piece_at(start, units * parts)
    image, panel, starts = images[piece].reshape(-1), panels[piece].reshape(-1), starts[piece]
    starts[:] = -1  # lanes without a channel
    plane = oh_size * ow_size
    direct = together == 1 and not each
    flat = gy.reshape(-1)
    factors = flat if direct else gathered[piece].reshape(-1)
    chosen, side = chosen[piece], sides.reshape(-1)
    apart = plane if direct else deep
    # A few channels are packed faster than they come from far away: rows of the next strip are fetched between tiles.
    per_channel = band * sh * w_size // lane
    lines = channels * per_channel if stack > 1 else 0
    up, down = (1, sh) if stack > 1 else (sh, 1)
    reach = rows - (band - 1) * up
    bands = (oh_size + band - 1) // band
    items = (n_size + together - 1) // together * bands
    for job in range(start, stop):
        u, part = divmod(job, parts)
        g, c0 = u // per_group, u % per_group * blocks * channels
        c_low = g // shares * c_group
        slot = job if parts > 1 else piece
        acc[slot] = 0
        here = min(blocks, (c_group - c0 + channels - 1) // channels)
        for item in range(items * part // parts, items * (part + 1) // parts):
            n0, oh0 = item // bands * together, item % bands * band
            n_here, real = min(together, n_size - n0), min(band, oh_size - oh0)
            for i in range(n_here):
                for b in range(here):
                    for row in range(0, (real - 1) * up + reach, max(up, copied)):
                        _pack(
                            x, n0 + i, c_low + c0 + b * channels, c_low + c_group, channels,
                            oh0 * sh - top + row * down, min(copied, (real - 1) * up + reach - row), dh, stack, starts,
                            lane, image, ((i * blocks + b) * rows + row) * pitch, pitch, columns,
                        )  # fmt: skip
            run = real * ow_size
            n, oh = (item + 1) // bands * together, (item + 1) % bands * band
            unseen = max(oh * sh - top + (stack * dh - sh if oh else 0), 0)
            following = ((n * c_size + c_low) * h_size + unseen) * w_size
            if index.size:
                for r in range(o_group):
                    some = 0
                    for i in range(n_here):
                        top_row = ((n0 + i) * o_size + g * o_group + r) * ph_size
                        for h in range(oh0, min(oh0 + real, 2 * ph_size)):
                            some = choose(
                                flat, index, (top_row + h // 2) * pw_size, pw_size, h % 2, side,
                                (h - oh0) * sides.shape[2], (band + h - oh0) * sides.shape[2],
                                i * blocks * rows * pitch, panel, chosen, some,
                            )  # fmt: skip
                    tiles = (here * per_block + MOST_ALONE - 1) // MOST_ALONE
                    for tile in range(tiles):
                        v = here * per_block * tile // tiles
                        weight_row(
                            panel, 0, 0, image, 0, chosen, 0, some, places, v, acc,
                            ((slot * acc_rows + r) * vectors + v) * lane, 0, 1,
                            here * per_block * (tile + 1) // tiles - v, 0,
                        )  # fmt: skip
                continue
            for block in range(here if each else (o_group + height - 1) // height):
                low, high = (block * per_block, (block + 1) * per_block) if each else (0, here * per_block)
                o = c0 + block * lane if each else g * o_group + min(block * height, o_group - height)
                at = ((n0 * o_size + o) * oh_size + oh0) * ow_size if direct else 0
                for i in range(n_here):
                    source = (((n0 + i) * o_size + o) * oh_size + oh0) * ow_size
                    if each:
                        for k in range(lane):
                            starts[k] = source + k * plane if o + k < o_size else -1
                        _turn(gy, starts, lane, run, lane, panel, i * run * lane, dense)
                    elif not direct:
                        for r in range(height):
                            copy_run(
                                gy, source + r * oh_size * ow_size, panel, r * deep + i * run, run, gy.dtype.type(0)
                            )
                tiles = (high - low + MOST_VECTORS - 1) // MOST_VECTORS
                in_all = (o_group + height - 1) // height * tiles
                for k in range(0, n_here * run, LONGEST_CHAIN):
                    for tile in range(tiles):
                        done = block * tiles + tile
                        for line in range(lines * done // in_all, lines * (done + 1) // in_all):
                            fetch(x, following + line // per_channel * h_size * w_size + line % per_channel * lane)
                        v = low + (high - low) * tile // tiles
                        weight_tile(
                            factors, at + (k * lane if each else k), apart, image, 0, pixels, k,
                            min(LONGEST_CHAIN, n_here * run - k), places, v, acc,
                            ((slot * acc_rows + (0 if each else block * height)) * vectors + v) * lane,
                            vectors * lane, 0 if each else height, low + (high - low) * (tile + 1) // tiles - v,
                            height * plane if direct else 0,
                        )  # fmt: skip
        for o in range(len(gb) * job // (units * parts), len(gb) * (job + 1) // (units * parts)):
            total = 0.0
            for n in range(n_size):
                total += plane_sum(flat, index, (n * o_size + o) * ph_size * pw_size, ph_size * pw_size)
            gb[o] = total
        if parts == 1:
            _gather(acc, slot, 1, taps, gw, g * o_group, u % per_group * len(taps), o_group, height)


@kernel(writes="gw acc")
def _collect(
    acc: ndarray, taps: ndarray, gw: ndarray, groups: int, units: int, parts: int, height: int, start: int, stop: int
) -> None:
    """Put together the parts of the units start..stop."""
    for u in range(start, stop):
        o_group = len(gw) // groups
        g, c = divmod(u, units // groups)
        _gather(acc, u * parts, parts, taps, gw, g * o_group, c * len(taps), o_group, height)


def takes_maxima(
    x_shape: tuple[int, ...], w_shape: tuple[int, ...], stride: Pair, padding: Padding, dilation: Pair, groups: int,
    dtype: np.dtype,
) -> bool:  # fmt: skip
    """Say whether `conv2d_weight_grad` takes the index of 2x2 max pooling, and is the faster for it."""
    if conv_weight_flat.pays(x_shape, w_shape, stride, padding, dilation, groups):
        return True
    plan = strips(x_shape, w_shape, stride, padding, dilation, groups, lanes(dtype))
    large = len(plan.places) >= LEAST_VECTORS and w_shape[2:] != (1, 1)
    return large and not plan.each and plan.out[1] <= LONGEST_CHAIN


def conv2d_weight_grad(
    gy: np.ndarray, x: np.ndarray, w_shape: Shape, stride: Pair, padding: Padding, dilation: Pair, groups: int,
    index: np.ndarray = NO_INDEX, gb: np.ndarray | None = None,
) -> np.ndarray:  # fmt: skip
    """Return gw (O, C/groups, KH, KW): the transpose of `conv2d` in w, applied to gy (N, O, OH, OW).

    With the index of 2x2 max pooling (uint8, 2 * row + column), gy (N, O, OH//2, OW//2) is that of the maxima; all
    other pixels have none, and cost nothing. The gradient of a bias is written to gb (O,), where that is given.
    """
    gb = np.empty(0, x.dtype) if gb is None else gb
    gy, x = contiguous(gy), contiguous(x)
    if not gy.size or not x.size:
        gb.fill(0)
        return np.zeros(w_shape, x.dtype)
    if conv_weight_flat.pays(x.shape, w_shape, stride, padding, dilation, groups):
        gw = conv_weight_flat.weight_grad(gy, x, w_shape, padding, dilation, index, gb)
        if isfinite(gw.sum()):  # else zeros between the rows may have met a NaN or an infinity
            return gw
        if index.size:
            out = Window((w_shape[2], w_shape[3]), stride, padding, dilation).out_size("conv2d", x.shape[2:])
            gy, index = pool_2x2.to_the_maximum(gy, index, (*gy.shape[:2], *out)), NO_INDEX
    way = launch(x.shape, w_shape, stride, padding, dilation, groups, lanes(x.dtype), index.size > 0)
    plan, acc, gw = way.plan, buffers.empty(way.acc, x.dtype), buffers.empty(way.gw, x.dtype)
    images, panels = lent = buffers.borrow(way.key, x.dtype, way.images, way.panels)
    threads.split(
        _weight_grad, plan.units * plan.parts, gy.reshape(way.gy), x.reshape(way.x), index.reshape(-1), plan.pixels,
        plan.sides, plan.places, plan.columns, plan.dense, plan.taps, gw, gb, acc, images, panels, panels,
        np.empty(way.starts, np.int64), buffers.empty(way.chosen, np.int32), plan.each, *way.numbers, work=way.work,
    )  # fmt: skip
    buffers.give_back(way.key, lent)
    if plan.parts > 1:
        sizes = plan.groups * plan.shares, plan.units, plan.parts, way.height
        threads.split(_collect, plan.units, acc, plan.taps, gw, *sizes, work=gw.size * plan.parts)
    return gw.reshape(w_shape)
