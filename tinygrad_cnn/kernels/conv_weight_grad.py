"""The weight gradient of a convolution: a sum of outer products over the pixels.

    gw[o, tap] += gy[o, pixel] * x[pixel, tap]      taps: all (c, p, q) that the window sees at this pixel

Taps lie along the lanes of a vector, so nothing is reduced at the end and only real pixels are visited. For that x is
copied channels-last, a strip of rows at a time, in blocks of as many channels as a vector has lanes:

    image[block, row, column, channel]      the taps (q, c) of one row p of the window are neighbours in memory

(under a dilation, columns that are this far apart are stored side by side). Where there are few channels, as in a first
layer, all rows p of the window are stacked into the channels of each output row, so that all its taps are neighbours.
One table says where the window of each pixel of a strip starts, another where each vector of taps lies in a window.

A depthwise convolution has one filter a channel: there gy is copied channels-last as well, and the lanes are channels.

The work is cut into jobs (unit, part): a unit is a group, or as many of its channels as keep their sums in the cache; a
part is a share of the strips. The sums of the parts are added in a fixed order.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy import ndarray

from tinygrad_cnn.kernels import buffers, threads
from tinygrad_cnn.kernels.compile import device, kernel
from tinygrad_cnn.kernels.geometry import Padding, Pair, Window
from tinygrad_cnn.kernels.tile import LONGEST_CHAIN, copy_run, lanes, rows_for
from tinygrad_cnn.kernels.tile_weight import MOST_VECTORS, transpose, weight_tile

# The sums of a unit, and its strip of x, have at most this many numbers each and stay in the second-level cache.
CACHED = 2**16
# An image of at most this many output pixels shares its strip with others: a tile should be much deeper than wide.
SMALL_IMAGE = 64


class Strips(NamedTuple):
    """How the work of one geometry is cut, and where everything lies in the copy of a strip."""

    each: bool  # depthwise: as one filter over all channels, in one group, but lane by lane
    groups: int
    filters: int
    stack: int  # KH where the rows of the window are stacked into the channels, else 1
    channels: int  # of a block
    blocks: int  # of a unit
    units: int
    parts: int
    together: int  # images in a strip
    band: int  # output rows in a strip
    rows: int  # of the copy
    pitch: int  # numbers in a row of the copy
    pixels: np.ndarray  # where the window of each output pixel of a strip starts
    places: np.ndarray  # where each vector of taps of a unit lies in the window
    columns: np.ndarray  # where each column of x goes in a row of the copy
    dense: np.ndarray  # the same for gy, whose pixels follow each other
    taps: np.ndarray  # (channels of a unit, KH, KW): its lane among the unit's vectors


@lru_cache(maxsize=256)
def _strips(
    x_shape: tuple[int, ...], w_shape: tuple[int, ...], stride: Pair, padding: Padding, dilation: Pair, groups: int,
    lane: int,
) -> Strips:  # fmt: skip
    """Return the strips of one geometry, for vectors of ``lane`` numbers."""
    n, _, height, width = x_shape
    o, c, kh, kw = w_shape
    window = Window((kh, kw), stride, padding, dilation)
    oh, ow = window.out_size("conv2d", (height, width))
    (sh, sw), (dh, dw) = stride, dilation
    each = c == 1 and o == groups > 1
    if each:
        c, o, groups = groups, 1, 1
    # Stacking copies x KH times: it has to fill the vectors much better.
    stack = kh if not each and 4 * -(-kh * kw * c // lane) <= 3 * kh * -(-kw * c // lane) else 1
    channels = c if stack > 1 else lane if each else min(c, lane)
    unit = stack * channels  # numbers in one column of the copy
    segments, segment = kh // stack, -(-kw * unit // lane)  # a window has so many rows of so many vectors
    sums = segments * segment * lane * (o // groups)
    most = max(1, CACHED // max(sums, LONGEST_CHAIN * unit))
    in_group = -(-c // channels)
    per_group = -(-in_group // most)
    blocks = -(-in_group // per_group)
    units = groups * per_group
    # Few units make several parts, and few images several bands each, so that all threads have work.
    parts = -(-threads.PIECES // units)
    bands = max(-(-oh // max(1, LONGEST_CHAIN // ow)), min(oh, -(-parts // n)))
    band = -(-oh // bands)
    together = max(1, min(LONGEST_CHAIN // (oh * ow), n // parts)) if bands == 1 and oh * ow <= SMALL_IMAGE else 1
    count = -(-n // together) * -(-oh // band)
    parts = min(count, max(parts, -(-count // LONGEST_CHAIN)))
    up, reach = (1, 1) if stack > 1 else (sh, (kh - 1) * dh + 1)
    rows = (band - 1) * up + reach
    side = -(-window.padded((height, width))[1] // dw)
    spare = -(-unit // lane) * lane  # for what a transposition spills
    phase = side * unit + spare
    pitch = dw * phase

    def place(column: np.ndarray) -> np.ndarray:
        return column % dw * phase + column // dw * unit

    i, r, j = np.ogrid[:together, :band, :ow]
    pixels = (i * blocks * rows + r * up) * pitch + place(j * sw)
    b, p, v = np.ogrid[:blocks, :segments, :segment]
    places = (b * rows + p * dh) * pitch + v * lane
    cs, ps, qs = np.ogrid[: blocks * channels, :kh, :kw]
    b, cs = np.divmod(cs, channels)
    row, stacked = (0, ps) if stack > 1 else (ps, 0)
    taps = (b * segments + row) * segment * lane + qs * unit + stacked * channels + cs
    columns = place(np.arange(-(-width // lane) * lane) + padding[1][0])
    columns[width:] = pitch - spare
    dense = np.arange(pixels.size + lane) * lane
    tables = (table.reshape(-1).astype(np.int64) for table in (pixels, places, columns, dense, taps))
    return Strips(
        each, groups, o, stack, channels, blocks, units, parts, together, band, rows, pitch, *tables
    )  # fmt: skip


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
    x: ndarray, n: int, c: int, c_end: int, channels: int, h: int, dh: int, stack: int, starts: ndarray, lane: int,
    image: ndarray, at: int, columns: ndarray,
) -> None:  # fmt: skip
    """Copy one row of a strip: ``channels`` from c on (zeros from ``c_end`` on), of the ``stack`` rows h, h + dh ..."""
    c_size, h_size, w_size = x.shape[1:]
    for s in range(stack):
        first = ((n * c_size + c) * h_size + h + s * dh) * w_size
        exist = min(channels, c_end - c) if 0 <= h + s * dh < h_size else 0
        for k in range(channels):
            starts[s * channels + k] = first + k * h_size * w_size if k < exist else -1
    _turn(x, starts, stack * channels, w_size, lane, image, at, columns)


@device
def _gather(
    acc: ndarray, first: int, parts: int, taps: ndarray, gw: ndarray, o: int, tap: int, count: int, height: int
) -> None:
    """Add the parts of a unit's sums in their order, and put every tap of its filters in its place in gw."""
    rows = acc.shape[1]
    sums = acc.reshape(len(acc), rows, -1)
    for i in range(count):
        r = i + rows - count if i >= rows - height else i  # the last block ends with the last filter
        for part in range(1, parts):
            for j in range(sums.shape[2]):
                sums[first, r, j] += sums[first + part, r, j]
        for t in range(min(len(taps), gw.shape[1] - tap)):
            gw[o + i, tap + t] = sums[first, r, taps[t]]


