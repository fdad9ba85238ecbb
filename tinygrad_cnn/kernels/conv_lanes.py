"""Convolution of images side by side: a vector holds one pixel of as many images as it has lanes.

In a block (I, J, C, L) of L images every pixel is a whole vector. So nothing is wasted at the end of a short row, and a
stride or a dilation only changes where a pixel lies. The price is turning images into lanes and back: a few steps for
each vector, against one for each tap and filter. The forward pass and the input gradient are the same program on two
plans (lanes.py); it goes strip by strip: turn the pixels in, for each panel of filters compute the tiles, finish the
outputs (batch norm, ReLU, pooling: conv_fused.py) while they are in the cache, and turn them back. Where strips share
many pixels, all are turned once, before the first strip.
"""

from __future__ import annotations

import math

import numpy as np
from numpy import ndarray

from tinygrad_cnn.kernels import buffers, threads
from tinygrad_cnn.kernels.compile import device, kernel
from tinygrad_cnn.kernels.geometry import Pair, Window
from tinygrad_cnn.kernels.lanes import STRIP, plan
from tinygrad_cnn.kernels.pool import select
from tinygrad_cnn.kernels.pool_2x2 import NOWHERE
from tinygrad_cnn.kernels.tile import LONGEST_CHAIN, MOST_ROWS, lanes
from tinygrad_cnn.kernels.tile_pixels import pixel_tile, turn

NONE = np.empty(0)
NO_INDEX = np.empty(0, np.uint8)


@kernel(writes="panels")
def _pack_filters(
    w: ndarray, taps: ndarray, panels: ndarray, blocks: int, count: int, depth: int, row: int, step: int, start: int,
    stop: int,
) -> None:  # fmt: skip
    """panels[block, (tap, channel), r]: row r of a block lies r*row further in w, the next channel ``step``."""
    rows = panels.shape[2]
    plane = min(row, step)
    for block in range(start, stop):
        g, part = divmod(block, blocks)
        first = g * count * depth * plane + min(part * rows, count - rows) * row
        for t in range(len(taps)):
            source, panel = w[first + taps[t] :], panels[block, t * depth : (t + 1) * depth]
            for c in range(depth):
                for r in range(rows):  # an unsigned index is not looked at whether it counts from the end
                    panel[c, r] = source[np.uint64(r * row + c * step)]


