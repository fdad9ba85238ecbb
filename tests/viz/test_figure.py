from __future__ import annotations

import os
import sys

import matplotlib
import pytest

from tinygrad_cnn.viz import save_learning_curves

RECORDS = [{"epoch": 1, "test_loss": 0.5}, {"epoch": 2, "test_loss": 0.25}]


@pytest.mark.parametrize("name", ["curves", "curves.txt"])
def test_an_ending_that_is_no_picture(tmp_path, name):
    with pytest.raises(ValueError, match=r"expected a picture's name \(.*\.png"):
        save_learning_curves(RECORDS, tmp_path / name)


def test_a_failure_keeps_the_old_picture(tmp_path, monkeypatch):
    path = tmp_path / "curves.png"
    path.write_bytes(b"old")

    def fail(*args):
        raise OSError("broken disk")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="broken disk"):
        save_learning_curves(RECORDS, path)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["curves.png"]


def test_the_users_matplotlib_is_left_alone(tmp_path):
    with matplotlib.rc_context({"figure.facecolor": "black", "font.size": 31}):
        save_learning_curves(RECORDS, tmp_path / "dark.png")
        assert matplotlib.rcParams["font.size"] == 31
    save_learning_curves(RECORDS, tmp_path / "plain.png")
    assert (tmp_path / "dark.png").read_bytes() == (tmp_path / "plain.png").read_bytes()


def test_without_matplotlib_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.style", None)
    with pytest.raises(ImportError, match=r"pip install tinygrad-cnn\[plot\]"):
        save_learning_curves(RECORDS, tmp_path / "curves.png")
