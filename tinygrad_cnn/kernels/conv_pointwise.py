"""Convolution with 1x1 filters at stride 1: a matrix product for each image, y[n] = w @ x[n], without any copy.

The pixels of a map lie one behind the other, so a tile reads vectors straight from x and writes them straight to y.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy import ndarray

from tinygrad_cnn.kernels import threads
from tinygrad_cnn.kernels.compile import kernel
from tinygrad_cnn.kernels.conv_lanes import filter_panels
from tinygrad_cnn.kernels.geometry import Window
from tinygrad_cnn.kernels.tile import LONGEST_CHAIN, VECTORS, lanes, rows_for
from tinygrad_cnn.kernels.tile_pixels import pixel_tile


@kernel
def _products(
    x: ndarray,
    panels: ndarray,
    b: ndarray,
    table: ndarray,
    tile: ndarray,
    y: ndarray,
    width: int,
    start: int,
    stop: int,
) -> None:
    """Compute the items start..stop, an item being ``width`` pixels of an image, for all filters.

    x (N, C, pixels), panels (blocks, C, rows), y (N, O, pixels); the last tile and the last block move back over the
    ones before.
    """
    depth, pixels = x.shape[1:]
    o_size, rows = y.shape[1], panels.shape[2]
    tiles = (pixels + width - 1) // width
    for item in range(start, stop):
        n, number = divmod(item, tiles)
        pixel = min(number * width, pixels - width)
        for block in range(len(panels)):
            o = min(block * rows, o_size - rows)
            pixel_tile(
                panels, block * depth * rows, b, o, x, n * depth * pixels + pixel, tile, 0, table, 0, depth, y,
                (n * o_size + o) * pixels + pixel, pixels, rows, False,
            )  # fmt: skip


@lru_cache(maxsize=256)
def _offsets(depth: int, pixels: int, vectors: int, lane: int) -> tuple[ndarray, ndarray]:
    """Return where the channels of a pixel lie, and the sources and places of the vectors of a tile."""
    return np.arange(depth) * pixels, np.tile(np.arange(vectors) * lane, 2)


def pays(window: Window, x: tuple[int, ...], maps: int, groups: int, dtype: np.dtype) -> bool:
    """Say whether a convolution of x (N, C, H, W) is done this way: one chain of channels, and many pixels."""
    plain = window.size == (1, 1) and window.stride == (1, 1) and window.padding == ((0, 0), (0, 0)) and groups == 1
    return plain and 0 < x[1] <= LONGEST_CHAIN and x[2] * x[3] >= 4 * VECTORS[rows_for(maps)] * lanes(dtype)


def convolve(gradient: bool, x: np.ndarray, w: np.ndarray, b: np.ndarray | None, y: np.ndarray) -> None:
    """Fill y with the convolution of x by w (O, C, 1, 1), or with the input gradient of an output gradient x."""
    (n, depth), maps, pixels = x.shape[:2], y.shape[1], math.prod(x.shape[2:])
    rows, lane = rows_for(maps), lanes(x.dtype)
    width = VECTORS[rows] * lane
    threads.split(
        _products, n * -(-pixels // width), np.ascontiguousarray(x).reshape(n, depth, pixels),
        filter_panels(gradient, w, np.zeros(1, np.int64), 1, maps, rows),
        np.zeros(maps, x.dtype) if b is None else np.ascontiguousarray(b),
        *_offsets(depth, pixels, VECTORS[rows], lane), y.reshape(n, maps, pixels), width,
        work=y.size * depth // threads.MULTIPLY_ADDS,
    )  # fmt: skip
