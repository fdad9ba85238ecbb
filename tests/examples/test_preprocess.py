from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "preprocess.py"


def test_shows_what_each_step_does(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    picture = tmp_path / "new" / "preprocess.png"
    monkeypatch.setattr(sys, "argv", ["preprocess.py", "--quick", "--output", str(picture)])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    first, *steps, last = capsys.readouterr().out.splitlines()
    assert first == "fitted to 1,000 images of synthetic digits"
    assert last == str(picture)
    assert picture.stat().st_size > 10_000
    told = {line[:22].strip(): float(line.split("correlate ")[1][:4]) for line in steps}
    assert told["mean subtracted"] == told["normalised"] > 0.5
    assert told["decorrelated (PCA)"] < told["whitened (ZCA)"] < told["whitened (ZCA), eps 1"] < told["normalised"]
    assert all(float(line.split("off by ")[1]) < 1e-5 for line in steps)
