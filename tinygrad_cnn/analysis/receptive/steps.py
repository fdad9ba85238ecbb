"""The receptive field by hand: the formula with its numbers, layer by layer."""

from __future__ import annotations

from typing import NamedTuple

from tinygrad_cnn.analysis.receptive.links import POINT, Link
from tinygrad_cnn.analysis.receptive.regular import Axis, ReceptiveField, Seen
from tinygrad_cnn.analysis.receptive.wiring import START, Wiring
from tinygrad_cnn.kernels.geometry import Window
from tinygrad_cnn.tracing import Call


class Step(NamedTuple):
    """One layer that changes what a unit sees; the texts hold the numbers of one axis."""

    address: str
    window: str
    size: str
    stride: str
    centre: str
    field: ReceptiveField | None  # what the units of its result see


class Steps:
    """The layers that make the receptive field of a unit, in order: ``rows`` and ``columns`` are lists of `Step`."""

    def __init__(self, rows: list[Step], columns: list[Step]) -> None:
        self.rows, self.columns = rows, columns

    def __str__(self) -> str:
        if [step[:5] for step in self.rows] == [step[:5] for step in self.columns]:
            return _table(self.rows)
        return f"rows\n{_table(self.rows)}\n\ncolumns\n{_table(self.columns)}"


def steps(wiring: Wiring, call: Call, seen: dict[int, Seen]) -> Steps:
    """Return the steps along the way that sees most; where branches join, a step is their union."""
    rows: list[Step] = []
    columns: list[Step] = []
    index = call.index
    while index != START:
        links = wiring.into[index]
        source, link = max(links, key=lambda way: _extent(seen[way[0]].through(way[1])))
        before, after = seen[source].field, seen[index].field
        through = seen[source].through(link).field
        if after != through:
            for axis, table in enumerate((rows, columns)):
                table.append(_union(wiring.calls[index], len(links), after, axis))
        if link.window != POINT:
            for axis, table in enumerate((rows, columns)):
                table.append(_step(wiring.calls[index], link, before, through, axis))
        index = source
    return Steps(rows[::-1], columns[::-1])


def _extent(seen: Seen) -> int:
    (top, bottom), (left, right) = seen.together
    return seen.field.height.size + seen.field.width.size if seen.field else bottom - top + right - left


def _step(call: Call, link: Link, before: ReceptiveField | None, after: ReceptiveField | None, axis: int) -> Step:
    if after is None:
        return Step(call.address, call.op, "differs from unit to unit", "", "", None)
    if before is None or link.window is None:
        (r, _, c) = after[axis]
        return Step(call.address, "everything", f"{r}", "0", f"{c:g}", after)
    return Step(call.address, *_texts(link.window, before[axis], after[axis], axis), after)


def _texts(window: Window, old: Axis, new: Axis, axis: int) -> tuple[str, str, str, str]:
    size, stride, before, d = window.size[axis], window.stride[axis], window.padding[axis][0], window.dilation[axis]
    k = f"{size}" if d == 1 or size == 1 else f"{window.extent[axis]}"
    what = f"{size}, stride {stride}, padding {before}" + (f", dilation {d}: spans {k}" if k != f"{size}" else "")
    return (
        what,
        f"{old.size} + ({k} - 1)*{old.stride} = {new.size}",
        f"{old.stride}*{stride} = {new.stride}",
        f"{old.centre:g} + (({k} - 1)/2 - {before})*{old.stride} = {new.centre:g}",
    )


def _union(call: Call, count: int, after: ReceptiveField | None, axis: int) -> Step:
    if after is None:
        return Step(call.address, f"{count} branches", "differs from unit to unit", "", "", None)
    r, j, c = after[axis]
    return Step(call.address, f"union of {count} branches", f"{r}", f"{j}", f"{c:g}", after)


def _table(found: list[Step]) -> str:
    heads = ("layer", "window", "sees", "step", "centre of the first unit")
    lines = [heads, *(step[:5] for step in found)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([text[0], "-" * max(map(len, text)), *text[1:]])
