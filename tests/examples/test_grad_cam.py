from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "examples" / "grad_cam.py"


def test_quick_says_where_a_digit_is_seen(tmp_path, monkeypatch, capsys):
    picture = tmp_path / "new" / "grad_cam.png"
    monkeypatch.setattr(sys, "argv", ["grad_cam.py", "--quick", "--output", str(picture)])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    *lines, last = capsys.readouterr().out.splitlines()
    assert last == str(picture)
    assert picture.read_bytes()[1:4] == b"PNG"
    said = [re.fullmatch(r"image (\d): (\d) (\d+)%, hottest at row (\d+), column (\d+)", line) for line in lines]
    assert [int(line[1]) for line in said] == [n for n in range(6) for _ in range(2)]
    for best, second in zip(said[::2], said[1::2], strict=True):
        assert best[2] != second[2]
        assert int(best[3]) >= int(second[3])
    assert all(0 <= int(place) < 28 for line in said for place in (line[4], line[5]))
