from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "draw_graph.py"


@pytest.mark.parametrize("folder", ["graphs", "new/folder"])
def test_draws_lenet_in_every_direction(tmp_path, monkeypatch, capsys, folder):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["draw_graph.py", "--quick", "--folder", folder])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    names = {path.name for path in (tmp_path / folder).iterdir()}
    assert names == {f"lenet5-{d}.{e}" for d in ("forward", "backward", "both") for e in ("svg", "dot")}
    text = (tmp_path / folder / "lenet5-both.dot").read_text()
    assert "61,706 parameters" in text
    assert "grad_w" in text
    assert "forward: Graph(13 operations" in capsys.readouterr().out
