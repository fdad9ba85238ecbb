from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "examples" / "html_report.py"


def test_writes_one_file(tmp_path, monkeypatch, capsys):
    path = tmp_path / "new" / "report.html"
    monkeypatch.setattr(sys, "argv", ["html_report.py", "--quick", "--output", str(path)])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    assert re.fullmatch(r".*report\.html: 0\.\d\d MB; open it in any browser\n", capsys.readouterr().out)
    text = path.read_text()
    assert text.count("<button") == 10  # one for each digit
    right = float(re.search(r"<dd>([\d.]+)%</dd>", text)[1])
    assert right > 60
