from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "draw_graph.py"


@pytest.mark.parametrize(("words", "folder"), [([], "runs/graphs"), (["--folder", "new/folder"], "new/folder")])
def test_draws_lenet_in_every_direction_and_networks_by_module(tmp_path, monkeypatch, capsys, words, folder):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["draw_graph.py", "--quick", *words])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    names = {path.name for path in (tmp_path / folder).iterdir()}
    drawn = ("lenet5-forward", "lenet5-backward", "lenet5-both", "lenet5-modules", "resnet50")
    assert names == {f"{name}.{e}" for name in drawn for e in ("svg", "dot")}
    assert "1 ... 5" in (tmp_path / folder / "resnet50.svg").read_text()
    assert (tmp_path / folder / "lenet5-modules.svg").read_text().count("data:image/png") == 13
    text = (tmp_path / folder / "lenet5-both.dot").read_text()
    assert "61,706 parameters" in text
    assert "grad_w" in text
    printed = capsys.readouterr().out
    assert "forward: Graph(13 operations" in printed
    assert all(f"    {folder}/{name}\n" in printed for name in names)
