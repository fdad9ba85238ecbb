"""What one unit sees, exactly, and who sees a pixel: questions to the recorded graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_cnn.analysis.receptive.links import places
from tinygrad_cnn.analysis.receptive.regular import ReceptiveField, seen_by
from tinygrad_cnn.analysis.receptive.steps import Steps, steps
from tinygrad_cnn.analysis.receptive.wiring import START, Wiring, grid_mask
from tinygrad_cnn.calls import record_calls, sample_input
from tinygrad_cnn.kernels.geometry import Pair
from tinygrad_cnn.nn import Module
from tinygrad_cnn.tensor import Tensor
from tinygrad_cnn.tracing import Call, Trace

EDGES = {"top": (-2, 0), "bottom": (-2, -1), "left": (-1, 0), "right": (-1, -1)}  # the axis, and which end of it


class Field:
    """What the units of one map see of the image, or of another map; see `receptive_field`.

    A unit is named by its (row, column): its channels count as one. A unit of a vector (N, F) is named by its index, or
    by nothing: all of them together.

    Attributes:
        address: of the map whose units see.
        regular: size, stride and centre along both axes; None where they differ from unit to unit.
        map_size: (rows, columns) of units.
        image_size: (rows, columns) of pixels, or of units of the other map.
    """

    def __init__(self, wiring: Wiring, call: Call) -> None:
        self.wiring, self.call, self.address = wiring, call, call.address
        self.map_size, self.image_size = places(call.shape), places(wiring.shape)
        self.seen = seen_by(wiring)
        self.regular: ReceptiveField | None = self.seen[call.index].field if self.seen else None

    # --- of all units --------------------------------------------------------------------------------------------

    @property
    def size(self) -> Pair:
        """(height, width) in pixels, from the first to the last that a unit can see."""
        height, width = self._regular()
        return height.size, width.size

    @property
    def stride(self) -> Pair:
        """Pixels from what a unit sees to what the next one sees; 0 where all see the same."""
        height, width = self._regular()
        return height.stride, width.stride

    @property
    def offset(self) -> tuple[float, float]:
        """The centre of what the first unit sees; that of the first pixel is (0, 0)."""
        height, width = self._regular()
        return height.centre, width.centre

    @property
    def padding(self) -> Pair:
        """How many pixels of what the first unit sees lie before the image."""
        height, width = self._regular()
        return -height.start, -width.start

    def steps(self) -> Steps:
        """Return the way to these numbers, layer by layer; ``print`` shows it as a table."""
        return steps(self.wiring, self.call, self.seen)

    def boxes(self) -> ndarray:
        """Return all clipped boxes, (OH, OW, 2, 2): [[top, bottom], [left, right]] of each unit."""
        tables = self.wiring.tables(self.call.index)
        if tables is None or not all(table.any(1).all() for table in tables):
            flat = [self.box(*unit) for unit in np.ndindex(*self.map_size)]
            return np.array(flat).reshape(*self.map_size, len(self.image_size), 2)
        rows, columns = (np.stack([t.argmax(1), t.shape[1] - t[:, ::-1].argmax(1)], 1) for t in tables)
        return np.stack(np.broadcast_arrays(rows[:, None], columns[None]), 2)

    # --- of one unit ---------------------------------------------------------------------------------------------

    def mask(self, *unit: int) -> ndarray:
        """Return where the pixels are that a unit can see, as bools of the size of the image: holes are left out."""
        seen = self.wiring.back(self.call.index, self._marked(unit)).get(START)
        return np.zeros(self.image_size, bool) if seen is None else seen

    def box(self, *unit: int, clip: bool = True) -> tuple[Pair, ...]:
        """Return ((top, bottom), (left, right)) around what a unit sees, half-open.

        Args:
            *unit: (row, column).
            clip: only pixels that are there; else by the formula, which counts the padding as pixels.
        """
        if not clip:
            row, column = (int(at[0]) for at in np.nonzero(self._marked(unit)))
            return self._regular().interval((row, column))
        return bounds(self.mask(*unit))

    def centre(self, *unit: int) -> tuple[float, ...]:
        """Return the pixel in the middle of what a unit sees, by the formula where the map is regular."""
        box = self.box(*unit, clip=self.regular is None or len(unit) != 2)
        return tuple((start + stop - 1) / 2 for start, stop in box)

    def path(self, *unit: int, edge: str = "top") -> list[str]:
        """Return the addresses of the calls through which a unit sees the outermost pixels at an edge.

        Args:
            *unit: (row, column).
            edge: 'top', 'bottom', 'left' or 'right' of its box; where several paths reach it, the first is taken.
        """
        if not isinstance(edge, str) or edge not in EDGES:
            raise ValueError(f"path: edge must be one of {', '.join(EDGES)}, got {edge!r}")
        axis, end = EDGES[edge]
        seen = self.wiring.back(self.call.index, self._marked(unit))
        if not seen[START].any():
            return []
        line = np.zeros_like(seen[START])
        at = np.nonzero(seen[START])[axis]
        outermost = (..., at.min() if end == 0 else at.max(), *[slice(None)] * (-1 - axis))
        line[outermost] = seen[START][outermost]
        found, here = [], START
        for index, links in self.wiring.into.items():
            for source, link in links:
                reached = link.forth(line) & seen[index] if source == here and index in seen else None
                if reached is not None and reached.any():
                    found.append(self.wiring.calls[index].address)
                    here, line = index, reached
                    break
        return found

    # --- the other way -------------------------------------------------------------------------------------------

    def units(self, box: Sequence[Any]) -> ndarray:
        """Return the units that see any pixel of a box, as bools of the size of the map.

        Args:
            box: ((top, bottom), (left, right)), half-open; or one pixel (row, column).
        """
        mask = np.zeros(self.image_size, bool)
        if not isinstance(box, Sequence | np.ndarray) or len(box) != len(self.image_size):
            raise ValueError(
                "units: a box is ((top, bottom), (left, right)), a range for each side of an image of "
                f"{self.image_size}, and a pixel (row, column), got {box!r}"
            )
        for part, n in zip(box, self.image_size, strict=True):
            ends = tuple(part) if isinstance(part, Sequence) else (part,)
            if len(ends) > 2 or not all(isinstance(end, int | np.integer) for end in ends):
                raise TypeError(f"units: rows and columns are whole numbers, or ranges (first, end), got {tuple(box)}")
            low, high = ends[0], ends[-1] + (len(ends) == 1)
            if not 0 <= low < high <= n:
                raise IndexError(f"units: {tuple(box)} is no box and no pixel of an image of {self.image_size}")
        mask[tuple(slice(*part) if isinstance(part, Sequence) else part for part in box)] = True
        seen = self.wiring.forth(mask).get(self.call.index)
        return np.zeros(self.map_size, bool) if seen is None else seen

    # --- inside --------------------------------------------------------------------------------------------------

    def _marked(self, unit: tuple[int, ...]) -> ndarray:
        return grid_mask(self.call.shape, unit, self.address)

    def _regular(self) -> ReceptiveField:
        if self.regular is None:
            raise ValueError(
                f"the units of {self.address} differ in what they see, so that no one size describes it; ask for the "
                "box(row, column) or the mask(row, column) of a unit, or for all boxes()"
            )
        return self.regular


def receptive_field(
    model: Module | Trace,
    address: str | Call,
    input_size: Any = None,
    *,
    relative_to: str | Call | Any = None,
    sample: int | None = None,
) -> Field:
    """Return what the units of a map can see of the image, or of another map: exactly, borders and holes included.

    A pixel is seen where a change of it may change the unit, for some weights: a maximum sees its whole window. The
    operations that a model ran are followed backwards, whatever they are: branches, sums, dilation, paddings,
    ceil_mode, resizing, transposed convolution, slices, flattening. Channels count as one, and so do samples; the
    statistics of a batch are taken as given.

    Args:
        model: a module, which runs once on zeros in evaluation mode, or a `Trace`.
        address: of the call whose units see; see `Trace`.
        input_size: the shape of one input without the batch, such as (3, 224, 224); for a module only.
        relative_to: the address of another map to be seen, or an array that the model was called with; the image where
            None.
        sample: which region of interest to follow, of `roi_pool` and `roi_align`; any of them where None.

    Raises:
        KeyError: there is no such address.
        ValueError: the units do not depend on what they should see.
        NotImplementedError: nobody has said what an operation sees (``sees.register``).

    >>> from tinygrad_cnn import nn
    >>> model = nn.Sequential(nn.Conv2d(1, 1, 3, dilation=2), nn.MaxPool2d(2))
    >>> field = receptive_field(model, "1", (1, 12, 10))
    >>> field.size, field.stride, field.box(0, 1), field.centre(0, 1)
    ((6, 6), (2, 2), ((0, 6), (2, 8)), (2.5, 4.5))
    >>> print(field.steps())
    layer  window                                       sees               step     centre of the first unit
    -----------------------------------------------------------------------------------------------------------
    0      3, stride 1, padding 0, dilation 2: spans 5  1 + (5 - 1)*1 = 5  1*1 = 1  0 + ((5 - 1)/2 - 0)*1 = 2
    1      2, stride 2, padding 0                       5 + (2 - 1)*1 = 6  1*2 = 2  2 + ((2 - 1)/2 - 0)*1 = 2.5
    """
    calls = _trace(model, input_size)
    call = address if isinstance(address, Call) else calls[address]
    start: Any = relative_to
    if relative_to is None:
        start = image_of(calls)
    elif isinstance(relative_to, str):
        start = calls[relative_to]
    elif isinstance(relative_to, Tensor):
        start = relative_to.data
    if not isinstance(start, Call | np.ndarray):
        raise TypeError(f"receptive_field: relative_to must be an address, a call or an array, got {relative_to!r}")
    wiring = Wiring(calls, start, call, sample)
    if call.index not in wiring.into:
        seen = start.address if isinstance(start, Call) else f"the input of shape {start.shape}"
        raise ValueError(f"receptive_field: {call.address} does not depend on {seen}")
    return Field(wiring, call)


def units_seeing(model: Module | Trace, address: str | Call, box: Sequence[Any], input_size: Any = None) -> ndarray:
    """Return which units of a map see any pixel of a box ((top, bottom), (left, right)), or one pixel (row, column).

    >>> from tinygrad_cnn import nn
    >>> units_seeing(nn.Conv2d(1, 1, 3), "conv2d", (1, 2), (1, 4, 5))
    array([[ True,  True,  True],
           [ True,  True,  True]])
    """
    return receptive_field(model, address, input_size).units(box)


def bounds(mask: ndarray) -> tuple[Pair, ...]:
    """Return where the marked part of a mask begins and ends along each axis, half-open; (0, 0) where nothing is.

    >>> bounds(np.array([[False, True, True, False]]))
    ((0, 1), (1, 3))
    """
    marked = np.nonzero(mask)
    return tuple((int(at.min()), int(at.max()) + 1) if at.size else (0, 0) for at in marked)


def image_of(calls: Trace) -> ndarray:
    """Return the image that a model was called with: the first array that is neither computed nor part of the model."""
    own = {id(t.data) for t in (*calls.model.parameters(), *calls.model.buffers())}
    for call in calls:
        for x, source in zip(call.inputs, call.sources, strict=True):
            array = x.data if isinstance(x, Tensor) else x
            if source is None and isinstance(array, np.ndarray) and array.ndim > 2 and id(array) not in own:
                return array
    raise ValueError("receptive_field: the trace begins with no image (N, C, H, W); name a map with relative_to=")


def _trace(model: Module | Trace, input_size: Any) -> Trace:
    if isinstance(model, Trace):
        if input_size is not None:
            raise TypeError("receptive_field: a trace knows the size of its input; leave input_size out")
        return model
    if input_size is None:
        raise TypeError("receptive_field: a model needs the input_size of one sample, such as (3, 224, 224)")
    return record_calls(model, sample_input("receptive_field", model, input_size))
