"""Measure rows, print each as soon as it is known, and keep them as a page for people and as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path

from tinygrad_cnn.bench.machine import machine
from tinygrad_cnn.bench.measure import ACCURACY, measure
from tinygrad_cnn.bench.picture import save_picture_of
from tinygrad_cnn.bench.results import HEADINGS, Conditions, Result, conclusions
from tinygrad_cnn.bench.rows import PEAK, ROWS, Row, families
from tinygrad_cnn.bench.sides import OURS, installed
from tinygrad_cnn.bench.summary import summarise
from tinygrad_cnn.files import atomic_write
from tinygrad_cnn.viz.figure import drawing_style

WIDTHS = (38, 26, 26, 7, 5, 7, 24, 0)
SAVED = (".json", ".md", ".png")
_print = partial(print, flush=True)  # a run takes minutes, and may be written to a file


def line(cells: Sequence[str]) -> str:
    """Return one line of the printed table."""
    return " ".join(f"{cell:{width}}" for cell, width in zip(cells, WIDTHS, strict=True)).rstrip()


def bench(
    rows: Sequence[Row], turns: int, seconds: float, threads: int, write: Callable[[str], None] = _print
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
    for family in families(rows):
        samples = measure(family, sides, turns, seconds, threads)
        found = {key: summarise(times) for key, times in samples.items()}
        for row in family:
            figures = {side.name: found[row.name, side.name] for side in sides if (row.name, side.name) in found}
            reached = {side.name: samples[ACCURACY, side.name] for side in sides if (ACCURACY, side.name) in samples}
            results.append(Result(row, figures, found.get((PEAK.name, OURS.name)), reached))
            write(line(results[-1].cells()))
    for conclusion in conclusions(results):
        write(f"{conclusion.title}: {conclusion.figures}. {conclusion.cells()[-1]}".removesuffix(" -"))
    failed = [result.row.name for result in results if not all(result.verdicts.values())]
    failed += [conclusion.name for conclusion in conclusions(results) if not all(conclusion.verdicts.values())]
    if failed:
        write(f"Targets missed: {', '.join(failed)}")
    return conditions, results


def check_place(stem: str, rows: Sequence[Row]) -> None:
    """Raise before the measuring what would make the saving fail minutes later.

    Raises:
        FileNotFoundError: The folder does not exist.
        FileExistsError: A part of the rows would replace what may be all of them.
        ImportError: matplotlib is not installed.
    """
    if not Path(stem).resolve().parent.is_dir():
        raise FileNotFoundError(f"bench: cannot write {stem}.json: its folder does not exist; create it first")
    found = [path for path in _paths(stem) if path.exists()]
    if found and len(rows) < len(ROWS):
        raise FileExistsError(
            f"bench: {', '.join(map(str, found))} would be replaced by {len(rows)} of {len(ROWS)} rows; "
            "choose another name, or measure all rows"
        )
    with drawing_style():
        pass


def save(stem: str, conditions: Conditions, results: Sequence[Result]) -> None:
    """Write stem.json, stem.md and stem.png."""
    figures, page, picture = _paths(stem)
    found = {
        **conditions._asdict(),
        "rows": [result.record() for result in results],
        "summary": [conclusion._asdict() for conclusion in conclusions(results)],
    }
    with atomic_write(figures) as file:
        file.write(json.dumps(found, indent=1).encode() + b"\n")
    shown = save_picture_of(results, picture)
    with atomic_write(page) as file:
        file.write(markdown(conditions, results, picture.name if shown else "").encode())


def markdown(conditions: Conditions, results: Sequence[Result], picture: str = "") -> str:
    """Return the page: conditions, picture, what several rows say together, and a table for each group."""
    lines = [f"# {conditions.machine['processor']}", "", *conditions.sentences(), ""]
    lines += ['A row is measured again by `make bench ARGS="ROW"`, a section by its heading in place of ROW.', ""]
    if picture:
        lines += [f"![PyTorch's time / ours, row by row]({picture})", ""]
    if found := conclusions(results):
        lines += ["## summary", "", *_table(["", "what", "figure", "target"], [c.cells() for c in found]), ""]
    for group, members in groupby(results, lambda result: result.row.group):
        cells = [[result.cells()[0], result.row.title, *result.cells()[1:]] for result in members]
        headings = [HEADINGS[0], "what", *HEADINGS[1:]]
        kept = [i for i, _ in enumerate(headings) if i < 2 or any(row[i] != "-" for row in cells)]
        lines += [
            f"## {group}",
            "",
            *_table([headings[i] for i in kept], [[row[i] for i in kept] for row in cells]),
            "",
        ]
    return "\n".join(lines)


def _table(headings: Sequence[str], cells: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (headings, ["---"] * len(headings), *cells)]


def _paths(stem: str) -> list[Path]:
    return [Path(f"{stem}{ending}") for ending in SAVED]
