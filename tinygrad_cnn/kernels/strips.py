"""How the work of a weight gradient is cut into strips, and where everything lies in them (conv_weight_grad.py)."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from tinygrad_cnn.kernels import threads
from tinygrad_cnn.kernels.geometry import Padding, Pair, Window
from tinygrad_cnn.kernels.tile import LONGEST_CHAIN, MOST_ROWS, rows_for

Shape = tuple[int, ...]
# The sums of a unit, and its strip of x, have at most this many numbers each and stay in the second-level cache.
CACHED = 2**16
# An image of at most this many output pixels shares its strip with others: a tile should be much deeper than wide, and
# a list of maxima long.
SMALL_IMAGE = 128
# A unit should have so many vectors of taps: each number of gy, which comes from far away, is multiplied by them all.
WIDE = 16


class Strips(NamedTuple):
    """How the work of one geometry is cut, and where everything lies in the copy of a strip."""

    each: bool  # depthwise: as one filter over all channels, in one group, but lane by lane
    groups: int
    filters: int
    shares: int  # so many units have the same channels, each with a share of the filters of the group
    stack: int  # KH where the rows of the window are stacked into the channels, else 1
    channels: int  # of a block
    blocks: int  # of a unit
    units: int
    parts: int
    together: int  # images in a strip
    band: int  # output rows in a strip
    rows: int  # of the copy
    copied: int  # so many of them follow each other in x, and are copied as one
    pitch: int  # numbers in a row of the copy
    out: Pair
    pixels: np.ndarray  # where the window of each output pixel of a strip starts
    sides: np.ndarray  # (2, rows of a strip, 2x2 windows): the same of the left and the right pixel of each window
    places: np.ndarray  # where each vector of taps of a unit lies in the window
    columns: np.ndarray  # where each pixel of the rows of x that are copied as one goes
    dense: np.ndarray  # the same for gy, whose pixels follow each other
    taps: np.ndarray  # (channels of a unit, KH, KW): its lane among the unit's vectors


@lru_cache(maxsize=256)
def strips(
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
    # Narrow units have a share of the filters instead of the channels, as far as both can be divided.
    shares = min(per_group, -(-WIDE // (most * segments * segment)))
    if per_group % shares or o // groups % (MOST_ROWS * shares):
        shares = 1
    per_group //= shares
    # With as many blocks in every unit all jobs are as long.
    per_group = next((k for k in range(per_group, 2 * per_group) if in_group % k == 0), per_group)
    blocks = -(-in_group // per_group)
    units = groups * shares * per_group
    # Few units make several parts, and few images several bands each, so that all threads have work.
    little = n * o * oh * ow * c * kh * kw <= threads.MULTIPLY_ADDS * threads.SERIAL_BELOW
    parts = 1 if little else -(-threads.PIECES // units)
    bands = max(-(-oh // max(1, LONGEST_CHAIN // ow)), min(oh, -(-parts // n)))
    band = -(-oh // bands)
    together = max(1, min(LONGEST_CHAIN // (oh * ow), n // parts)) if bands == 1 and oh * ow <= SMALL_IMAGE else 1
    count = -(-n // together) * -(-oh // band)
    parts = min(count, max(parts, -(-count // LONGEST_CHAIN)))
    up, reach = (1, 1) if stack > 1 else (sh, (kh - 1) * dh + 1)
    rows = (band - 1) * up + reach
    copied = reach if up > reach or stack > 1 else rows
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
    columns = np.arange(copied)[:, None] * pitch + place(np.arange(width) + padding[1][0])
    columns = np.append(columns, np.full(lane, pitch - spare))
    sides = pixels[0, :, : ow // 2 * 2].reshape(band, -1, 2).transpose(2, 0, 1)
    dense = np.arange(together * band * ow + lane) * lane
    tables = (table.reshape(-1).astype(np.int64) for table in (pixels, places, columns, dense, taps))
    pixels, *rest = tables
    return Strips(
        each, groups, o, shares, stack, channels, blocks, units, parts, together, band, rows, copied, pitch, (oh, ow),
        pixels, np.ascontiguousarray(np.pad(sides, ((0, 0), (0, 0), (0, lane))).astype(np.int32)), *rest
    )  # fmt: skip


class Launch(NamedTuple):
    """What the kernel of conv_weight_grad.py is given: the strips, shapes of views and scratch, and its numbers."""

    x: Shape
    gy: Shape
    plan: Strips
    acc: Shape
    images: Shape
    panels: Shape
    starts: Shape
    chosen: Shape
    gw: Pair
    height: int  # of a tile
    numbers: tuple[int, ...]
    work: int
    key: object  # under which scratch is lent: the padding in it is zero for these strips alone


@lru_cache(maxsize=256)
def launch(
    x: Shape, w: Shape, stride: Pair, padding: Padding, dilation: Pair, groups: int, lane: int, pooled: bool
) -> Launch:
    """Return what the kernel is given for one geometry; ``pooled``: only maxima of 2x2 windows have a gradient."""
    (n, c, height, width), (o, depth, kh, kw) = x, w
    oh, ow = Window((kh, kw), stride, padding, dilation).out_size("conv2d", (height, width))
    work = n * o * oh * ow * depth * kh * kw // (4 * threads.MULTIPLY_ADDS if pooled else threads.MULTIPLY_ADDS)
    if (kh, kw) == stride == (1, 1) and padding == ((0, 0), (0, 0)) and not pooled:
        # The rows may have any length, and long ones are turned fastest.
        width = max(width, *(k for k in range(1, LONGEST_CHAIN + 1) if height * width % k == 0))
        height = oh = oh * ow // width
        ow = width
    x = n, c, height, width
    plan = strips(x, w, stride, padding, dilation, groups, lane)
    groups, filters = plan.groups * plan.shares, plan.filters
    rows = 1 if pooled else rows_for(filters // groups)
    jobs = plan.units * plan.parts
    pieces = threads.pieces_of(jobs)
    acc = jobs if plan.parts > 1 else pieces, -(-(filters // groups) // rows) * rows, len(plan.places), lane
    images = pieces, plan.together, plan.blocks, plan.rows, plan.pitch
    panels = pieces, lane if plan.each else rows, len(plan.dense)
    starts = pieces, -(-plan.stack * plan.channels // lane) * lane
    chosen = pieces, len(plan.dense) if pooled else 1
    numbers = (
        groups, plan.shares, plan.units, plan.parts, plan.stack, plan.channels, plan.copied, plan.band, *plan.out,
        stride[0], dilation[0], padding[0][0],
    )  # fmt: skip
    gy = (n, o, oh // 2, ow // 2) if pooled else (n, o, oh, ow)
    gw = filters, o // filters * depth * kh * kw
    return Launch(x, gy, plan, acc, images, panels, starts, chosen, gw, rows, numbers, work, object())
