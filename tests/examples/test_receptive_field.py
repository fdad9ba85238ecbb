from __future__ import annotations

import runpy
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "examples" / "receptive_field.py"


def test_lenet_sees_16_pixels(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["receptive_field.py", "--quick", "--output", str(tmp_path / "new" / "field.png")])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    printed = capsys.readouterr().out
    assert "14 + (2 - 1)*2 = 16" in printed
    assert "sees rows and columns ((6, 22), (2, 18))" in printed
    assert "is seen by 16 of 25 units" in printed
    assert (tmp_path / "new" / "field.png").read_bytes().startswith(b"\x89PNG")


def test_any_unit_of_any_layer(tmp_path, monkeypatch, capsys):
    words = ["--quick", "--address", "features.conv1", "--unit", "0", "27", "--output", str(tmp_path / "field.svg")]
    monkeypatch.setattr(sys, "argv", ["receptive_field.py", *words])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    assert "unit (0, 27) of features.conv1 sees rows and columns ((0, 3), (25, 28))" in capsys.readouterr().out
