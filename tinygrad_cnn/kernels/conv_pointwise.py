"""Convolution with 1x1 filters at stride 1: a matrix product for each image, y[n] = w @ x[n], without any copy.

The pixels of a map lie one behind the other, so vectors of them are read straight from x and written straight to y, and
those of all images make one row of tiles.
"""

from __future__ import annotations

import math

import numpy as np
from numpy import ndarray

from tinygrad_cnn.kernels import threads
from tinygrad_cnn.kernels.compile import kernel
from tinygrad_cnn.kernels.conv_lanes import filter_panels
from tinygrad_cnn.kernels.geometry import Window
from tinygrad_cnn.kernels.tile import LONGEST_CHAIN, VECTORS, copy_run, lanes, rows_for
from tinygrad_cnn.kernels.tile_pixels import pixel_tile
from tinygrad_cnn.kernels.tile_weight import fetch


@kernel(writes="y tiles sums")
def _products(
    x: ndarray, panels: ndarray, b: ndarray, table: ndarray, tiles: ndarray, sums: ndarray, y: ndarray, width: int,
    lane: int, start: int, stop: int,
) -> None:  # fmt: skip
    """Compute the tiles start..stop for all filters, a tile being ``width`` vectors of pixels.

    x (N, C, pixels), panels (blocks, C, rows), y (N, O, pixels). The last vector of an image moves back over the one
    before, the last tile names its last vector several times, and the last block moves back over the filters before.
    Scratch for each piece: tiles (pieces, 4, width), where the vectors lie in x and y, and in x and sums (pieces,
    rows * width * lane), where several chains of channels are added: neighbours may be writing the same places of y.
    """
    count, depth, size = x.shape
    o_size, rows = y.shape[1], panels.shape[2]
    per_image = (size + lane - 1) // lane
    last = count * per_image - 1
    piece = threads.piece_at(start, (last + width) // width)
    tile, total = tiles[piece], sums[piece]
    for item in range(start, stop):
        for v in range(width):
            n, i = divmod(min(item * width + v, last), per_image)
            pixel = min(i * lane, size - lane)
            tile[0, v], tile[1, v] = n * depth * size + pixel, n * o_size * size + pixel
            tile[2, v], tile[3, v] = tile[0, v], v * lane
        n, i = divmod(min((item + 1) * width, last), per_image)
        following = n * depth * size + min(i * lane, size - lane)
        for block in range(len(panels)):
            for k in range(depth * block // len(panels), depth * (block + 1) // len(panels)):
                for v in range(width + 1):  # the pixels of the next tile, while there is time
                    fetch(x, following + k * size + v * lane)
            o = min(block * rows, o_size - rows)
            if depth <= LONGEST_CHAIN:
                pixel_tile(
                    panels, block * depth * rows, b, o, x, 0, tile, 0, table, 0, depth, y, o * size, size, rows,
                    width, False,
                )  # fmt: skip
                continue
            for k in range(0, depth, LONGEST_CHAIN):
                pixel_tile(
                    panels, (block * depth + k) * rows, b, o, x, 0, tile, 2 * width, table, k,
                    min(LONGEST_CHAIN, depth - k), total, 0, width * lane, rows, width, k > 0,
                )  # fmt: skip
            for r in range(rows):
                for v in range(width):
                    source, target = (r * width + v) * lane, tile[1, v] + (o + r) * size
                    copy_run(total, source, y, target, lane, y.dtype.type(0))


def pays(window: Window, x: tuple[int, ...], maps: int, groups: int, dtype: np.dtype) -> bool:
    """Say whether a convolution of x (N, C, H, W) is done this way: on many pixels."""
    plain = window.size == (1, 1) and window.stride == (1, 1) and window.padding == ((0, 0), (0, 0)) and groups == 1
    return plain and x[1] > 0 and x[2] * x[3] >= 4 * VECTORS[rows_for(maps)] * lanes(dtype)


def convolve(gradient: bool, x: np.ndarray, w: np.ndarray, b: np.ndarray | None, y: np.ndarray) -> None:
    """Fill y with the convolution of x by w (O, C, 1, 1), or with the input gradient of an output gradient x."""
    (n, depth), maps, size = x.shape[:2], y.shape[1], math.prod(x.shape[2:])
    rows, lane = rows_for(maps), lanes(x.dtype)
    width = VECTORS[rows]
    tiles = -(-n * -(-size // lane) // width)
    pieces = threads.pieces_of(tiles)
    threads.split(
        _products, tiles, np.ascontiguousarray(x).reshape(n, depth, size),
        filter_panels(gradient, w, np.zeros(1, np.int64), 1, maps, rows),
        np.zeros(maps, x.dtype) if b is None else np.ascontiguousarray(b), np.arange(depth) * size,
        np.empty((pieces, 4, width), np.int64), np.empty((pieces, rows * width * lane), x.dtype),
        y.reshape(n, maps, size), width, lane,
        work=y.size * depth // threads.MULTIPLY_ADDS,
    )  # fmt: skip
