from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "feature_maps.py"


def test_draws_filters_maps_and_regions(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    folder = tmp_path / "new"
    monkeypatch.setattr(sys, "argv", ["feature_maps.py", "--quick", "--folder", str(folder)])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    first, heads, _, *lines = capsys.readouterr().out.splitlines()
    assert first == "LeNet5, 300 images"
    assert heads.split() == ["address", "output", "zeros", "dead"]
    assert [line.split()[0] for line in lines[:4]] == [
        "features.relu1",
        "features.relu2",
        "classifier.relu1",
        "classifier.relu2",
    ]
    assert lines[4].startswith("features.relu2, channel 0: <")
    assert [Path(line).name for line in lines[7:]] == ["filters.png", "feature-maps.png", "strongest.png"]
    assert all(path.read_bytes()[1:4] == b"PNG" for path in folder.iterdir())
    assert len(list(folder.iterdir())) == 3