@kernel(writes="gw acc images panels scratch")
def _weight_grad(
    gy: ndarray, x: ndarray, pixels: ndarray, places: ndarray, columns: ndarray, dense: ndarray, taps: ndarray,
    gw: ndarray, acc: ndarray, images: ndarray, panels: ndarray, gathered: ndarray, scratch: ndarray, each: bool,
    groups: int, units: int, parts: int, stack: int, channels: int, band: int, sh: int, dh: int, top: int, start: int,
    stop: int,
) -> None:  # fmt: skip
    """Compute the jobs start..stop: acc[job] = the sums (filter, vector, lane) of a unit over a part of the images.

    Filters come ``height`` at a time; the last block of them overlaps the one before, with rows of its own in acc.
    """
    n_size, o_size, oh_size, ow_size = gy.shape
    _, together, blocks, rows, pitch = images.shape
    _, acc_rows, vectors, lane = acc.shape
    _, height, deep = panels.shape
    c_group, o_group = x.shape[1] // groups, 1 if each else o_size // groups
    per_group, per_block = units // groups, vectors // blocks
    piece = threads.piece_at(start, units * parts)
    image, panel, starts = images[piece].reshape(-1), panels[piece].reshape(-1), scratch[piece]
    plane = oh_size * ow_size
    direct = together == 1 and not each
    factors = gy.reshape(-1) if direct else gathered[piece].reshape(-1)
    apart = plane if direct else deep
    up, down = (1, sh) if stack > 1 else (sh, 1)
    reach = rows - (band - 1) * up
    bands = (oh_size + band - 1) // band
    items = (n_size + together - 1) // together * bands
    for job in range(start, stop):
        u, part = divmod(job, parts)
        g, c0 = u // per_group, u % per_group * blocks * channels
        slot = job if parts > 1 else piece
        acc[slot] = 0
        here = min(blocks, (c_group - c0 + channels - 1) // channels)
        for item in range(items * part // parts, items * (part + 1) // parts):
            n0, oh0 = item // bands * together, item % bands * band
            count, real = min(together, n_size - n0), min(band, oh_size - oh0)
            for i in range(count):
                for b in range(here):
                    for row in range((real - 1) * up + reach):
                        if row % up < reach:
                            _pack(
                                x, n0 + i, g * c_group + c0 + b * channels, (g + 1) * c_group, channels,
                                oh0 * sh - top + row * down, dh, stack, starts, lane, image,
                                ((i * blocks + b) * rows + row) * pitch, columns,
                            )  # fmt: skip
            run = real * ow_size
            for block in range(here if each else (o_group + height - 1) // height):
                low, high = (block * per_block, (block + 1) * per_block) if each else (0, here * per_block)
                o = c0 + block * lane if each else g * o_group + min(block * height, o_group - height)
                at = ((n0 * o_size + o) * oh_size + oh0) * ow_size if direct else 0
                for i in range(count):
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
                for k in range(0, count * run, LONGEST_CHAIN):
                    for tile in range(tiles):
                        v = low + (high - low) * tile // tiles
                        weight_tile(
                            factors, at + (k * lane if each else k), apart, image, 0, pixels, k,
                            min(LONGEST_CHAIN, count * run - k), places, v, acc,
                            ((slot * acc_rows + (0 if each else block * height)) * vectors + v) * lane,
                            vectors * lane, 0 if each else height, low + (high - low) * (tile + 1) // tiles - v,
                        )  # fmt: skip
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


def conv2d_weight_grad(
    gy: np.ndarray, x: np.ndarray, w_shape: tuple[int, ...], stride: Pair, padding: Padding, dilation: Pair, groups: int
) -> np.ndarray:
    """Return gw (O, C/groups, KH, KW): the transpose of `conv2d` in w, applied to gy (N, O, OH, OW)."""
    gy, x = np.ascontiguousarray(gy), np.ascontiguousarray(x)
    if not gy.size or not x.size:
        return np.zeros(w_shape, x.dtype)
    lane = lanes(x.dtype)
    key = x.shape, w_shape, stride, padding, dilation, groups, lane
    plan = _strips(*key)
    each, groups, o = plan.each, plan.groups, plan.filters
    height = rows_for(o // groups)
    jobs = plan.units * plan.parts
    pieces = threads.pieces_of(jobs)
    slots = jobs if plan.parts > 1 else pieces
    acc = buffers.empty((slots, -(-(o // groups) // height) * height, len(plan.places), lane), x.dtype)
    images = buffers.borrow(("strips", key), (pieces, plan.together, plan.blocks, plan.rows, plan.pitch), x.dtype)
    panels = buffers.empty((pieces, lane if each else height, len(plan.dense)), x.dtype)
    starts = np.full((pieces, -(-plan.stack * plan.channels // lane) * lane), -1)
    gw = buffers.empty((o, w_shape[0] // o * w_shape[1] * w_shape[2] * w_shape[3]), x.dtype)
    threads.split(
        _weight_grad, jobs, gy, x, plan.pixels, plan.places, plan.columns, plan.dense, plan.taps, gw, acc, images,
        panels, panels, starts, each, groups, plan.units, plan.parts, plan.stack, plan.channels, plan.band, stride[0],
        dilation[0], padding[0][0], work=gy.size * gw.shape[1] // threads.MULTIPLY_ADDS,
    )  # fmt: skip
    buffers.give_back(("strips", key), images)
    if plan.parts > 1:
        threads.split(
            _collect, plan.units, acc, plan.taps, gw, groups, plan.units, plan.parts, height, work=gw.size * plan.parts
        )
    return gw.reshape(w_shape)
