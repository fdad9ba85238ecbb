from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np

from tinygrad_cnn.report.drawings import bar, confusion_drawing


def test_a_bar_is_filled_to_its_share():
    track, part = ElementTree.fromstring(bar(0.25, width=80))
    assert (track.get("width"), part.get("width")) == ("80", "20.0")


def test_every_cell_says_its_count_and_the_worst_confusion_is_darkest():
    matrix = np.array([[8, 2, 0], [0, 1999, 1], [5, 0, 5]])
    drawing = ElementTree.fromstring(confusion_drawing(matrix, ["cat", "dog", "<b>"]))
    cells = drawing.findall("g")
    assert [cell.findtext("title") for cell in cells][5:7] == ["dog taken for <b>: 1", "<b> taken for cat: 5"]
    assert [cell.findtext("text") for cell in cells] == ["8", "2", None, None, "1,999", "1", "5", None, "5"]
    opacity = [cell.find("rect").get("fill-opacity") for cell in cells]
    assert opacity[0] is opacity[4] is opacity[8] is None  # right answers
    assert opacity[2] == opacity[3] == "0"
    assert opacity[6] == "1.000"
    assert float(opacity[5]) < float(opacity[1]) < 1
    assert [cell.find("text").get("class") for cell in (cells[6], cells[1])] == ["light", None]


def test_long_names_are_slanted_and_cut():
    text = confusion_drawing(np.eye(2, dtype=int), ["Egyptian cat, a long name", "dog"])
    assert "Egyptian cat,…" in text
    assert len(re.findall("rotate", text)) == 2
    assert "rotate" not in confusion_drawing(np.eye(2, dtype=int), ["a", "b"])


def test_no_images():
    text = confusion_drawing(np.zeros((2, 2), int), ["a", "b"])
    assert "nan" not in text