def filter_panels(gradient: bool, w: np.ndarray, taps: np.ndarray, groups: int, count: int, rows: int) -> np.ndarray:
    """Return the filters in panels (groups * blocks, taps * channels, rows): what a tile reads lies in its order.

    A group has ``count`` results. The gradient exchanges the roles of input and output channels.
    """
    plane, depth = w.shape[2] * w.shape[3], w.shape[0] // groups if gradient else w.shape[1]
    row, step = (plane, count * plane) if gradient else (depth * plane, plane)
    blocks = -(-count // rows)
    panels = buffers.empty((groups * blocks, len(taps) * depth, rows), w.dtype)
    threads.split(
        _pack_filters, groups * blocks, np.ascontiguousarray(w).reshape(-1), taps, panels, blocks, count, depth, row,
        step, work=4 * panels.size,
    )  # fmt: skip
    return panels


@device
def adjust(line: ndarray, scale: ndarray, shift: ndarray, o: int, relu: bool) -> None:
    """Scale and shift a row of outputs of map o, and take the ReLU, where asked."""
    zero = line.dtype.type(0)
    if scale.size:
        a, b = scale[o], shift[o]
        for j in range(len(line)):
            line[j] = line[j] * a + b
    if relu:
        for j in range(len(line)):
            line[j] = zero if line[j] <= zero else line[j]


@device
def keep_largest(corners: ndarray, relu: bool) -> None:
    """Of four rows, the corners of windows, leave the largest in row 0 and its number in row 1, as max_pool2d does.

    Or of their ReLU.
    """
    gate, nowhere = corners.dtype.type(0.0 if relu else np.nan), corners.dtype.type(NOWHERE)
    first, second, third, fourth = corners[0], corners[1], corners[2], corners[3]
    zero, one, two, three = (corners.dtype.type(0), corners.dtype.type(1), corners.dtype.type(2), corners.dtype.type(3))
    for j in range(len(first)):
        best, where, value = first[j], zero, second[j]
        wins = (value > best) | (value != value)
        best, where, value = select(wins, value, best), select(wins, one, where), third[j]
        wins = (value > best) | (value != value)
        best, where, value = select(wins, value, best), select(wins, two, where), fourth[j]
        wins = (value > best) | (value != value)
        best, where = select(wins, value, best), select(wins, three, where)
        cut = best <= gate  # then the ReLU lets none of the four pass
        first[j], second[j] = select(cut, zero, best), select(cut, nowhere, where)


@kernel(writes="images")
def _turn_in(
    x: ndarray, x_apart: ndarray, loads: ndarray, holes: ndarray, images: ndarray, start: int, stop: int
) -> None:
    """Lay the runs of pixels start..stop, counted on over all blocks of images, into lanes: images (blocks, pixels)."""
    n_size, c_size, x_size = x.shape
    runs, lane = len(loads), len(x_apart)
    for item in range(start, stop):
        block, i = divmod(item, runs)
        n = max(min(block * lane, n_size - lane), 0)
        for c in range(c_size):
            turn(
                x, (n * c_size + c) * x_size + loads[i, 0], x_apart, 0, images, block * images.shape[1] + c * lane,
                loads, i * loads.shape[1] + 2, loads[i, 1], lane,
            )  # fmt: skip
        for hole in range(len(holes) * i // runs, len(holes) * (i + 1) // runs):
            images[block, holes[hole, 0] : holes[hole, 0] + c_size * lane] = 0


@kernel(writes="y index images sums")
def _convolve(
    x: ndarray, panels: ndarray, b: ndarray, table: ndarray, spans: ndarray, loads: ndarray, holes: ndarray,
    tiles: ndarray, stores: ndarray, x_apart: ndarray, y_apart: ndarray, sums_apart: ndarray, scale: ndarray,
    shift: ndarray, y: ndarray, index: ndarray, images: ndarray, sums: ndarray, groups: int, count: int, chunks: int,
    once: bool, relu: bool, start: int, stop: int,
) -> None:  # fmt: skip
    """Compute the items start..stop, an item being a chunk of the panels over a strip of a block of images.

    x (N, C, pixels); panels (groups * blocks, taps, rows) of ``count`` filters a group; y (N, O, pixels); scratch for
    each piece: images, and sums (rows, corners, pixels of a strip). Images turned in ``once`` are only read.
    """
    n_size, c_size, x_size = x.shape
    o_size, y_size = y.shape[1:]
    panel_count, depth, rows = panels.shape
    blocks = panel_count // groups
    lane, strips = len(sums_apart), len(spans)
    together = (n_size + lane - 1) // lane
    piece = threads.piece_at(start, together * strips * chunks)
    line = sums[0, 0].size
    packed = -1
    for item in range(start, stop):
        strip, chunk = divmod(item, chunks)
        n = max(min(strip // strips * lane, n_size - lane), 0)
        span = spans[strip % strips]
        image = (strip // strips if once else piece) * images.shape[1]
        if not once and strip != packed:
            for c in range(c_size):
                for i in range(span[0, 0], span[0, 1]):
                    turn(
                        x, (n * c_size + c) * x_size + loads[i, 0], x_apart, 0, images, image + c * lane, loads,
                        i * loads.shape[1] + 2, loads[i, 1], lane,
                    )  # fmt: skip
            for i in range(span[1, 0], span[1, 1]):
                images[piece, holes[i, 0] : holes[i, 0] + c_size * lane] = 0
            packed = strip
        for panel in range(panel_count * chunk // chunks, panel_count * (chunk + 1) // chunks):
            g, block = divmod(panel, blocks)
            first = g * count + min(block * rows, count - rows)
            for i in range(span[2, 0], span[2, 1]):
                low, taps = tiles[i, 0], tiles[i, 1]
                for k in range(0, max(taps, 1), LONGEST_CHAIN):
                    pixel_tile(
                        panels, (panel * depth + low + k) * rows, b, first, images,
                        image + g * (c_size // groups) * lane, tiles, i * tiles.shape[1] + 3, table, low + k,
                        min(LONGEST_CHAIN, taps - k), sums, piece * rows * line, line, rows, tiles[i, 2], k > 0,
                    )  # fmt: skip
            for r in range(rows):
                adjust(sums[piece, r].reshape(-1), scale, shift, first + r, relu and not index.size)
                if index.size:
                    keep_largest(sums[piece, r], relu)
                for i in range(span[3, 0], span[3, 1]):
                    source = (piece * rows + r) * line + stores[i, 2]
                    target, numbers = (n * o_size + first + r) * y_size + stores[i, 0], stores[i, 1]
                    turn(sums, source, sums_apart, 0, y, target, y_apart, 0, lane, numbers)
                    if index.size:
                        turn(sums, source + line // 4, sums_apart, 0, index, target, y_apart, 0, lane, numbers)


def pays(n: int, x: tuple[int, ...], y: tuple[int, ...], taps: int, stride: Pair, dtype: np.dtype) -> bool:
    """Say whether a convolution from n images x (C, H, W) to y (O, OH, OW) is done this way; taps: products an output.

    The lanes must be filled, and a number that is turned must be used often, less so where all fit a cache.
    """
    lane, turned = lanes(dtype), math.prod(x) + math.prod(y)
    products = math.prod(y) * taps
    small = math.prod(x) + MOST_ROWS * y[1] * y[2] <= STRIP
    least = 8 if small else 100 if stride == (1, 1) else 50  # with a stride the other way copies number by number
    return 4 * n >= 3 * -(-n // lane) * lane and products >= least * turned and math.prod(x) > 0


def convolve(
    gradient: bool, x: np.ndarray, w: np.ndarray, b: np.ndarray | None, y: np.ndarray, window: Window, groups: int,
    index: np.ndarray = NO_INDEX, scale: np.ndarray = NONE, shift: np.ndarray = NONE, relu: bool = False,
) -> None:  # fmt: skip
    """Fill y with the convolution of x by filters w, or with the input gradient of an output gradient x.

    Scale and shift (O,), float64, ReLU, and 2x2 max pooling where there is an index (uint8, like y) follow.
    """
    (n, channels, *image), maps = x.shape, y.shape[1]
    out = y.shape[2:] if gradient else window.out_size("conv2d", (image[0], image[1]))
    lane, depth, count = lanes(x.dtype), channels // groups, maps // groups
    rows, once, taps, *program, size, outputs, apart = plan(
        gradient, window, x.shape, (n, maps, *out), groups, lane, bool(index.size)
    )
    panels = filter_panels(gradient, w, taps, groups, count, rows)
    together = -(-n // lane)
    strips = together * len(program[1])
    chunks = _chunks(strips, len(panels))
    pieces = threads.pieces_of(strips * chunks)
    x = np.ascontiguousarray(x).reshape(n, channels, -1)
    images = buffers.empty((together if once else pieces, size), x.dtype)
    if once:
        _, _, loads, holes, *_ = program
        threads.split(_turn_in, together * len(loads), x, apart[0], loads, holes, images, work=4 * x.size)
    threads.split(
        _convolve, strips * chunks, x, panels, np.zeros(maps, x.dtype) if b is None else np.ascontiguousarray(b),
        *program, *apart, scale, shift, y.reshape(n, maps, -1), index.reshape(-1), images,
        buffers.empty((pieces, rows, 4 if index.size else 1, outputs * lane), x.dtype), groups, count, chunks, once,
        relu, work=n * maps * out[0] * out[1] * depth * w[0, 0].size // threads.MULTIPLY_ADDS,
    )  # fmt: skip


def _chunks(strips: int, panels: int) -> int:
    """Return into how many chunks of panels a strip is cut, so that no piece has much more than the others."""
    largest = (-(-strips * chunks // threads.PIECES) for chunks in range(1, panels))
    return next((k for k, most in enumerate(largest, 1) if 16 * most * threads.PIECES <= 17 * strips * k), panels)
