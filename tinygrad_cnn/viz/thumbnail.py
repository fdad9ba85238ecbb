"""What an operation computed, as a picture of the size of a stamp."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_cnn.viz.grid import image_grid, to_bytes
from tinygrad_cnn.viz.png import png_bytes

_MAPS, _VALUES = 4, 256  # so many of them are shown
_SIDE = 56  # pixels of a map
_ROW = 32  # cells


def thumbnail(values: Any) -> bytes:
    """Return a small PNG picture of the first sample of a batch, empty where there is nothing to be seen.

    Of maps (N, C, H, W) the first four are shown, each from its least number (black) to its greatest (white); an image
    of three channels is shown in colour. Of vectors (N, F) the first 256 numbers are shown as cells, 32 to a row.

    >>> thumbnail(np.zeros((2, 8, 14, 14)))[1:4], thumbnail(np.zeros(3))
    (b'PNG', b'')
    """
    x = np.asarray(values)
    if x.ndim not in (2, 4) or not x.size or x.dtype.kind != "f":
        return b""
    x = x[0]
    if x.ndim == 1 or x.shape[1:] == (1, 1):
        return png_bytes(_cells(x.ravel()))
    maps = np.stack([_shrunk(channel) for channel in x[:_MAPS]])
    if len(x) == 3:
        maps = np.moveaxis(maps, 0, -1)[None]
    return png_bytes(image_grid(to_bytes(maps), scale=max(1, _SIDE // max(maps.shape[1:3])), gap=3))


def _shrunk(channel: np.ndarray) -> np.ndarray:
    """Return the means of squares of pixels, so that a map fits; what does not fill a square is cut off."""
    step = math.ceil(max(channel.shape) / _SIDE)
    height, width = (max(size // step, 1) for size in channel.shape)
    squares = channel[: height * step, : width * step]
    return squares.reshape(height, squares.shape[0] // height, width, squares.shape[1] // width).mean((1, 3))


def _cells(numbers: np.ndarray) -> np.ndarray:
    """Return a grey image of one cell for each number; cells of the last row that are not needed are white."""
    shown = to_bytes(numbers[None, None, :_VALUES])[0, 0]
    columns = min(len(shown), _ROW)
    cells = np.full(-(-len(shown) // columns) * columns, 255, np.uint8)
    cells[: len(shown)] = shown
    size = max(6, min(16, 224 // columns))
    return cells.reshape(-1, columns).repeat(size, 0).repeat(size, 1)
