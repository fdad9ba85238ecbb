"""What a network makes of an image: the maps of any address, as one picture."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

import numpy as np

from tinygrad_cnn.analysis.strongest import Activation
from tinygrad_cnn.kernels.geometry import whole
from tinygrad_cnn.tensor import Tensor
from tinygrad_cnn.tracing import Call
from tinygrad_cnn.viz.figure import MUTED, drawing_style, new_figure, save_picture
from tinygrad_cnn.viz.grid import PAPER, image_grid, to_bytes

_TILE = 48  # pixels that a map has at least along its longer side, unless a scale is given
_OUTSIDE = 128  # grey
_COLUMNS = 8  # maps in a row of a figure


def feature_map_image(
    source: Call | Tensor | np.ndarray,
    sample: int = 0,
    *,
    joint: bool = False,
    channels: Sequence[int] | None = None,
    columns: int | None = None,
    scale: int | None = None,
) -> np.ndarray:
    """Return the feature maps of one image as a grid, one map for a channel, white where the map is greatest.

    Args:
        source: a call of a trace, ``t["features.conv1"]``, or its values (N, C, H, W), (N, C, L) or (N, C).
        sample: which image of the batch.
        joint: one scale of brightness for all maps, as always for the units of a vector; else each map has its own.
        channels: which maps, in which order; None takes all.
        columns: maps in a row.
        scale: pixels for each unit, along both axes; None makes small maps visible.

    Returns:
        uint8 (rows, columns), for `tinygrad_cnn.viz.save_png` or matplotlib's ``imshow``.

    Raises:
        ValueError: values of another number of axes.
        IndexError: there is no such sample or channel.

    >>> from tinygrad_cnn.analysis import record_calls
    >>> from tinygrad_cnn.models import LeNet5
    >>> t = record_calls(LeNet5(), np.ones((1, 1, 28, 28), np.float32))
    >>> feature_map_image(t["features.pool1"], scale=2).shape  # six maps of 14 x 14
    (28, 173)
    """
    maps = feature_maps(source, sample)
    if channels is not None:
        if not isinstance(channels, Iterable):
            raise TypeError(f"feature_map_image: channels must be a list of whole numbers, got {channels!r}")
        channels = [whole("feature_map_image", "a channel", channel, -1) for channel in channels]
        outside = [channel for channel in channels if not 0 <= channel < len(maps)]
        if outside:
            raise IndexError(f"feature_map_image: channel {outside[0]} is not one of the {len(maps)} of {source!r:.60}")
        maps = maps[channels]
    if scale is None:
        scale = -(-_TILE // max(maps.shape[1:])) if max(maps.shape[1:]) > 1 else 12
    is_vector = maps.shape[1:] == (1, 1)  # a map of one unit has no brightness of its own
    return image_grid(to_bytes(maps, joint or is_vector), columns, scale)


def feature_maps(source: Call | Tensor | np.ndarray, sample: int = 0) -> np.ndarray:
    """Return the maps (C, H, W) of one image; a vector gives maps of one unit, a signal maps of one row.

    >>> feature_maps(np.zeros((4, 3, 5, 6)), 2).shape, feature_maps(np.zeros((4, 10))).shape
    ((3, 5, 6), (10, 1, 1))
    """
    value = source.output if isinstance(source, Call) else source
    x = value.data if isinstance(value, Tensor) else np.asarray(value)
    if not 2 <= x.ndim <= 4:
        raise ValueError(
            f"feature_maps: expected values (N, C, H, W), (N, C, L) or (N, C), with the batch, got shape {x.shape}"
        )
    if not -len(x) <= (sample := whole("feature_maps", "sample", sample, -len(x))) < len(x):
        raise IndexError(f"feature_maps: there is no sample {sample} in a batch of {len(x)}")
    image = x[sample]
    return image.reshape(len(image), *(1,) * (3 - image.ndim), *image.shape[1:])


def strongest_image(found: Sequence[Sequence[Activation]], scale: int | None = None) -> np.ndarray:
    """Return the regions that `strongest_activations` found as a grid: a row for each channel, strongest first.

    Each region has its own brightness. What a unit sees beyond the border of the image is grey; where a channel did not
    answer, nothing is drawn.

    Args:
        found: for each channel its activations.
        scale: pixels for each pixel, along both axes; None makes small regions visible.

    Returns:
        uint8 (rows, columns), with a third axis of 3 where images have three channels.

    Raises:
        ValueError: no activation is greater than 0.

    >>> from tinygrad_cnn.analysis import strongest_activations
    >>> from tinygrad_cnn.models import LeNet5
    >>> x = np.random.default_rng(0).standard_normal((5, 1, 28, 28))
    >>> found = strongest_activations(LeNet5(), x, "features.conv2", [0, 1, 2], count=4)
    >>> strongest_image(found, scale=1).shape  # three rows of four regions of 14 x 14
    (44, 59)
    """
    if not isinstance(found, Sequence) or not all(isinstance(row, list) for row in found):
        raise TypeError(f"strongest_image: found must be what strongest_activations returns, got {found!r:.80}")
    drawn = [[_region(a) for a in row if a.value > 0] for row in found]
    tiles = [tile for row in drawn for tile in row]
    if not tiles:
        raise ValueError("strongest_image: there is nothing to draw: no activation is greater than 0")
    height, width = (max(tile.shape[i] for tile in tiles) for i in (0, 1))
    columns = max(map(len, drawn))
    cells = np.full((len(drawn) * columns, height, width, *tiles[0].shape[2:]), PAPER, np.uint8)
    for i, row in enumerate(drawn):
        for j, tile in enumerate(row):
            cells[i * columns + j, : tile.shape[0], : tile.shape[1]] = tile
    scale = -(-_TILE // max(height, width)) if scale is None else whole("strongest_image", "scale", scale, 1)
    return image_grid(cells, columns, scale, gap=scale)


def _region(activation: Activation) -> np.ndarray:
    region = activation.region
    image = region.transpose(1, 2, 0) if len(region) == 3 else region.mean(0)
    borders = [*activation.outside, *[(0, 0)] * (image.ndim - 2)]
    return np.pad(to_bytes(image[None])[0], borders, constant_values=_OUTSIDE)


def save_feature_maps(
    calls: Sequence[Call],
    path: str | os.PathLike[str],
    title: str = "Feature maps",
    sample: int = 0,
    *,
    joint: bool = False,
    most: int = 16,
) -> None:
    """Draw the feature maps of several addresses below each other and write the picture, atomically.

    Args:
        calls: those of a trace, such as ``t.find(op="relu")``.
        path: the picture; ``.png``, ``.svg`` or ``.pdf``.
        title: what the image was.
        sample: which image of the batch.
        joint: one scale of brightness for all maps of an address.
        most: draw the first so many maps of an address.

    Raises:
        ImportError: matplotlib is not installed (``pip install tinygrad-cnn[plot]``).
        ValueError: there are no calls, or the name is not that of a picture.
    """
    if not isinstance(calls, Iterable) or not all(isinstance(call, Call) for call in calls):
        raise TypeError(f"save_feature_maps: calls must be those of a trace, such as list(t), got {calls!r:.80}")
    calls, most = list(calls), whole("save_feature_maps", "most", most, 1)
    if not calls:
        raise ValueError("save_feature_maps: there are no calls to draw; give some of a trace, such as list(t)")
    grids, heads = [], []
    for call in calls:
        maps = feature_maps(call, sample)
        is_vector = maps.shape[1:] == (1, 1)
        columns = _COLUMNS * (4 if is_vector else 1)
        drawn = range(len(maps) if is_vector else min(most, len(maps)))
        grid = feature_map_image(call, sample, joint=joint, channels=drawn, columns=columns)
        if len(drawn) < columns:  # the maps of all addresses have one size
            cell = (grid.shape[1] + 1) // len(drawn)
            grid = np.pad(grid, [(0, 0), (0, (columns - len(drawn)) * cell)], constant_values=PAPER)
        grids.append(grid)
        size = " x ".join(map(str, call.shape[1:]))
        heads.append(f"{call.address}: {size}{'' if len(drawn) == len(maps) else f', the first {len(drawn)}'}")
    with drawing_style():
        width = 6.4
        heights = [width * grid.shape[0] / grid.shape[1] for grid in grids]
        figure = new_figure(width, sum(heights) + 0.32 * len(grids) + 0.5, title)
        axes = figure.subplots(len(grids), squeeze=False, height_ratios=heights)[:, 0]
        for axis, grid, head in zip(axes, grids, heads, strict=True):
            axis.imshow(grid, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            axis.set_axis_off()
            axis.set_title(head.replace("$", r"\$"), loc="left", fontsize=9, color=MUTED, pad=3)
        save_picture(figure, path)
