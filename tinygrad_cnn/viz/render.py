"""Diagrams as pictures, by Graphviz or by a wheel that needs no installation."""

from __future__ import annotations

import re
import shutil
import sysconfig
from base64 import b64encode
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock

import graphviz
from graphviz.backend import dot_command

from tinygrad_cnn.viz.diagram import Diagram
from tinygrad_cnn.viz.dot import dot_text

# What Graphviz writes at the beginning of a box, a frame or an arrow: its name, and its tooltip if it has one.
_BEGINNING = re.compile(
    rb'(<g id="[^"]*" class="(?:node|edge|cluster)">\n)<title>[^<]*</title>\n'
    rb'(?:(<g id="[^"]*">)<a xlink:title="([^"]*)">)?'
)
_SIZE = re.compile(rb'<svg width="([\d.]+)pt" height="([\d.]+)pt"')
_WIDEST = 1200.0  # points, 1,600 pixels of a browser at 100 %
_SMALLEST = 0.675  # of the natural size: there the smallest letters have 9 pixels


def render(diagram: Diagram, format: str) -> bytes:
    """Return the picture (svg or png) of a diagram; thumbnails are in the svg only.

    Boxes and frames of an svg have their tooltips as titles, which every browser shows. One that would be wider than
    1,600 pixels is made smaller, as long as its text stays legible.

    Raises:
        RuntimeError: Neither ``dot`` nor ``graphviz-pure`` is installed, or the program failed.
    """
    if format != "svg":
        return run_dot(dot_text(diagram), format)
    with TemporaryDirectory() as folder:
        files: dict[int, str] = {}
        data: dict[bytes, bytes] = {}
        for i, vertex in enumerate(diagram.vertices):
            if vertex.facts is not None and vertex.facts.thumbnail:
                path = Path(folder, f"n{i}.png")
                path.write_bytes(vertex.facts.thumbnail)
                files[i] = str(path)
                data[files[i].encode()] = b"data:image/png;base64," + b64encode(vertex.facts.thumbnail)
        svg = run_dot(dot_text(diagram, files), format)
    if data:
        svg = re.sub(b"|".join(map(re.escape, data)), lambda found: data[found[0]], svg)
    return _SIZE.sub(_fitted, _BEGINNING.sub(_with_title, svg), count=1)


def is_legible(svg: bytes) -> bool:
    """Say whether a picture is no wider than 1,600 pixels, with letters of at least 9."""
    found = _SIZE.search(svg)
    return found is None or float(found[1]) <= _WIDEST + 0.5


def _with_title(found: re.Match[bytes]) -> bytes:
    beginning, inner, tooltip = found.groups()
    return beginning + (b"<title>%b</title>\n%b<a>" % (tooltip, inner) if inner else b"")


def _fitted(found: re.Match[bytes]) -> bytes:
    width, height = map(float, found.groups())
    scale = min(1.0, max(_WIDEST / width, _SMALLEST))
    return b'<svg width="%.0fpt" height="%.0fpt"' % (width * scale, height * scale)


_rendering = Lock()  # which program the graphviz package calls is a global of that package


def run_dot(text: str, format: str) -> bytes:
    """Return the picture (svg or png) of a text in the DOT language.

    Graphviz's ``dot`` draws it where it is installed, else the wheel ``graphviz-pure``.

    Raises:
        RuntimeError: Neither is installed, or the program failed.

    >>> b"</svg>" in run_dot("digraph { a -> b }", "svg")
    True
    """
    program = _renderer()
    with _rendering:
        found, dot_command.DOT_BINARY = dot_command.DOT_BINARY, program
        try:
            return graphviz.pipe("dot", format, text.encode(), quiet=True)
        except (graphviz.ExecutableNotFound, graphviz.CalledProcessError) as error:
            raise RuntimeError(f"{program} could not draw the graph: {error}") from error
        finally:
            dot_command.DOT_BINARY = found


def _renderer() -> Path:
    found = shutil.which("dot") or shutil.which("graphviz-pure", path=sysconfig.get_path("scripts"))
    if found is None:
        raise RuntimeError(
            "drawing needs Graphviz: install its program 'dot' (package graphviz of the system), or the wheel "
            "graphviz-pure: pip install tinygrad-cnn[graph]. The .dot text needs neither"
        )
    return Path(found)
