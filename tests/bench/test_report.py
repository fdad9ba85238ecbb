from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tinygrad_cnn.bench import measure, report
from tinygrad_cnn.bench.results import Conditions, Result
from tinygrad_cnn.bench.rows import ROWS, Row
from tinygrad_cnn.bench.sides import OURS, PEER, Side

ABOUT = {
    "processor": "Chip M9, 2 cores",
    "system": "Linux x86_64",
    "python": "3.11.7",
    "numpy": "2.4.6",
    "load": "0.10",
}
CHOSEN = [
    Row("steps", "step", "a step", "add", target=2.0),
    Row("start", "memory", "all of it", "add", quantity="memory", limit=200.0),
]
SAMPLES = {
    ("step", OURS.name): [0.002] * 5, ("step", PEER.name): [0.003] * 5,
    ("memory", OURS.name): [160.0], ("memory", PEER.name): [80.0],
}  # fmt: skip


def measured(
    monkeypatch: pytest.MonkeyPatch, sides: list[Side], samples: measure.Samples = SAMPLES
) -> tuple[list[str], Conditions, list[Result]]:
    def found(rows: Sequence[Row], sides: Sequence[Side], *rest: Any) -> measure.Samples:
        return {(row.name, side.name): samples[row.name, side.name] for row in rows for side in sides}

    monkeypatch.setattr(report, "machine", lambda: ABOUT)
    monkeypatch.setattr(report, "installed", lambda: sides)
    monkeypatch.setattr(report, "measure", found)
    lines: list[str] = []
    return lines, *report.bench(CHOSEN, 3, 2.0, 2, lines.append)


def test_lines_come_with_conditions_ratios_and_what_was_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    lines, _, _ = measured(monkeypatch, [OURS, PEER])
    assert lines[0].startswith("Chip M9, 2 cores, Linux x86_64")
    table = [line.split("  ") for line in lines[2:]]
    words = [[word.strip() for word in cells if word.strip()] for cells in table]
    assert words[0][:3] == ["row", "tinygrad_cnn", "PyTorch"]
    assert words[1] == ["step", "2 ms (2 to 2)", "3 ms (3 to 3)", "1.50", "1.50  -".split()[0], "-", ">= 2 FAIL", "-"]
    assert words[2][:3] == ["memory", "160 MB (160 to 160)", "80 MB (80 to 80)"]
    assert lines[-1] == "Targets missed: step"


def test_what_trainings_reached_stands_in_their_line(monkeypatch: pytest.MonkeyPatch) -> None:
    trained = Row("steps", "trained", "a training", "add", quantity="training", goal=0.99)
    samples: measure.Samples = {("trained", OURS.name): [2.0], (measure.ACCURACY, OURS.name): [0.9876]}
    monkeypatch.setattr(report, "installed", lambda: [OURS])
    monkeypatch.setattr(report, "measure", lambda *rest: samples)
    lines: list[str] = []
    _, (found,) = report.bench([trained], 1, 2.0, 2, lines.append)
    assert found.reached == {OURS.name: [0.9876]}
    assert "reached 99% FAIL" in lines[-2]
    assert lines[-2].endswith("tinygrad_cnn reached 98.76 % (1 of 1 runs SHORT of 99 %)")
    assert lines[-1] == "Targets missed: trained"


def test_ours_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    lines, conditions, results = measured(monkeypatch, [OURS])
    assert "PyTorch is not installed" in lines[2]
    assert results[0].ratio is None
    assert not lines[-1].startswith("Targets")  # nothing to compare with
    assert "| row | what | tinygrad_cnn |\n" in report.markdown(conditions, results)  # no empty columns


def test_what_cannot_be_measured_is_said_at_once() -> None:
    for turns, seconds, threads in [(0, 2.0, 1), (1, 0.0, 1), (1, float("nan"), 1), (1, 2.0, 0)]:
        with pytest.raises(ValueError, match="at least 1 turn"):
            report.bench(CHOSEN, turns, seconds, threads)


def test_a_page_has_a_section_for_each_group(monkeypatch: pytest.MonkeyPatch) -> None:
    _, conditions, results = measured(monkeypatch, [OURS, PEER])
    page = report.markdown(conditions, results, "figures.png")
    assert page.startswith("# Chip M9, 2 cores\n\nChip M9")
    assert "(figures.png)" in page
    assert page[page.index("## steps") :].splitlines() == [
        "## steps",
        "",
        "| row | what | tinygrad_cnn | PyTorch | medians | 10th | target |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        "| step | a step | 2 ms (2 to 2) | 3 ms (3 to 3) | 1.50 | 1.50 | >= 2 FAIL |",
        "",
        "## start",
        "",
        "| row | what | tinygrad_cnn | PyTorch | medians | 10th | target |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        "| memory | all of it | 160 MB (160 to 160) | 80 MB (80 to 80) | 0.50 | 0.50 | <= 200 MB pass |",
    ]


def test_three_files_are_saved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    _, conditions, results = measured(monkeypatch, [OURS, PEER])
    stem = tmp_path / "chip-m9.2"  # a dot is part of the name
    report.save(str(stem), conditions, results)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"chip-m9.2{ending}" for ending in report.SAVED]
    found = json.loads((tmp_path / "chip-m9.2.json").read_text())
    assert found["machine"] == ABOUT
    assert (found["turns"], found["seconds"], found["threads"]) == (3, 2.0, 2)
    assert [row["row"] for row in found["rows"]] == ["step", "memory"]
    assert found["summary"] == []
    assert "(chip-m9.2.png)" in (tmp_path / "chip-m9.2.md").read_text()


def test_without_ratios_there_is_no_picture(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _, conditions, results = measured(monkeypatch, [OURS])
    report.save(str(tmp_path / "x"), conditions, results)
    assert not (tmp_path / "x.png").exists()
    assert ".png" not in (tmp_path / "x.md").read_text()


def test_a_part_of_the_rows_replaces_no_file(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    stem = str(tmp_path / "x")
    report.check_place(stem, CHOSEN)
    (tmp_path / "x.md").write_text("all of them")
    with pytest.raises(FileExistsError, match=rf"x\.md would be replaced by 2 of {len(ROWS)} rows"):
        report.check_place(stem, CHOSEN)
    report.check_place(stem, ROWS)
    assert (tmp_path / "x.md").read_text() == "all of them"


def test_places_are_checked_before_the_measuring(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="folder does not exist"):
        report.check_place(str(tmp_path / "absent" / "x"), CHOSEN)
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.style", None)
    with pytest.raises(ImportError, match=r"tinygrad-cnn\[plot\]"):
        report.check_place(str(tmp_path / "x"), CHOSEN)
