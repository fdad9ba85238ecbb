from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from tinygrad_cnn.analysis import SampleLosses

SCRIPT = Path(__file__).parents[2] / "examples" / "hard_examples.py"


def test_quick_scores_every_way_and_draws_mistakes(tmp_path, monkeypatch, capsys):
    output = tmp_path / "runs" / "wrong.png"
    monkeypatch.setattr(sys, "argv", ["hard_examples.py", "--quick", "--seeds", "3", "--output", str(output)])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.startswith("synthetic digits: 600 images of 1 x 28 x 28, 10 classes, 36 steps, % on 300 test images")
    found = [re.fullmatch(r"(\S+): .*, (.*\S) +mean (\S+), deviation 0.00: (\S+)", line).groups() for line in lines]
    assert [way for _, way, _, _ in found] == ["all", "3 random", "3 hardest", "all", "online", "offline"]
    assert all(mean == score for _, _, mean, score in found)
    assert all(float(mean) > 50 for _, _, mean, _ in found)  # it learns
    assert output.read_bytes().startswith(b"\x89PNG")


def test_average_precision_of_a_ranking():
    average_precision = runpy.run_path(str(SCRIPT))["average_precision"]
    labels, predictions = np.array([1, 0, 1, 0]), np.array([1, 1, 0, 0])
    found = SampleLosses(np.zeros(4), labels, predictions, np.array([0.9, 0.8, 0.6, 0.7]))
    assert average_precision(found) == pytest.approx((1 + 2 / 3) / 2)  # 0.9 shirt, 0.8 no, 0.4 shirt, 0.3 no
