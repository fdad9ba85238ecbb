from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "examples" / "hello_gradient.py"


def test_machine_and_hand_agree_and_the_loss_falls(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["hello_gradient.py", "--quick"])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    text = capsys.readouterr().out
    pairs = re.findall(r"by machine (\S+) +by hand (\S+)", text)
    assert len(pairs) == 2
    assert all(machine == hand for machine, hand in pairs)
    losses = [float(loss) for loss in re.findall(r"loss = (\S+)", text)]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0] / 10
    assert "the graph of the loss: runs/hello_gradient.svg\nthe same as text: runs/hello_gradient.dot\n" in text
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]  # which git ignores
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {"hello_gradient.svg", "hello_gradient.dot"}
