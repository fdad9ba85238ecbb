"""The calls that lead from an image, or from another map, to a result, and what sees what on the way."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_cnn.analysis.receptive.links import Link, Product, Several, places
from tinygrad_cnn.analysis.receptive.sees import sees
from tinygrad_cnn.tensor import Tensor
from tinygrad_cnn.tracing import Call, Shape

START = -1  # where everything begins, among the indices of calls


class Wiring:
    """The links between a start and a target, along every path.

    Args:
        calls: those of a trace.
        start: an array among their inputs, or one of the calls.
        target: one of the calls; every one that depends on the start where None.
        sample: which sample of a result to follow where each has links of its own, as regions of interest have.
    """

    def __init__(
        self, calls: Iterable[Call], start: Call | ndarray, target: Call | None = None, sample: int | None = None
    ) -> None:
        self.start = start
        self.shape: Shape = tuple(start.shape)
        self.calls = {call.index: call for call in calls}
        sources: dict[int, list[tuple[int, int]]] = {}  # by index of a call: where an input comes from, and which it is
        for index, call in self.calls.items():
            found = [(self._source(call, i, sources), i) for i in range(len(call.inputs))]
            if known := [(source, i) for source, i in found if source is not None]:
                sources[index] = known
        if target is not None:
            needed = {target.index}
            for index in reversed(sources):
                if index in needed:
                    needed.update(source for source, _ in sources[index])
            sources = {index: known for index, known in sources.items() if index in needed}
        self.into = {
            index: [(source, self._link(self.calls[index], i, sample)) for source, i in known]
            for index, known in sources.items()
        }

    def _source(self, call: Call, i: int, sources: dict[int, list[tuple[int, int]]]) -> int | None:
        x, source = call.inputs[i], call.sources[i]
        if source is self.start or (source is None and (x.data if isinstance(x, Tensor) else x) is self.start):
            return START
        return source.index if source is not None and source.index in sources else None

    @staticmethod
    def _link(call: Call, i: int, sample: int | None) -> Link:
        link = sees(call.function, call, i)
        if sample is None or not isinstance(link, Several):
            return link
        if not -len(link.links) <= sample < len(link.links):
            raise IndexError(f"sample {sample} is out of range: {call.address} has {len(link.links)} of them")
        return link.links[sample]

    def back(self, target: int, mask: ndarray) -> dict[int, ndarray]:
        """Return for the start and every call on the way the places that these units of the target see."""
        seen = {target: mask}
        for index in reversed(self.into):
            if index in seen and (index == target or seen[index].any()):
                for source, link in self.into[index]:
                    found = link.back(seen[index])
                    seen[source] = seen[source] | found if source in seen else found
        return seen

    def forth(self, mask: ndarray) -> dict[int, ndarray]:
        """Return for every call the units that see any of these places of the start."""
        seen = {START: mask}
        for index, links in self.into.items():
            for source, link in links:
                if source in seen:
                    found = link.forth(seen[source])
                    seen[index] = seen[index] | found if index in seen else found
        return seen

    def tables(self, target: int) -> tuple[ndarray, ndarray] | None:
        """Return which rows (OH, H) and which columns (OW, W) of the start the units of the target see.

        None where these do not tell what a unit sees, because rows and columns depend on each other: elements move
        across, or a unit sees nothing along one axis, so that what it would see along the other does not count.
        """
        if len(self.shape) != 4:
            return None
        known = {START: (np.eye(self.shape[2], dtype=np.float32), np.eye(self.shape[3], dtype=np.float32))}
        for index, links in self.into.items():
            found = []
            for source, link in links:
                rows, columns = known[source]
                if isinstance(link, Product):
                    rows, columns = link.rows @ rows, link.columns @ columns
                elif link.window is None or len(link.y) != 4:
                    return None
                if not (rows.any(1).all() and columns.any(1).all()):
                    return None
                found.append((rows, columns))
            rows, columns = (np.any(seen, 0).astype(np.float32) for seen in zip(*found, strict=True))
            known[index] = rows, columns
        rows, columns = known[target]
        return rows > 0, columns > 0


def grid_mask(shape: Shape, at: tuple[int, ...], what: str) -> ndarray:
    """Return the mask of one place of a map; where fewer axes are named, they are the last ones."""
    grid = places(shape)
    if not all(isinstance(i, int | np.integer) and not isinstance(i, bool) for i in at):
        raise TypeError(f"a unit of {what} is named by whole numbers, such as (row, column), got {at}")
    if len(at) > len(grid) or not all(-n <= i < n for i, n in zip(at[::-1], grid[::-1], strict=False)):
        raise IndexError(f"{what} has units of {grid}, asked for {at}")
    mask = np.zeros(grid, bool)
    last: Any = (..., *at)
    mask[last] = True
    return mask
