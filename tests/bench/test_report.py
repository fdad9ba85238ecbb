from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tinygrad_cnn.bench import report
from tinygrad_cnn.bench.measure import OURS, PEER
from tinygrad_cnn.bench.report import BEGIN, END, Conditions, Result, figure
from tinygrad_cnn.bench.rows import Row
from tinygrad_cnn.bench.summary import Summary

ABOUT = {
    "processor": "Chip M9, 2 cores",
    "system": "Linux x86_64",
    "python": "3.11.7",
    "numpy": "2.4.6",
    "load": "0.10",
}
ROWS = [Row("step", "a step", "add"), Row("memory", "all of it", "add", quantity="memory")]
SAMPLES = {"step": {OURS.name: [0.002] * 5, PEER.name: [0.003] * 5}, "memory": {OURS.name: [160.0], PEER.name: [80.0]}}


def measured(
    monkeypatch: pytest.MonkeyPatch, sides: list, seconds: float = 2.0
) -> tuple[list[str], Conditions, list[Result]]:
    def measure(row: Row, sides: list, *rest: Any) -> dict[str, list[float]]:
        return {side.name: SAMPLES[row.name][side.name] for side in sides}

    monkeypatch.setattr(report, "machine", lambda: ABOUT)
    monkeypatch.setattr(report, "installed", lambda: sides)
    monkeypatch.setattr(report, "measure", measure)
    lines: list[str] = []
    return lines, *report.bench(ROWS, 5, seconds, 2, lines.append)


def test_lines_come_with_conditions_and_ratios(monkeypatch: pytest.MonkeyPatch) -> None:
    lines, _, _ = measured(monkeypatch, [OURS, PEER])
    assert lines == [
        "Chip M9, 2 cores, Linux x86_64, load 0.10; Python 3.11.7, numpy 2.4.6; threads: 2.",
        "5 turns a side, blocks of 2 s. Median (10th to 90th percentile). The last two columns are PyTorch's figure / "
        "ours: above 1, ours is better.",
        "row                  tinygrad_cnn                 PyTorch                      medians  10th percentiles",
        "step                 2 ms (2 to 2)                3 ms (3 to 3)                   1.50              1.50",
        "memory               160 MB (160 to 160)          80 MB (80 to 80)                0.50              0.50",
    ]


def test_ours_alone_and_short_blocks_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    lines, conditions, results = measured(monkeypatch, [OURS], seconds=0.5)
    assert "PyTorch is not installed" in lines[2]
    assert "no figures to quote" in lines[3]
    assert lines[5].split() == ["step", "2", "ms", "(2", "to", "2)", "-", "-", "-"]
    assert results[0].ratio is None
    assert "| step | a step | 2 ms (2 to 2) | - | - | - |" in report.markdown(conditions, results)


def test_what_cannot_be_measured_is_said_at_once() -> None:
    for turns, seconds, threads in [(0, 2.0, 1), (1, 0.0, 1), (1, float("nan"), 1), (1, 2.0, 0)]:
        with pytest.raises(ValueError, match="at least 1 turn"):
            report.bench(ROWS, turns, seconds, threads)


def test_one_unit_for_a_figure() -> None:
    assert figure(Summary(1.2345e-6, 1e-6, 0.002, 9), "step") == "1.23 us (1 to 2000)"
    assert figure(Summary(2e-8, 1e-8, 3e-8, 9), "step") == "0.02 us (0.01 to 0.03)"
    assert figure(Summary(12.0, 2.5, 25.0, 9), "first step") == "12 s (2.5 to 25)"
    assert figure(Summary(1234.0, 999.0, 2000.0, 9), "memory") == "1234 MB (999 to 2000)"


def test_only_the_table_of_a_page_changes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _, conditions, results = measured(monkeypatch, [OURS, PEER])
    page = tmp_path / "page.md"
    page.write_text(f"# Figures\n\n{BEGIN}\nold\n{END}\n\nHow: µ\n", "utf-8")
    for _ in range(2):
        report.write_markdown(page, conditions, results)
    before, table, after = page.read_text("utf-8").replace(END, BEGIN).split(BEGIN)
    assert (before, after) == ("# Figures\n\n", "\n\nHow: µ\n")
    assert table == f"\n{report.markdown(conditions, results)}\n\n"
    assert table.splitlines()[4:] == [
        "| row | what | tinygrad_cnn | PyTorch | medians | 10th percentiles |",
        "| --- | --- | --- | --- | --- | --- |",
        "| step | a step | 2 ms (2 to 2) | 3 ms (3 to 3) | 1.50 | 1.50 |",
        "| memory | all of it | 160 MB (160 to 160) | 80 MB (80 to 80) | 0.50 | 0.50 |",
        "",
    ]


def test_a_new_page_is_the_table(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _, conditions, results = measured(monkeypatch, [OURS, PEER])
    report.write_markdown(tmp_path / "new.md", conditions, results)
    assert (tmp_path / "new.md").read_text().startswith(f"{BEGIN}\nChip M9")


def test_paths_are_checked_before_the_measuring(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"{END} {BEGIN}")
    with pytest.raises(ValueError, match="which this file does not have"):
        report.check_paths(None, str(page))
    with pytest.raises(FileNotFoundError, match="folder does not exist"):
        report.check_paths(str(tmp_path / "absent" / "figures.json"), None)
    report.check_paths(str(tmp_path / "figures.json"), str(tmp_path / "new.md"))
    assert page.read_text() == f"{END} {BEGIN}"


def test_json_has_everything(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _, conditions, results = measured(monkeypatch, [OURS, PEER])
    report.write_json(tmp_path / "figures.json", conditions, results)
    found = json.loads((tmp_path / "figures.json").read_text())
    assert found["machine"] == ABOUT
    assert (found["turns"], found["seconds"], found["threads"]) == (5, 2.0, 2)
    step, memory = found["rows"]
    assert step["tinygrad_cnn"] == {"median": 0.002, "low": 0.002, "high": 0.002, "samples": 5}
    assert step["ratio"] == pytest.approx({"median": 1.5, "low": 1.5})
    assert (step["unit"], memory["unit"]) == ("s", "MB")
