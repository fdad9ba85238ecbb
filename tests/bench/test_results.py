from __future__ import annotations

from typing import Any

import pytest

from tinygrad_cnn.bench import peak, results
from tinygrad_cnn.bench.results import Conditions, Result, conclusions, figure
from tinygrad_cnn.bench.rows import PEAK, Mean, Quotient, Row, choose
from tinygrad_cnn.bench.sides import OURS, PEER
from tinygrad_cnn.bench.summary import Summary

ABOUT = {
    "processor": "Chip M9, 2 cores",
    "system": "Linux x86_64",
    "python": "3.11.7",
    "numpy": "2.4.6",
    "load": "0.10",
}


def result(row: Row, ours: float, peer: float | None = None, **others: float) -> Result:
    times = {OURS.name: ours, PEER.name: peer, **others}
    return Result(row, {name: Summary(t, 0.9 * t, 2 * t, 9) for name, t in times.items() if t is not None})


def row(**rest: Any) -> Row:
    return Row("group", rest.pop("name", "row"), "a row", "add", **rest)


def test_conditions_say_what_a_reader_must_know() -> None:
    both, alone = Conditions(ABOUT, [OURS.name, PEER.name], 3, 2.0, 2), Conditions(ABOUT, [OURS.name], 3, 0.5, 2)
    assert both.sentences()[0] == "Chip M9, 2 cores, Linux x86_64, load 0.10; Python 3.11.7, numpy 2.4.6; threads: 2."
    assert both.sentences()[1].startswith("3 turns a side, of 2 s.")
    assert len(both.sentences()) == 2
    assert "PyTorch is not installed" in alone.sentences()[2]
    assert "no figures to quote" in alone.sentences()[3]


def test_cells_and_record_of_a_row() -> None:
    found = result(row(target=1.2, limit=0.001), 0.002, 0.003, JAX=0.001)
    assert found.cells() == [
        "row", "2 ms (1.8 to 4)", "3 ms (2.7 to 6)", "1.50", "1.50", "-", ">= 1.2 pass, <= 1 ms FAIL",
        "JAX 1 ms (0.9 to 2) 0.50",
    ]  # fmt: skip
    record = found.record()
    assert record["tinygrad_cnn"] == pytest.approx({"median": 0.002, "low": 0.0018, "high": 0.004, "samples": 9})
    assert record["ratio"] == pytest.approx({"median": 1.5, "low": 1.5})
    assert (record["unit"], record["group"]) == ("s", "group")
    assert record["targets"] == {">= 1.2": True, "<= 1 ms": False}
    assert result(row(quantity="memory"), 1.0).record()["unit"] == "MB"


def test_a_row_with_a_goal_names_what_every_run_reached() -> None:
    reached = {OURS.name: [0.9912, 0.9903], PEER.name: [0.9899, 0.99]}
    found = result(row(goal=0.99), 2.0, 9.0)._replace(reached=reached)
    assert found.cells()[6:] == [
        "reached 99% pass",
        "tinygrad_cnn reached 99.12 %, 99.03 %; PyTorch reached 98.99 %, 99.00 % (1 of 2 runs SHORT of 99 %)",
    ]
    assert found.record()["reached"] == reached
    short = found._replace(reached={OURS.name: [0.9912, 0.9899]})
    assert short.verdicts == {"reached 99%": False}
    assert short.cells()[7] == "tinygrad_cnn reached 99.12 %, 98.99 % (1 of 2 runs SHORT of 99 %)"
    assert result(row(), 2.0)._replace(reached=reached).cells()[6:] == ["-", "-"]


def test_a_target_needs_something_to_compare_with() -> None:
    alone = result(row(target=4.0), 0.002)
    assert alone.ratio is None
    assert alone.verdicts == {}
    assert alone.cells()[2:] == ["-", "-", "-", "-", "-", "-"]


def test_the_share_is_of_the_peak_of_the_same_turns() -> None:
    second = Summary(1.0, 0.9, 1.1, 9)
    possible = peak.multiply_adds(**PEAK.arguments)
    found = result(row(multiply_adds=3 * possible // 4, share=0.7), 1.0)._replace(peak=second)
    assert found.share == pytest.approx(0.75)
    assert found.cells()[5:7] == ["75%", ">= 70% of peak pass"]
    assert found._replace(row=row(multiply_adds=possible // 2, share=0.7)).verdicts == {">= 70% of peak": False}
    assert result(row(multiply_adds=1), 1.0).share is None
    assert result(row(), 1.0)._replace(peak=second).share is None


def test_a_mean_is_geometric_and_of_all_its_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "SUMMARIES", (Mean("mean", "both", ("conv-lenet2-*-grad",), 1.5),))
    rows = choose(["conv-lenet2-input-grad", "conv-lenet2-weight-grad"])
    (found,) = conclusions([result(rows[0], 1.0, 1.0), result(rows[1], 1.0, 4.0)])
    assert found.figures == "2.00 (10th percentiles 2.00), geometric mean of 2"
    assert found.verdicts == {">= 1.5": True}
    assert conclusions([result(rows[0], 1.0, 1.0)]) == []
    assert conclusions([result(rows[0], 1.0, 1.0), result(rows[1], 1.0)]) == []


def test_a_quotient_of_two_rows_for_each_side(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = Quotient("most", "a / b", "a", "b", most=1.8), Quotient("least", "b / a", "b", "a", least=1.8)
    monkeypatch.setattr(results, "SUMMARIES", rules)
    a, b = result(row(name="a"), 3.0, 8.0), result(row(name="b"), 2.0, 4.0)
    most, least = conclusions([a, b])
    assert most.cells() == ["most", "a / b", "tinygrad_cnn 1.50, PyTorch 2.00", "<= 1.8 pass"]
    assert least.cells() == ["least", "b / a", "tinygrad_cnn 0.67, PyTorch 0.50", ">= 1.8 FAIL"]
    assert conclusions([a]) == []


def test_one_unit_for_a_figure() -> None:
    assert figure(Summary(1.2345e-6, 1e-6, 0.002, 9), "step") == "1.23 us (1 to 2000)"
    assert figure(Summary(2e-8, 1e-8, 3e-8, 9), "step") == "20 ns (10 to 30)"
    assert figure(Summary(12.0, 2.5, 25.0, 9), "first step") == "12 s (2.5 to 25)"
    assert figure(Summary(1234.0, 999.0, 2000.0, 9), "memory") == "1234 MB (999 to 2000)"
