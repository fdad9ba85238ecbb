"""The ratios as bars: one line for each row, or for the three faces of a convolution."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from tinygrad_cnn.bench.results import Result
from tinygrad_cnn.bench.sides import OURS, PEER
from tinygrad_cnn.viz.figure import INK, MUTED, drawing_style, new_figure, save_picture

# Blue, orange and green of Okabe and Ito, https://jfly.uni-koeln.de/color/
FACES = {"forward": "#0072b2", "input-grad": "#e69f00", "weight-grad": "#009e73"}
ALONE = "#0072b2"
TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
ONE_COLUMN = 50  # lines, of a fifth of an inch: what is longer gets two columns
FACE = 0.5  # the height of a bar that shares its line, in lines


class _Bar(NamedTuple):
    label: str  # of its line
    colour: str
    ratio: float
    target: float | None


def save_picture_of(results: Sequence[Result], path: Path) -> bool:
    """Draw PyTorch's figure / ours of every row that has one; without any there is no picture, and False.

    Raises:
        ImportError: matplotlib is not installed (``pip install tinygrad-cnn[plot]``).
    """
    compared = [result for result in results if result.ratio]
    if not compared:
        return False
    sections = {group: _bars(list(rows)) for group, rows in groupby(compared, lambda result: result.row.group)}
    columns = _columns(sections)
    longest = max(sum(map(_height, column.values())) for column in columns)
    with drawing_style():
        figure = new_figure(
            6.2 * len(columns), 0.2 * longest + 1.2, f"{PEER.name}'s figure / {OURS.name}'s; | its target"
        )
        figure.get_layout_engine().set(h_pad=0.1)  # inches: headings stand clear of the axis above
        # One grid for each column: sections of different columns have nothing to do with each other's heights.
        panels = figure.subfigures(1, len(columns), squeeze=False)[0]
        limits = _limits([bar.ratio for bars in sections.values() for bar in bars])
        for panel, column in zip(panels, columns, strict=True):
            heights = [*map(_height, column.values())]
            spare = [longest - sum(heights)] if longest > sum(heights) else []
            grid = panel.add_gridspec(len(heights) + len(spare), 1, height_ratios=heights + spare)
            for place, (group, bars) in zip(grid, column.items(), strict=False):
                _draw(panel.add_subplot(place), group, bars, limits)
        save_picture(figure, path)
    return True


def _bars(results: Sequence[Result]) -> list[_Bar]:
    bars = []
    for result in results:
        face = next((face for face in FACES if result.row.name.endswith(f"-{face}")), "")
        label = result.row.name.removesuffix(f"-{face}").removeprefix("conv-") if face else result.row.name
        ratio: Any = result.ratio
        bars.append(_Bar(label, FACES.get(face, ALONE), ratio.median, result.row.target))
    return bars


def _lines(bars: Sequence[_Bar]) -> list[list[_Bar]]:
    return [list(line) for _, line in groupby(bars, lambda bar: bar.label)]


def _height(bars: Sequence[_Bar]) -> float:
    """Return the height of a section in lines: its heading and its axis count as well."""
    return sum(1 if len(line) == 1 else len(line) * FACE + 0.3 for line in _lines(bars)) + 3


def _columns(sections: dict[str, list[_Bar]]) -> list[dict[str, list[_Bar]]]:
    total = sum(map(_height, sections.values()))
    first: dict[str, list[_Bar]] = {}
    second: dict[str, list[_Bar]] = {}
    done = 0.0
    for group, bars in sections.items():
        # A section belongs to the column in which its middle lies.
        column = second if total > ONE_COLUMN and done + _height(bars) / 2 > total / 2 else first
        column[group] = bars
        done += _height(bars)
    return [column for column in (first, second) if column]


def _limits(ratios: Sequence[float]) -> tuple[float, float]:
    return min(0.8, 0.6 * min(ratios)), max(2.0, 1.6 * max(ratios))  # room for the figures at both ends


def _draw(axes: Any, group: str, bars: Sequence[_Bar], limits: tuple[float, float]) -> None:
    lines = _lines(bars)
    axes.set_xscale("log")
    axes.set_xlim(limits)
    at = 0.0  # the top of the line
    for line in lines:
        height = 1.0 if len(line) == 1 else FACE
        middle = at + height * len(line) / 2
        axes.text(-0.02, middle, line[0].label, transform=axes.get_yaxis_transform(), ha="right", va="center", size=8)
        for number, bar in enumerate(line):
            _draw_bar(axes, bar, at + height * (number + 0.5), 0.7 if len(line) == 1 else FACE)
        at += height * len(line) + (0.3 if len(line) > 1 else 0)
    axes.set_ylim(at, 0)
    axes.set_yticks([])
    ticks = [tick for tick in TICKS if limits[0] <= tick <= limits[1]]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks], size=8)
    axes.set_xticks([], minor=True)
    axes.axvline(1, color=MUTED, linewidth=1)
    axes.set_title(group, loc="left", size=10, fontweight="bold")
    if any(len(line) > 1 for line in lines):
        for face, colour in FACES.items():
            axes.barh(0, 0, 0, left=1, color=colour, label=face)
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=len(FACES), fontsize=8, borderpad=0.2)


def _draw_bar(axes: Any, bar: _Bar, at: float, height: float) -> None:
    axes.barh(at, bar.ratio - 1, height, left=1, color=bar.colour)
    if bar.target is not None and bar.target > 1:
        axes.plot([bar.target] * 2, [at - height / 2, at + height / 2], color=INK, linewidth=1.5)
    left, right = axes.get_xlim()
    near = bar.target is not None and 1 <= bar.ratio <= bar.target < bar.ratio * (right / left) ** 0.13
    end = bar.target if near else bar.ratio  # the figure stands clear of the mark
    side = {"ha": "left", "xytext": (3, 0)} if bar.ratio >= 1 else {"ha": "right", "xytext": (-3, 0)}
    size = 7 if height > FACE else 6
    axes.annotate(f"{bar.ratio:.2f}", (end, at), textcoords="offset points", va="center", size=size, **side)
