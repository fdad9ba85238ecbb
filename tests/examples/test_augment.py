from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "augment.py"


def test_compares_training_with_and_without(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    picture = tmp_path / "new" / "augment.png"
    monkeypatch.setattr(sys, "argv", ["augment.py", "--quick", "--output", str(picture)])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    first, without, with_, last = capsys.readouterr().out.splitlines()
    assert first == "200 training images of synthetic digits, 500 test images"
    assert without.startswith("without augmentation: ")
    assert with_.startswith("with augmentation: ")
    assert without.split(": ")[1] != with_.split(": ")[1]
    assert last == str(picture)
    assert picture.stat().st_size > 5_000
