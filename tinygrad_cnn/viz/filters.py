"""The filters of a convolution as images: what the first layer looks for can be seen."""

from __future__ import annotations

import numpy as np

from tinygrad_cnn.kernels.geometry import whole
from tinygrad_cnn.nn import Module
from tinygrad_cnn.tensor import Tensor
from tinygrad_cnn.viz.grid import image_grid, to_bytes

_TILE = 32  # pixels that a filter has at least along its longer side, unless a scale is given


def filter_image(
    source: Module | Tensor | np.ndarray,
    *,
    joint: bool = False,
    most: int = 64,
    columns: int | None = None,
    scale: int | None = None,
) -> np.ndarray:
    """Return the filters of a convolution as a grid: black is the least weight, white the greatest.

    Filters of one channel stand side by side; so do those of three channels, in colour (red, green, blue). Of more
    channels each filter is a row of its parts, one for a channel of the input.

    Args:
        source: a layer with a weight (O, I, KH, KW), such as `nn.Conv2d`, or the weight.
        joint: one scale of brightness for all filters; else each filter has its own, its channels together.
        most: draw the first so many filters and channels.
        columns: filters in a row; None chooses, one where they have more than three channels.
        scale: pixels for each weight, along both axes; None makes small filters visible.

    Returns:
        uint8 (rows, columns), with a third axis of 3 where filters have colours.

    Raises:
        ValueError: there is no weight of four axes.

    >>> from tinygrad_cnn import nn
    >>> filter_image(nn.Conv2d(3, 16, 7), scale=1).shape, filter_image(nn.Conv2d(6, 16, 5), scale=1).shape
    ((15, 63, 3), (95, 35))
    """
    weight = getattr(source, "weight", None) if isinstance(source, Module) else source
    w = weight.data if isinstance(weight, Tensor) else np.asarray(weight)
    if w.ndim != 4 or not w.size:
        what = type(source).__name__ if isinstance(source, Module) else f"an array of shape {w.shape}"
        raise ValueError(f"filter_image: expected a layer with a weight (O, I, KH, KW), such as nn.Conv2d, got {what}")
    most = whole("filter_image", "most", most, 1)
    w = w[:most]
    scale = -(-_TILE // max(w.shape[2:])) if scale is None else whole("filter_image", "scale", scale, 1)
    gap = max(1, scale // 2)
    if w.shape[1] == 3:
        return image_grid(to_bytes(w.transpose(0, 2, 3, 1), joint), columns, scale, gap)  # (O, KH, KW, 3)
    filters = to_bytes(w.reshape(len(w), -1, w.shape[3]), joint).reshape(w.shape)[:, :most]
    if w.shape[1] == 1:
        return image_grid(filters[:, 0], columns, scale, gap)
    strips = np.stack([image_grid(parts, len(parts), scale, gap) for parts in filters])
    return image_grid(strips, columns or 1, gap=gap if columns is None else 4 * gap)
