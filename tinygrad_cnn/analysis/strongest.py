"""What excites a unit most: the images and places of its greatest activations, and the pixels that it saw there.

Zeiler and Fergus, 2014, "Visualizing and understanding convolutional networks", https://arxiv.org/abs/1311.2901.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_cnn.analysis.batches import Batches
from tinygrad_cnn.analysis.receptive.field import Field, receptive_field
from tinygrad_cnn.calls import record_calls
from tinygrad_cnn.kernels.geometry import Pair, whole
from tinygrad_cnn.nn import Module


@dataclass
class Activation:
    """One place in one image that a channel answered to.

    Attributes:
        value: of the activation.
        image: the number of the image in the data.
        unit: (row, column) in the feature map, (0, 0) for a vector.
        box: ((top, bottom), (left, right)) of the pixels that the unit sees, half-open, clipped to the image.
        region: (C, bottom - top, right - left) these pixels.
        outside: ((above, below), (left, right)) how far the unclipped field reaches over the image's borders.
    """

    value: float
    image: int
    unit: Pair
    box: tuple[Pair, Pair]
    region: np.ndarray
    outside: tuple[Pair, Pair] = ((0, 0), (0, 0))

    def __repr__(self) -> str:
        (top, bottom), (left, right) = self.box
        return f"<{self.value:.4g} in image {self.image}, rows {top} to {bottom - 1}, columns {left} to {right - 1}>"


def strongest_activations(
    model: Module, data: Any, address: str, channels: int | Sequence[int], count: int = 9, batch_size: int = 100
) -> list[list[Activation]]:
    """Return the strongest activations of channels over a data set, each with the image region that caused it.

    Of each image the strongest place counts, the first one where several are equal. The regions are cut out by the
    receptive field, which the recorded graph tells. The model runs in evaluation mode and without gradients; nothing in
    it changes.

    Args:
        model: any module.
        data: images (N, C, H, W), a pair of images and labels, or a data set that gives either for an array of indices.
        address: of a call of a trace, such as ``"features.conv2"``, or the path of a module.
        channels: which unit, or which ones.
        count: how many for each channel.
        batch_size: images at a time; it changes the memory needed and not the result.

    Returns:
        For each channel its activations, strongest first; equal ones by the number of their image.

    Raises:
        KeyError: there is no such address.
        IndexError: there is no such channel.
        ValueError: the result at the address has neither maps nor units, or there are no images.
        NotImplementedError: nobody has said what an operation before it sees; see `receptive_field`.

    >>> from tinygrad_cnn import nn
    >>> model = nn.Sequential({"conv": nn.Conv2d(1, 1, 3, bias=False)})
    >>> model.conv.weight.data[:] = 1
    >>> x = np.zeros((2, 1, 6, 5), np.float32)
    >>> x[1, 0, 4, 4] = 2
    >>> strongest_activations(model, x, "conv", 0, count=1)
    [[<2 in image 1, rows 2 to 4, columns 2 to 4>]]
    """
    op = "strongest_activations"
    wanted: list[Any] = list(channels) if isinstance(channels, Iterable) else [channels]
    if not wanted:
        raise ValueError("strongest_activations: channels are none; give at least one")
    count, wanted = whole(op, "count", count, 1), [whole(op, "a channel", c, -1) for c in wanted]
    best: list[list[Activation]] = [[] for _ in wanted]
    for start, x, _ in Batches("strongest_activations", model, data, batch_size):
        t = record_calls(model, x)
        call = t[address]
        y = call.output.data
        if y.ndim not in (2, 4):
            raise ValueError(
                f"strongest_activations: expected (N, C, H, W) or (N, C) at {address!r}, got shape {call.shape}"
            )
        outside = [c for c in wanted if not 0 <= c < y.shape[1]]
        if outside:
            raise IndexError(f"strongest_activations: {address!r} has channels 0 to {y.shape[1] - 1}, not {outside[0]}")
        field = receptive_field(t, call, relative_to=x)
        maps = y.reshape(*y.shape[:2], -1)
        for found, channel in zip(best, wanted, strict=True):
            places = maps[:, channel].argmax(1)
            values = maps[np.arange(len(maps)), channel, places]
            for n in np.argsort(-values, kind="stable")[:count]:
                if len(found) >= count and values[n] <= found[-1].value:
                    break
                unit = divmod(int(places[n]), y.shape[3] if y.ndim == 4 else 1)
                found.append(_cut(float(values[n]), start + int(n), unit, field, x.data[n]))
                found.sort(key=lambda activation: -activation.value)
                del found[count:]
    return best


def _cut(value: float, image: int, unit: Pair, field: Field, x: np.ndarray) -> Activation:
    name = unit if len(field.map_size) == 2 else ()  # all units of a vector together
    (top, bottom), (left, right) = box = field.box(*name)
    whole = field.box(*name, clip=False) if name and field.regular else box
    above, before = (max(-start, 0) for start, _ in whole)
    below, after = (max(stop - size, 0) for (_, stop), size in zip(whole, x.shape[1:], strict=True))
    region = x[:, top:bottom, left:right].copy()
    return Activation(value, image, unit, ((top, bottom), (left, right)), region, ((above, below), (before, after)))
