from __future__ import annotations

from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tinygrad_cnn.bench import picture
from tinygrad_cnn.bench.results import Result
from tinygrad_cnn.bench.rows import ROWS, Row, choose
from tinygrad_cnn.bench.sides import OURS, PEER
from tinygrad_cnn.bench.summary import Summary


def results(rows: tuple[Row, ...] | list[Row], ratio: float = 1.5) -> list[Result]:
    pytest.importorskip("matplotlib")
    sides = {OURS.name: Summary(1.0, 0.9, 2.0, 9), PEER.name: Summary(ratio, ratio, ratio, 9)}
    return [Result(row, sides) for row in rows]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Draw, and return the figure."""
    figures: list[Any] = []
    monkeypatch.setattr(picture, "save_picture", lambda figure, path: figures.append(figure))

    def draw(rows: tuple[Row, ...] | list[Row], ratio: float = 1.5) -> Any:
        assert picture.save_picture_of(results(rows, ratio), tmp_path / "x.png")
        return figures[-1]

    return draw


def test_a_section_for_each_group_and_a_bar_for_each_row(drawn: Any) -> None:
    axes = drawn(choose(["nets", "conv-lenet2"])).axes
    assert [a.get_title(loc="left") for a in axes] == ["nets", "conv"]
    widths = [[bar.get_width() for bar in a.patches if bar.get_height()] for a in axes]
    assert widths == [[0.5] * len(choose(["nets"])), [0.5] * 3]
    written = [text.get_text() for text in axes[1].texts]
    assert written == ["lenet2", "1.50", "1.50", "1.50"]  # one line for the three faces
    assert [text.get_text() for text in axes[1].get_legend().get_texts()] == list(picture.FACES)


def test_what_is_slower_goes_to_the_left_and_stays_in_sight(drawn: Any) -> None:
    (axes,) = drawn(choose(["add"]), ratio=0.01).axes
    left, right = axes.get_xlim()
    assert left < 0.01 < 1 < right
    assert axes.patches[0].get_x() == 1
    assert axes.patches[0].get_width() == pytest.approx(-0.99)


def test_targets_are_marked(drawn: Any) -> None:
    (axes,) = drawn(choose(["lenet-128"])).axes
    assert [4.0, 4.0] in [list(line.get_xdata()) for line in axes.lines]


def test_the_whole_run_has_two_columns_without_overlap(drawn: Any) -> None:
    figure = drawn(ROWS)
    assert len(figure.subfigs) == 2
    assert sum(len(panel.axes) for panel in figure.subfigs) == len({row.group for row in ROWS})
    figure.savefig(BytesIO())  # which lays it out
    for panel in figure.subfigs:
        boxes = [axes.get_tightbbox() for axes in panel.axes]
        assert all(above.y0 >= below.y1 for above, below in pairwise(boxes))


def test_without_ratios_there_is_no_picture(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    alone = [result._replace(figures={OURS.name: result.ours}) for result in results(choose(["add"]))]
    assert not picture.save_picture_of(alone, path)
    assert not path.exists()
    assert picture.save_picture_of(results(choose(["add"])), path)
    assert path.read_bytes()[1:4] == b"PNG"
