"""What the page has to know for hovering: the maps of every layer as one picture, and what each of their units sees."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from tinygrad_cnn.analysis import receptive_field
from tinygrad_cnn.analysis.receptive.field import Field
from tinygrad_cnn.analysis.receptive.regular import Axis, ReceptiveField
from tinygrad_cnn.autograd import Function
from tinygrad_cnn.functional.activation import LeakyReLU, PReLU, ReLU, Sigmoid, Tanh
from tinygrad_cnn.functional.curves import Curve
from tinygrad_cnn.functional.dropout import Dropout
from tinygrad_cnn.functional.norm import BatchNorm, BatchNormFixed
from tinygrad_cnn.kernels.geometry import Pair
from tinygrad_cnn.report.markup import data_uri
from tinygrad_cnn.tensor import Tensor
from tinygrad_cnn.tracing import Call, Trace
from tinygrad_cnn.viz.features import feature_maps
from tinygrad_cnn.viz.grid import image_grid, limits, to_bytes

WIDTH = 850  # pixels that the maps of a layer may take
_TILE = 72  # pixels that a map is about wide
_GAP = 3
_MOST_LAYERS, _MOST_UNITS = 16, 256
# What goes number by number: maps before it and behind it show nearly the same.
_POINTWISE: tuple[type[Function], ...] = (
    BatchNorm, BatchNormFixed, Curve, Dropout, LeakyReLU, PReLU, ReLU, Sigmoid, Tanh,
)  # fmt: skip


@dataclass
class Layer:
    """The maps of one address as the page shows them.

    Attributes:
        call: of the trace.
        maps: how many are drawn; the result may have more.
        scale: pixels for each unit.
        columns: maps in a row.
        sees: what the units see, as `seen` tells it; None where that is not known.
        reach: height and width of the largest box that a unit sees, (0, 0) where that is not known.
    """

    call: Call
    maps: int
    scale: int
    columns: int
    sees: dict[str, Any] | None
    reach: Pair

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of a map; a vector has maps of one unit."""
        return (*self.call.shape[2:], 1, 1)[:2] if len(self.call.shape) == 4 else (1, 1)

    @property
    def joint(self) -> bool:
        """Whether the maps share their scale of brightness, as the units of a vector do."""
        return self.size == (1, 1)

    def values(self, sample: int) -> np.ndarray:
        """Return the maps of one image that are drawn, (maps, H, W)."""
        return feature_maps(self.call, sample)[: self.maps]

    def image(self, sample: int) -> np.ndarray:
        """Return the picture of the maps of one image."""
        return image_grid(to_bytes(self.values(sample), self.joint), self.columns, self.scale, _GAP)

    def told(self) -> dict[str, Any]:
        """Return what the page's script has to know, but for the pictures."""
        height, width = self.size
        samples = [limits(self.values(n), self.joint) for n in range(self.call.shape[0])]
        return {
            "name": self.call.address,
            "maps": self.maps,
            "size": [height, width],
            "scale": self.scale,
            "gap": _GAP,
            "columns": self.columns,
            "sees": self.sees,
            "range": [[[_short(lo), _short(hi)] for lo, hi in zip(*sample, strict=True)] for sample in samples],
        }


