"""Measure rows, print each as soon as it is known, and keep them as a table for people or for programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

from tinygrad_cnn.bench.machine import machine
from tinygrad_cnn.bench.measure import OURS, PEER, installed, measure
from tinygrad_cnn.bench.rows import Quantity, Row
from tinygrad_cnn.bench.summary import Ratio, Summary, compare, summarise
from tinygrad_cnn.files import atomic_write

BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
SHORTEST_BLOCK = 2.0  # seconds; shorter ones do not see what comes and goes: other processes, the processor's clock
HEADINGS: Sequence[str] = ("row", OURS.name, PEER.name, "medians", "10th percentiles")


class Conditions(NamedTuple):
    """Under which conditions a table was measured."""

    machine: dict[str, str]
    sides: list[str]
    turns: int
    seconds: float
    threads: int

    def sentences(self) -> list[str]:
        """Return what a reader of the figures must know."""
        about = self.machine
        packages = [f"{name} {about[name]}" for name in about if name not in ("processor", "system", "python", "load")]
        sentences = [
            f"{about['processor']}, {about['system']}, load {about['load']}; "
            f"Python {about['python']}, {', '.join(packages)}; threads: {self.threads}.",
            f"{self.turns} turns a side, blocks of {self.seconds:g} s. Median (10th to 90th percentile). "
            f"The last two columns are PyTorch's figure / ours: above 1, ours is better.",
        ]
        if PEER.name not in self.sides:
            sentences.append("PyTorch is not installed, so these are our figures alone; pip install torch to compare.")
        if self.seconds < SHORTEST_BLOCK:
            sentences.append(f"A trial: blocks of less than {SHORTEST_BLOCK:g} s give no figures to quote.")
        return sentences


class Result(NamedTuple):
    """What was found for one row; ``peer`` and ``ratio`` are None without PyTorch."""

    row: Row
    ours: Summary
    peer: Summary | None

    @property
    def ratio(self) -> Ratio | None:
        """PyTorch's figure / ours."""
        return compare(self.peer, self.ours) if self.peer else None

    def cells(self) -> list[str]:
        """Return the columns of `HEADINGS`."""
        ratios = [f"{x:.2f}" for x in self.ratio] if self.ratio else ["-", "-"]
        sides = [figure(side, self.row.quantity) if side else "-" for side in (self.ours, self.peer)]
        return [self.row.name, *sides, *ratios]

    def record(self) -> dict[str, Any]:
        """Return the same as values for JSON: seconds, or MB."""
        sides = {OURS.name: self.ours, PEER.name: self.peer}
        return {
            "row": self.row.name,
            "title": self.row.title,
            "unit": "MB" if self.row.quantity == "memory" else "s",
            **{name: side._asdict() for name, side in sides.items() if side},
            **({"ratio": self.ratio._asdict()} if self.ratio else {}),
        }


def figure(side: Summary, quantity: Quantity) -> str:
    """Write a side's median and spread in one unit.

    >>> figure(Summary(median=0.00123, low=0.0011, high=0.0149, samples=9), "step")
    '1.23 ms (1.1 to 14.9)'
    """
    scales = [("MB", 1.0)] if quantity == "memory" else [("us", 1e-6), ("ms", 1e-3), ("s", 1.0)]
    unit, scale = next((entry for entry in reversed(scales) if side.median >= entry[1]), scales[0])
    median, low, high = (f"{x / scale:.3g}" if x < 1000 * scale else f"{x / scale:.0f}" for x in side[:3])
    return f"{median} {unit} ({low} to {high})"


def line(cells: Sequence[str]) -> str:
    """Return one line of the printed table."""
    name, ours, peer, medians, low = cells
    return f"{name:20} {ours:28} {peer:28} {medians:>7}  {low:>16}"


def bench(
    rows: Sequence[Row], turns: int, seconds: float, threads: int, write: Callable[[str], None] = print
) -> tuple[Conditions, list[Result]]:
    """Measure rows on every installed side, and write a line for each as soon as it is known."""
    if turns < 1 or not seconds > 0 or threads < 1:
        raise ValueError(
            f"bench: needs at least 1 turn, more than 0 s and at least 1 thread, got turns={turns}, seconds={seconds}, "
            f"threads={threads}"
        )
    sides = installed()
    conditions = Conditions(machine(), [side.name for side in sides], turns, seconds, threads)
    for sentence in conditions.sentences():
        write(sentence)
    write(line(HEADINGS))
    results = []
    for row in rows:
        samples = measure(row, sides, turns, seconds, threads)
        summaries = {name: summarise(found) for name, found in samples.items()}
        results.append(Result(row, summaries[OURS.name], summaries.get(PEER.name)))
        write(line(results[-1].cells()))
    return conditions, results


def markdown(conditions: Conditions, results: Sequence[Result]) -> str:
    """Return the table for a page."""
    lines = [HEADINGS, ["---"] * len(HEADINGS), *(result.cells() for result in results)]
    titles = ["what", "---", *(result.row.title for result in results)]
    table = [f"| {' | '.join([cells[0], title, *cells[1:]])} |" for cells, title in zip(lines, titles, strict=True)]
    return "\n".join([*conditions.sentences(), "", *table])


def around_table(path: str | PathLike[str]) -> tuple[str, str]:
    """Return what stands before and after the table of a page: its lines BEGIN and END and all beyond them.

    Raises:
        ValueError: A page without these two lines. A page that does not exist yet is the table alone.
    """
    page = Path(path).read_text("utf-8") if Path(path).exists() else f"{BEGIN}\n{END}\n"
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{path}: the table goes between two lines, {BEGIN} and {END}, which this file does not have")
    return before + begin, end + after


def check_paths(json: str | None, markdown: str | None) -> None:
    """Raise before the measuring what would make the writing fail minutes later."""
    for path in filter(None, (json, markdown)):
        if not Path(path).resolve().parent.is_dir():
            raise FileNotFoundError(f"bench: cannot write {path}: its folder does not exist; create it first")
    if markdown:
        around_table(markdown)


def write_markdown(path: str | PathLike[str], conditions: Conditions, results: Sequence[Result]) -> None:
    """Put the table into a page; what stands around it stays."""
    before, after = around_table(path)
    with atomic_write(path) as file:
        file.write(f"{before}\n{markdown(conditions, results)}\n\n{after}".encode())


def write_json(path: str | PathLike[str], conditions: Conditions, results: Sequence[Result]) -> None:
    """Write everything that was found as one JSON object."""
    found = {**conditions._asdict(), "rows": [result.record() for result in results]}
    with atomic_write(path) as file:
        file.write(json.dumps(found, indent=2).encode() + b"\n")
