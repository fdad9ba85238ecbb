from __future__ import annotations

import re
from html import unescape
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_cnn.viz import dot
from tinygrad_cnn.viz.diagram import Arrow, Diagram, Repeat, Vertex, scopes
from tinygrad_cnn.viz.dot import clean, dot_text
from tinygrad_cnn.viz.facts import Facts
from tinygrad_cnn.viz.render import render

HOSTILE = [
    '"];}',
    "a\\",
    "a\\N\\G\\E",
    "<b>bold</b>",
    "</title><script>alert(1)</script>",
    "&amp; & &lt;",
    "two\nlines\r\n",
    "tab\tnul\0bell\a",
    "with space.and.dot",
    "--> ]]>",
    "\ud800",
    "größe",
    " ",
    "",
]


def operation(title="Op", path="", **kwargs):
    return Vertex("operation", title, scope=scopes([path])[0], **kwargs)


def chain(vertices):
    return Diagram(vertices, [Arrow(i, i + 1) for i in range(len(vertices) - 1)])


def texts(svg: bytes) -> list[str]:
    return [element.text for element in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_reach_the_picture_as_text_and_nothing_else(name):
    inside, beside = operation("Op", f"{name}.x"), operation("Op2", f"{name}.x")
    beside.scope = inside.scope
    inside.notes, inside.shape, inside.hints, inside.scope.kind = (name,), name, (name,), name
    diagram = chain([Vertex("input", name), inside, beside, Vertex("output", name)])
    diagram.arrows.append(Arrow(2, 1, "gradient", name or "rule"))
    diagram.title = diagram.caption = name
    svg = render(diagram, "svg")
    root = ElementTree.fromstring(svg)
    assert {element.tag.split("}")[1] for element in root.iter()} <= {
        "svg",
        "g",
        "title",
        "a",
        "text",
        "path",
        "polygon",
    }
    drawn = "|".join(texts(svg))
    if name.strip():
        assert drawn.count(clean(name).strip()) >= 5, drawn
    assert svg.count(b'class="node"') == 4
    assert svg.count(b'class="edge"') == 4


@settings(derandomize=True, max_examples=25, deadline=None)
@given(st.text(max_size=12), st.text(max_size=12))
def test_any_text_gives_a_picture_with_every_node(title, note):
    svg = render(chain([operation(title, notes=(note,)), operation()]), "svg")
    ElementTree.fromstring(svg)
    assert svg.count(b'class="node"') == 2


def test_what_cannot_be_printed_is_spelt_out():
    assert clean("a\nb\tc\0d") == r"a\nb\tc\x00d"
    assert clean("größe α") == "größe α"


def test_long_names_are_cut_in_the_box_and_whole_in_the_tooltip():
    name = "x" * 500
    line = next(line for line in dot_text(chain([operation(name)])).splitlines() if "n0 [" in line)
    assert f'tooltip="{name}' in line
    assert f"<B>{'x' * 61}...</B>" in line


def test_every_vertex_and_arrow_stands_in_the_text():
    text = dot_text(Diagram([operation() for _ in range(5)], [Arrow(0, 3), Arrow(0, 3), Arrow(4, 1)]))
    assert re.findall(r"^ +(n\d) \[", text, re.M) == ["n0", "n1", "n2", "n3", "n4"]
    assert text.count("n0 -> n3") == 2


def test_length_grows_in_proportion_to_the_graph():
    def length(n):
        vertices = [operation("Mul") for _ in range(n)]
        for vertex, scope in zip(
            vertices, scopes([f"block{i // 4:06}.conv{i // 2:06}" for i in range(n)]), strict=True
        ):
            vertex.scope = scope
        return dot_text(chain(vertices)).count("\n")

    per_step = length(202) - length(200), length(2_002) - length(2_000)
    assert per_step[0] == per_step[1]


def frames(*paths):
    vertices = [operation() for _ in paths]
    for vertex, scope in zip(vertices, scopes(paths), strict=True):
        vertex.scope = scope
    return dot_text(chain(vertices))


def frame_titles(text):
    return [unescape(title) for title in re.findall(r"subgraph.*label=<<FONT[^>]*>(.*?)</FONT>>", text)]


def test_modules_are_nested_frames_with_names_relative_to_the_outer_one():
    assert frame_titles(frames("a", "a.b", "a.b", "a")) == ["a", "b"]


def test_a_frame_around_only_one_frame_is_left_out():
    assert frame_titles(frames("layers.0", "layers.0")) == ["layers.0"]


def test_a_box_alone_in_its_module_needs_no_frame_but_says_its_module():
    text = frames("a.relu", "a", "relu", "", "relu")
    assert frame_titles(text) == ["a"]
    notes = re.findall(r"<B>Op</B>(?:<BR/><FONT[^>]*>(.*?)</FONT>)?", text)
    assert sorted(notes) == ["", "", "relu", "relu", "relu (call 2)"]


def test_braces_close():
    text = frames("a.b.c", "a.b.c", "a.b", "a", "x.y", "x.y", "")
    assert text.count("{") == text.count("}")


def test_parameters_of_a_step_stand_beside_it_and_their_arrows_still_point_to_it():
    vertices = [Vertex("input", "x"), Vertex("parameter", "w"), Vertex("parameter", "b"), operation("Conv2d")]
    text = dot_text(Diagram(vertices, [Arrow(0, 3), Arrow(1, 3, "parameter"), Arrow(2, 3, "parameter")]))
    assert "{ rank=same; n3; n1; n2 }" in text
    assert "n1 -> n3 [" in text
    assert re.search(r"n3 -> n2 \[.*dir=back", text)
    assert not re.search(r"n1 -> n3 \[.*dir=back", text)


def test_a_parameter_of_two_steps_stands_above_both():
    vertices = [Vertex("input", "x"), Vertex("parameter", "w"), operation(), operation()]
    text = dot_text(Diagram(vertices, [Arrow(0, 2), Arrow(1, 2), Arrow(2, 3), Arrow(1, 3)]))
    assert "rank=same" not in text


def test_a_parameter_outside_of_the_frame_of_its_step_stays_outside():
    steps = [operation(), operation()]
    steps[0].scope, steps[1].scope = scopes(["a", "a"])
    text = dot_text(Diagram([Vertex("input", "x"), Vertex("parameter", "w"), *steps], [Arrow(0, 2), Arrow(1, 2)]))
    assert "rank=same" not in text


def test_gradients_against_the_flow_do_not_turn_the_drawing_over():
    text = dot_text(Diagram([operation(), operation()], [Arrow(0, 1), Arrow(1, 0, "gradient", "grad_x")]))
    assert re.search(r"n0 -> n1 \[.*dir=back, weight=0.*grad_x", text)


def test_gradients_of_parameters_beside_a_step_keep_them_at_its_sides():
    vertices = [operation("Sum"), operation("Linear"), Vertex("parameter", "b.grad"), Vertex("parameter", "w.grad")]
    text = dot_text(Diagram(vertices, [Arrow(0, 1), Arrow(1, 2, "gradient"), Arrow(1, 3, "gradient")]))
    assert "{ rank=same; n1; n3; n2 }" in text
    assert re.search(r"n3 -> n1 \[.*dir=back\]", text)
    assert re.search(r"n1 -> n2 \[(?!.*dir)", text)
    assert "weight=0" not in text


def test_every_kind_of_box_and_arrow_has_its_own_look():
    assert len(set(dot._BOXES.values())) == len(dot._BOXES)
    assert len(set(dot._ARROWS.values())) == len(dot._ARROWS)


def test_facts_stand_below_the_notes_and_hints_in_the_tooltip_only():
    vertex = operation("Conv2d", notes=("3 x 3",), shape="(8,)", facts=Facts(1_000), hints=("y = x * w", "kept: x"))
    text = dot_text(Diagram([vertex], []))
    assert re.sub(r"<[^>]*>", "|", text).count("3 x 3|||1,000 multiply-adds|||(8,)") == 1
    assert r'tooltip="Conv2d, 3 x 3, (8,)\n1,000 multiply-adds\ny = x * w\nkept: x"' in text


def test_a_thumbnail_stands_in_a_table_below_the_text():
    text = dot_text(chain([operation("A"), operation("B")]), {1: 'a"<b>.png'})
    assert text.count("<TABLE") == 1
    assert '<TR><TD><B>B</B></TD></TR><TR><TD><IMG SRC="a&quot;&lt;b&gt;.png"/></TD></TR>' in text


def test_frames_say_which_blocks_they_stand_for_and_their_class():
    vertices = [operation() for _ in range(6)]
    paths = ["net.0", "net.0", "net.1", "net.1", "again", "again"]
    for vertex, scope in zip(vertices, scopes(paths, {"net.0": "Block", "net.1": "Block"}), strict=True):
        vertex.scope = scope
    found = [vertex.scope for vertex in vertices]
    diagram = Diagram(vertices, [], repeats={found[2]: Repeat(3, "net.3"), found[4]: Repeat(2, "again")})
    assert frame_titles(dot_text(diagram)) == ["net", "0: Block", "1 ... 3, 3 alike: Block", "again, called 2 times"]
