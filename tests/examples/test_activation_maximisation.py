from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "examples" / "activation_maximisation.py"


def test_quick_climbs_for_every_digit(tmp_path, monkeypatch, capsys):
    picture = tmp_path / "new" / "maximised.png"
    monkeypatch.setattr(sys, "argv", ["activation_maximisation.py", "--quick", "--output", str(picture)])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    *lines, last = capsys.readouterr().out.splitlines()
    assert last == str(picture)
    assert picture.stat().st_size > 5_000
    said = [re.fullmatch(r"(without|with) restraint: (\d) from (-?[\d.]+) to (-?[\d.]+)", line) for line in lines]
    assert [(line[1], int(line[2])) for line in said] == [(w, n) for w in ("without", "with") for n in range(10)]
    assert all(float(line[4]) > float(line[3]) + 1 for line in said)
