"""The plan of a convolution over images that lie side by side in the lanes of a vector (conv_lanes.py runs it).

Along one axis, output ``target`` reads for tap number t the position ``source + steps[t]``; what lies outside of the
image is padding. The forward pass has one such axis each way, a strided input gradient one for each phase of the
input: target + padding = stride * source + phase, and only the taps of that phase.

The outputs are cut into strips whose inputs fit the second cache. Outputs of a strip with the same taps form a class,
and any few of a class form a tile. Taps of rows that lie above or below the image are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import product
from typing import NamedTuple

import numpy as np

from tinygrad_cnn.kernels import threads
from tinygrad_cnn.kernels.geometry import Pair, Window
from tinygrad_cnn.kernels.tile import MOST_ROWS, VECTORS, rows_for

# A strip should read no more vectors: they leave half of the second cache to filters and results.
STRIP = 2**13
# Turning a vector of numbers into lanes, or back, costs about as much as this many multiply-adds.
TURN = 30
# So many times as much where all pixels are turned before the first strip: they leave the cache.
WRITTEN = 4


class Axis(NamedTuple):
    """Taps along one axis, how far from its source each reads, and the outputs with their sources."""

    taps: np.ndarray
    steps: np.ndarray
    targets: np.ndarray
    sources: np.ndarray

    def within(self, first: int, last: int) -> Axis:
        """Return the axis of the outputs first..last only."""
        inside = (self.targets >= first) & (self.targets < last)
        return self._replace(targets=self.targets[inside], sources=self.sources[inside])


def forward_axis(window: Window, d: int, length: int) -> list[Axis]:
    """Return the axis of a convolution with ``length`` outputs."""
    taps, targets = np.arange(window.size[d]), np.arange(length)
    return [Axis(taps, taps * window.dilation[d], targets, targets * window.stride[d] - window.padding[d][0])]


def gradient_axis(window: Window, d: int, length: int) -> list[Axis]:
    """Return the axes of the input gradient over ``length`` pixels."""
    stride, places = window.stride[d], np.arange(length) + window.padding[d][0]
    reach = np.arange(window.size[d]) * window.dilation[d]
    axes = []
    for phase in range(stride):
        taps, targets = np.flatnonzero(reach % stride == phase), np.flatnonzero(places % stride == phase)
        axes.append(Axis(taps, -(reach[taps] // stride), targets, places[targets] // stride))
    return axes


class Plan(NamedTuple):
    """What the kernel does for each strip: those rows of loads, holes, tiles and stores that ``spans`` names."""

    rows: int  # filters of a tile
    once: bool  # all pixels are turned before the first strip, since strips share too many
    taps: np.ndarray  # where each tap lies in a filter plane
    table: np.ndarray  # over (tap, channel): how far from the source pixel
    spans: np.ndarray  # (strips, 4, 2): first and last + 1
    loads: np.ndarray  # first pixel, how many, and where they go
    holes: np.ndarray  # pixels that are padding
    tiles: np.ndarray  # first and number of (tap, channel), how many pixels, then where those come from and go to
    stores: np.ndarray  # first pixel, how many, and where they are in the strip
    image: int  # elements of the pixels that a strip reads
    outputs: int  # room for the pixels of a strip, corners of a window counted once
    apart: tuple[np.ndarray, np.ndarray, np.ndarray]  # how far from each other: images of x, of y, pixels of a strip


@lru_cache(maxsize=64)
def plan(
    gradient: bool, window: Window, x: tuple[int, ...], y: tuple[int, ...], groups: int, lane: int, pool: bool
) -> Plan:
    """Return the plan from images of shape x to outputs of shape y; pooled, the corners of windows lie apart."""
    (n, channels, height, width), (_, maps, *out) = x, y
    rows, depth, pixel, corner = rows_for(maps // groups), channels // groups, (channels | 1) * lane, 1 + pool
    axes = [(gradient_axis if gradient else forward_axis)(window, d, out[d] // corner * corner) for d in (0, 1)]
    sizes, once = _strip_size(axes, (height, width), (out[0], out[1]), (n, channels, depth, maps), lane, rows, corner)
    cuts = [[(i, min(i + sizes[d], out[d] // corner * corner)) for i in range(0, out[d], sizes[d])] for d in (0, 1)]
    strips = [strip for strip in product(*cuts) if all(first < last for first, last in strip)]
    reads = [[_reads(axes[d], (0, out[d]) if once else strip[d])[:2] for d in (0, 1)] for strip in strips]
    reads = [[(max(down[0], 0), max(0, min(down[1], height))), across] for down, across in reads]
    tall, pitch = (max(last - first for first, last in column) for column in zip(*reads, strict=True))

    outputs = max((i1 - i0) * (j1 - j0) for (i0, i1), (j0, j1) in strips) // corner**2 + lane - 1
    parts = list(product(*axes))
    lines = [len(across.taps) * depth for _, across in parts]
    starts = np.cumsum([0] + [len(down.taps) * line for (down, _), line in zip(parts, lines, strict=True)])
    table = [np.add.outer(down.steps * pitch, across.steps)[..., None] * pixel for down, across in parts]
    lists: list[list[np.ndarray]] = [[], [], [], []]
    spans = []
    for (i_span, j_span), ((top, bottom), (left, right)) in zip(strips, reads, strict=True):
        before = [sum(map(len, entries)) for entries in lists]
        loads, holes, tiles, stores = lists
        if not (once and loads):
            run = _runs((top, bottom), (max(left, 0), min(right, width)), width, lane)
            target = ((run // width - top) * pitch + run % width - left) * pixel
            trash = np.where(run < 0, tall * pitch * pixel, target)
            loads.append(np.column_stack([run[:, 0], (run >= 0).sum(1), trash]))
            outside = np.r_[left : min(right, 0), max(left, width) : right] - left
            holes.append(np.add.outer(np.arange(bottom - top) * pitch, outside).reshape(-1, 1) * pixel)
        (i0, i1), (j0, j1) = ((first // corner, last // corner) for first, last in (i_span, j_span))
        run = _runs((i0, i1), (j0, j1), out[1] // corner, lane)
        i, j = np.divmod(run[:, 0], out[1] // corner)
        stores.append(np.column_stack([run[:, 0], (run >= 0).sum(1), ((i - i0) * (j1 - j0) + j - j0) * lane]))
        for (down, across), line, start in zip(parts, lines, starts[:-1], strict=True):
            across = across.within(*j_span)
            for first, count, same in _classes(down.within(*i_span), height):
                source = np.add.outer((same.sources - top) * pitch, across.sources - left) * pixel
                i, j = np.broadcast_arrays(same.targets[:, None], across.targets)
                place = (i // corner - i0) * (j1 - j0) + j // corner - j0
                place = ((i % corner * corner + j % corner) * outputs + place) * lane
                if place.size:
                    span = [start + first * line, count * line]
                    tiles.append(_tiles(span, source.reshape(-1), place.reshape(-1), rows))
        spans.append(np.column_stack([before, [sum(map(len, entries)) for entries in lists]]))
    images, sizes = np.minimum(np.arange(lane), n - 1), (height * width, out[0] // corner * (out[1] // corner))
    whole = lambda entries: np.ascontiguousarray(np.concatenate(entries), np.int64)
    return Plan(
        rows, once,
        whole([np.add.outer(down.taps * window.size[1], across.taps).reshape(-1) for down, across in parts]),
        whole([(offsets + np.arange(depth) * lane).reshape(-1) for offsets in table]), np.array(spans, np.int64),
        whole(lists[0]), whole(lists[1]), whole(lists[2]), whole(lists[3]), int(tall * pitch + 1) * pixel, outputs,
        (images * (channels * sizes[0]), images * (maps * sizes[1]), np.arange(lane) * lane),
    )  # fmt: skip


def _strip_size(
    axes: list[list[Axis]], image: Pair, out: Pair, numbers: tuple[int, ...], lane: int, rows: int, corner: int
) -> tuple[Pair, bool]:
    """Return the strip whose tiles waste least, whose inputs are turned least and fit the cache; and turned at once?"""
    (n, whole, depth, maps), best = numbers, (np.inf, out, False)
    taps = np.prod([sum(len(axis.taps) for axis in axes[d]) / len(axes[d]) for d in (0, 1)]) * depth
    down, across, vectors = len(axes[0]), len(axes[1]), 1 if rows == MOST_ROWS else VECTORS[rows]
    sizes = [{-(-out[d] // k // corner) * corner for k in range(1, out[d] + 1)} for d in (0, 1)]
    reads = [{size: _reads(axes[d], (0, size)) for size in sizes[d]} for d in (0, 1)]
    for h, w in product(*sizes):
        (top, bottom, lines), (left, right, columns) = reads[0][h], reads[1][w]
        tall, wide = min(bottom - top, image[0]), min(right - left, image[1])
        wide_in = wide if w == out[1] else -(-wide // lane) * lane
        turned = h * w + lane * (1 if w == out[1] else h)  # what lies together ends somewhere within a line of memory
        strips = -(-out[0] // h) * -(-out[1] // w)
        pixels = -(-(-(-h // down) * -(-w // across)) // vectors) * vectors * down * across
        cost = (pixels * taps + TURN * turned) * maps * strips
        # where a strip is all there is, each piece turns it for its panels
        again = min(threads.PIECES, -(-maps // rows)) if n <= lane and strips == 1 else strips
        crowd = max(1, (lines * columns * whole + rows * h * w) / STRIP)
        best = min(best, (cost * crowd**0.12 + TURN * whole * tall * wide_in * again, (h, w), False))
        best = min(best, (cost * crowd**0.01 + WRITTEN * TURN * whole * image[0] * image[1], (h, w), True))
    return best[1:]


def _reads(axes: list[Axis], outputs: Pair) -> tuple[int, int, int]:
    """Return the first position that these outputs read, the last + 1, and how many they read in between."""
    read = {int(p) for axis in axes for p in np.add.outer(axis.within(*outputs).sources, axis.steps).reshape(-1)}
    return min(read, default=0), max(read, default=0) + 1, len(read)


def _runs(rows: Pair, columns: Pair, width: int, lane: int) -> np.ndarray:
    """Return the numbers of a rectangle of pixels in runs of at most ``lane``, filled up with -1."""
    pixels = np.add.outer(np.arange(*rows) * width, np.arange(*columns))
    if pixels.shape[1] == width:
        pixels = pixels.reshape(1, -1)
    filled = np.full((len(pixels), -(-pixels.shape[1] // lane) * lane), -1)
    filled[:, : pixels.shape[1]] = pixels
    return filled.reshape(-1, lane)


def _classes(axis: Axis, length: int) -> Iterator[tuple[int, int, Axis]]:
    """Yield the first tap that lies inside the image, how many do, and the outputs of which that is true."""
    inside = np.add.outer(axis.sources, axis.steps)
    inside = np.pad((inside >= 0) & (inside < length), ((0, 0), (0, 1)))
    keys = np.column_stack([inside.argmax(1), inside.sum(1)])
    for first, count in np.unique(keys, axis=0):
        same = (keys == (first, count)).all(1)
        yield int(first), int(count), axis._replace(targets=axis.targets[same], sources=axis.sources[same])


def _tiles(span: list[int], source: np.ndarray, place: np.ndarray, rows: int) -> np.ndarray:
    """Return the tiles of one class; the last has fewer pixels where there is such a tile, or repeats its last."""
    vectors = VECTORS[rows]
    numbers = np.minimum(np.arange(-(-source.size // vectors) * vectors), source.size - 1).reshape(-1, vectors)
    counts = np.full((len(numbers), 1), vectors)
    if rows == MOST_ROWS:
        counts[-1] = (source.size - 1) % vectors + 1
    return np.hstack([np.broadcast_to(span, (len(numbers), 2)), counts, source[numbers], place[numbers]])
