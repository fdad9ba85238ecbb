from __future__ import annotations

import runpy
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "examples" / "ablation.py"


def test_quick_prints_both_tables_and_draws_them(tmp_path, monkeypatch, capsys):
    output = tmp_path / "runs" / "ablation.png"
    monkeypatch.setattr(sys, "argv", ["ablation.py", "--quick", "--seeds", "0", "1", "--output", str(output)])
    example = runpy.run_path(str(SCRIPT), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "synthetic digits: 500 images of 1 x 28 x 28, 10 classes, 2 epochs"
    variants = [line.partition("  ")[0] for line in lines if line.startswith(("full", "without"))]
    components = [f"without {name}" for name in example["COMPONENTS"]]
    assert variants == ["full", *components, "full", *(f"without conv1[{c}]" for c in range(8))]
    assert "200 images, 2 paired runs: 95 % intervals over runs" in lines
    assert lines[-1] == "200 images, one run: 95 % intervals over images"
    assert output.read_bytes().startswith(b"\x89PNG")
