"""How busy the units of a network are over a whole data set: the share of zeros, and units that never answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad_cnn.analysis.batches import Batches, addresses_of
from tinygrad_cnn.calls import record_calls
from tinygrad_cnn.nn import Module
from tinygrad_cnn.tracing import Shape

RECTIFIERS = ("relu", "relu6")  # operations that say "nothing here" by a zero


@dataclass
class Activity:
    """What the units of one address did over a data set.

    Attributes:
        address: of the call.
        output: its shape for one image.
        counted: numbers looked at, over all images.
        active: (C,) the share of those of each channel that were not zero.
        mean: (C,) of the numbers of each channel.
        greatest: (C,) of them.
    """

    address: str
    output: Shape
    counted: int
    active: np.ndarray
    mean: np.ndarray
    greatest: np.ndarray

    @property
    def zeros(self) -> float:
        """The share of zeros, 0 to 1: the sparsity."""
        return 1 - float(self.active.mean())

    @property
    def dead(self) -> list[int]:
        """The channels that were zero everywhere in every image."""
        return np.flatnonzero(self.active == 0).tolist()


@dataclass
class Activities:
    """What `activities` found: one row for an address, in the order of execution. ``print`` shows it as a table."""

    network: str
    images: int
    rows: list[Activity] = field(default_factory=list)

    def __getitem__(self, address: str) -> Activity:
        """Return the row of an address."""
        for row in self.rows:
            if row.address == address:
                return row
        raise KeyError(f"{address!r} was not looked at; the addresses are {[row.address for row in self.rows]}")

    def __iter__(self) -> Iterator[Activity]:
        return iter(self.rows)

    def __str__(self) -> str:
        heads = ("address", "output", "zeros", "dead")
        lines = [heads, *(_cells(row) for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        aligns = (str.ljust, str.ljust, str.rjust, str.ljust)
        text = [
            "  ".join(a(cell, w) for a, cell, w in zip(aligns, line, widths, strict=True)).rstrip() for line in lines
        ]
        return "\n".join([f"{self.network}, {self.images:,} images", text[0], "-" * max(map(len, text)), *text[1:]])


def activities(model: Module, data: Any, addresses: Sequence[str] | None = None, batch_size: int = 100) -> Activities:
    """Measure the sparsity of activations by depth, and find dead units.

    A unit is a channel. One that is zero everywhere in every image is dead: behind a ReLU no gradient reaches its
    weights, so training on these images cannot wake it. The model runs in evaluation mode and without gradients;
    nothing in it changes.

    Args:
        model: any module.
        data: images (N, C, H, W), a pair of images and labels, or a data set that gives either for an array of indices.
        addresses: those of a trace; None takes every ReLU and ReLU6.
        batch_size: images at a time; it changes the memory needed and not the result.

    Raises:
        ValueError: there are no images, or there is no ReLU and no address was given.
        KeyError: an address is not one of the model's.

    >>> from tinygrad_cnn import nn
    >>> model = nn.Sequential({"conv": nn.Conv2d(1, 2, 1), "relu": nn.ReLU()})
    >>> model.conv.weight.data[:, 0, 0, 0], model.conv.bias.data[:] = (1, -1), 0
    >>> print(activities(model, np.arange(8, dtype=np.float32).reshape(2, 1, 2, 2)))
    Sequential, 2 images
    address  output     zeros  dead
    ------------------------------------
    relu     2 x 2 x 2  56.2%  1 of 2: 1
    """
    addresses = addresses_of("activities", addresses)
    found: dict[str, list[np.ndarray]] = {}  # by address: nonzero, sum and greatest of each channel
    shapes: dict[str, Shape] = {}
    batches = Batches("activities", model, data, batch_size)
    for _, x, _ in batches:
        t = record_calls(model, x)
        calls = [call for call in t if call.op in RECTIFIERS] if addresses is None else [t[name] for name in addresses]
        if not calls:
            raise ValueError(
                f"activities: {type(model).__name__} has no {' or '.join(RECTIFIERS)}; give addresses=, some of "
                f"{', '.join(t.addresses[:8])}, ..."
            )
        for name, call in zip(addresses or [call.address for call in calls], calls, strict=True):
            y = np.moveaxis(call.output.data, 1, 0).reshape(call.shape[1], -1)
            new = [np.count_nonzero(y, 1), y.sum(1, dtype=np.float64), y.max(1)]
            old = found.setdefault(name, [new[0] * 0, new[1] * 0, new[2]])
            found[name] = [old[0] + new[0], old[1] + new[1], np.maximum(old[2], new[2])]
            shapes[name] = call.shape[1:]
    rows = []
    for name, (nonzero, total, greatest) in found.items():
        count = len(batches) * int(np.prod(shapes[name][1:]))
        rows.append(Activity(name, shapes[name], count * len(nonzero), nonzero / count, total / count, greatest))
    return Activities(type(model).__name__, len(batches), rows)


def _cells(row: Activity) -> tuple[str, ...]:
    dead = row.dead
    which = ", ".join(map(str, dead[:8])) + (", ..." if len(dead) > 8 else "")
    return (
        row.address,
        " x ".join(map(str, row.output)),
        f"{row.zeros:.1%}",
        f"{len(dead)} of {len(row.active)}: {which}" if dead else "",
    )