def layers(t: Trace, x: Tensor, addresses: Sequence[str] | None, most: int) -> list[Layer]:
    """Return the layers to show: those of the addresses, or a choice that tells the whole story.

    Args:
        t: of a batch of images.
        x: these images.
        addresses: what to show; None takes all calls that give maps or vectors. Of more than 16 it leaves out what the
            next operation only bends or scales, then takes 16 evenly.
        most: maps of a layer that are drawn.
    """
    calls = [t[address] for address in addresses] if addresses is not None else chosen(t)
    found = []
    for call in calls:
        if len(call.shape) not in (2, 4):
            raise ValueError(
                f"report: {call.address!r} gives {call.shape}, neither maps (N, C, H, W) nor a vector (N, C)"
            )
        is_vector = len(call.shape) == 2
        maps = min(call.shape[1], _MOST_UNITS if is_vector else most)
        width = 1 if is_vector else call.shape[3]
        scale = 12 if is_vector else max(1, round(_TILE / width))
        rows = -(-maps // max(1, (WIDTH + _GAP) // (width * scale + _GAP)))
        found.append(Layer(call, maps, scale, -(-maps // rows), *seen(t, call, x)))
    return found


def chosen(t: Trace) -> list[Call]:
    """Return at most 16 calls that give maps or vectors.

    >>> from tinygrad_cnn.analysis import record_calls
    >>> from tinygrad_cnn.models import LeNet5
    >>> [call.address for call in chosen(record_calls(LeNet5(), np.zeros((1, 1, 28, 28), np.float32)))][:4]
    ['features.conv1', 'features.relu1', 'features.pool1', 'features.conv2']
    """
    calls = [c for c in t if len(c.shape) in (2, 4) and c.nbytes and math.prod(c.shape[1:]) > 1]
    if len(calls) > _MOST_LAYERS:
        passed_on = {
            source
            for call in t
            if isinstance(call.function, _POINTWISE)
            for source in call.sources
            if source is not None
        }
        calls = [call for call in calls if call not in passed_on]
    if len(calls) > _MOST_LAYERS:
        calls = [calls[round(i)] for i in np.linspace(0, len(calls) - 1, _MOST_LAYERS)]
    return calls


def seen(t: Trace, call: Call, x: Tensor) -> tuple[dict[str, Any] | None, Pair]:
    """Return the boxes of the image that the units of a call see, in as few numbers as possible, and the largest sides.

    Along an axis either {"start", "step", "size", "limit"}: unit i sees [start + i*step, start + i*step + size),
    clipped to the image; or a list of [start, stop], one for each unit. Where rows and columns do not go apart, "boxes"
    lists [top, bottom, left, right] for each unit, row by row. Where all units leave out the same pixels, as dilated
    filters do, "pattern" has a line for each row of an unclipped box, "1" for what is seen; the box of unit (i, j)
    begins at "start" + (i, j)*"step".
    """
    try:
        field = receptive_field(t, call, relative_to=x)
        boxes = field.boxes() if len(call.shape) == 4 else np.array(field.box()).reshape(1, 1, 2, 2)
    except (ValueError, NotImplementedError):  # it does not depend on the image, or nobody knows
        return None, (0, 0)
    reach = int(np.ptp(boxes[:, :, 0], axis=2).max()), int(np.ptp(boxes[:, :, 1], axis=2).max())
    height, width = field.image_size
    rows, columns = boxes[:, :1, 0], boxes[:1, :, 1]  # (OH, 1, 2) and (1, OW, 2)
    if not ((boxes[:, :, 0] == rows).all() and (boxes[:, :, 1] == columns).all()):
        return {"boxes": boxes.reshape(-1, 4).tolist()}, reach
    regular = field.regular or (None, None)
    axes = _axis(rows[:, 0], regular[0], height), _axis(columns[0], regular[1], width)
    sees = {"rows": axes[0], "columns": axes[1]}
    if field.regular and len(call.shape) == 4:
        sees |= _pattern(field, field.regular)
    return sees, reach


def _pattern(field: Field, regular: ReceptiveField) -> dict[str, Any]:
    """Return which pixels of its box each unit sees; nothing where that is all of them, or not alike for all units."""
    size = [axis.size for axis in regular]

    def seen(unit: Pair) -> tuple[np.ndarray, np.ndarray]:
        """Return which pixels of the unclipped box of a unit it sees, and which of them belong to the image."""
        inner = tuple(slice(n, -n) for n in size)  # a border around the image that no box reaches beyond
        whole = np.zeros((2, *(n + 2 * s for n, s in zip(field.image_size, size, strict=True))), bool)
        whole[0][inner], whole[1][inner] = field.mask(*unit), True
        starts = [axis.start + i * axis.stride + axis.size for axis, i in zip(regular, unit, strict=True)]
        box = whole[:, starts[0] : starts[0] + size[0], starts[1] : starts[1] + size[1]]
        return box[0], box[1]

    ends = [(0, n // 2, n - 1) for n in field.map_size]
    pattern, inside = seen((ends[0][1], ends[1][1]))
    if pattern.all() or not inside.all():
        return {}
    for unit in product(ends[0], ends[1]):
        found, inside = seen(unit)
        if not np.array_equal(found, pattern & inside):
            return {}
    lines = ["".join("01"[bit] for bit in row) for row in pattern.astype(int)]
    return {"pattern": lines, "start": [axis.start for axis in regular], "step": [axis.stride for axis in regular]}


def _axis(intervals: np.ndarray, axis: Axis | None, limit: int) -> Any:
    """Return intervals by their start, step and size where that is what they are, clipped to the image."""
    if axis is not None:
        starts = axis.start + axis.stride * np.arange(len(intervals))
        if (intervals == np.stack([starts, starts + axis.size], 1).clip(0, limit)).all():
            return {"start": axis.start, "step": axis.stride, "size": axis.size, "limit": limit}
    return intervals.tolist()


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def pictures(found: Sequence[Layer], sample: int) -> list[str]:
    """Return the pictures of all layers for one image."""
    return [data_uri(layer.image(sample)) for layer in found]
