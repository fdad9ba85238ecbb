from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_cnn.viz.diagram import Arrow, Diagram, Vertex, scopes
from tinygrad_cnn.viz.repeats import roll_up

BLOCK = ("conv", "norm", "add")  # the last one adds what came in


def network(*names: str, shapes: dict[str, str] | None = None, kind: str = "value") -> Diagram:
    """A stem, blocks with a weight and a shortcut each, and a head."""
    paths = ["stem", *(f"{name}.{step}" for name in names for step in BLOCK), "head"]
    found = scopes(paths)
    vertices = [Vertex("operation", "Stem", scope=found[0], operations=1)]
    arrows: list[Arrow] = []
    last, step = 0, 1
    for name in names:
        came_in = last
        for part in BLOCK:
            vertices.append(Vertex("parameter", f"{name}.{part}.weight", scope=found[step], parameters=5))
            shape = (shapes or {}).get(name, "(8,)")
            vertices.append(Vertex("operation", part.title(), (), shape, found[step], operations=1))
            arrows += [Arrow(len(vertices) - 2, len(vertices) - 1, "parameter"), Arrow(last, len(vertices) - 1, kind)]
            last, step = len(vertices) - 1, step + 1
        arrows.append(Arrow(came_in, last, kind))
    vertices.append(Vertex("operation", "Linear", scope=found[-1], operations=1))
    arrows.append(Arrow(last, len(vertices) - 1, kind))
    return Diagram(vertices, arrows, "Net", "caption")


def titles(diagram: Diagram) -> list[str]:
    return [vertex.title for vertex in diagram.vertices]


def named(diagram: Diagram) -> list[tuple[str, str, str]]:
    return [(diagram.vertices[a.tail].title, diagram.vertices[a.head].title, a.kind) for a in diagram.arrows]


def repeats(diagram: Diagram) -> list[tuple[str, int, str]]:
    return [(scope.path, times, last) for scope, (times, last) in diagram.repeats.items()]


def test_of_blocks_that_are_alike_the_first_is_drawn():
    whole = network("l.0", "l.1", "l.2", "l.3")
    rolled = roll_up(whole)
    assert repeats(rolled) == [("l.0", 4, "l.3")]
    assert titles(rolled) == titles(network("l.0"))
    assert named(rolled) == named(network("l.0"))
    assert rolled.caption == "caption\nof blocks that are alike the first is drawn, with its numbers"
    assert len(whole.vertices) == 26
    assert not whole.repeats


def test_without_repeats_nothing_changes():
    diagram = network("l.0", "m.1", shapes={"l.0": "(4,)"})
    assert roll_up(diagram) is diagram


def test_another_shape_ends_a_run():
    rolled = roll_up(network("l.0", "l.1", "l.2", "l.3", "l.4", shapes={"l.3": "(4,)", "l.4": "(4,)"}))
    assert repeats(rolled) == [("l.0", 3, "l.2"), ("l.3", 2, "l.4")]


def test_parents_are_rolled_up_before_their_parts():
    rolled = roll_up(network("a.0.0", "a.0.1", "a.1.0", "a.1.1", "a.2.0", "a.2.1"))
    assert repeats(rolled) == [("a.0", 3, "a.2"), ("a.0.0", 2, "a.0.1")]
    assert sum(vertex.operations for vertex in rolled.vertices) == 5


def test_blocks_that_are_read_from_afar_are_all_drawn():
    diagram = network("l.0", "l.1", "l.2", "l.3")
    diagram.arrows.append(Arrow(6, 25))  # the result of the first block goes to the head too
    assert titles(diagram)[6] == "Add"
    assert repeats(roll_up(diagram)) == [("l.1", 3, "l.3")]


def test_the_last_block_may_be_read_from_anywhere():
    diagram = network("l.0", "l.1", "m.0", shapes={"m.0": "(4,)"})
    diagram.arrows.append(Arrow(12, 19))
    rolled = roll_up(diagram)
    assert repeats(rolled) == [("l.0", 2, "l.1")]
    assert named(rolled)[-1] == ("Add", "Linear", "value")
    assert (rolled.arrows[-1].tail, rolled.arrows[-1].head) == (6, 13)


def test_blocks_that_read_from_afar_are_all_drawn():
    diagram = network("l.0", "l.1", "l.2", "l.3")
    diagram.arrows.append(Arrow(0, 18))  # the third block reads the stem too
    assert repeats(roll_up(diagram)) == [("l.0", 2, "l.1")]


def test_other_names_inside_are_another_block():
    diagram = network("l.0", "l.1")
    diagram.vertices[8].title = "Tanh"
    assert roll_up(diagram) is diagram


def test_another_kind_of_arrow_is_another_block():
    diagram = network("l.0", "l.1", "l.2")
    diagram.arrows[-2].kind = "gradient"
    assert repeats(roll_up(diagram)) == [("l.0", 2, "l.1")]


def test_joined_in_another_way_is_another_block():
    diagram = network("l.0", "l.1", "l.2")
    first = next(arrow for arrow in diagram.arrows if (arrow.tail, arrow.head) == (6, 12))
    first.tail = 8  # the shortcut of the second block begins inside of it
    assert roll_up(diagram) is diagram


def shortcut(diagram: Diagram, block: int, tail: int) -> None:
    """Let the shortcut of a block begin elsewhere; block i has the operations 2, 4, 6 + 6 i."""
    (arrow,) = (a for a in diagram.arrows[::-1] if a.head == 6 * (block + 1) and (a.tail % 6 == 0))
    arrow.tail = tail


def test_the_inside_of_the_block_before_is_not_ones_own():
    diagram = network("l.0", "l.1")
    shortcut(diagram, 0, 2)
    shortcut(diagram, 1, 2)
    assert roll_up(diagram) is diagram


def test_every_block_reads_the_same_place_of_the_one_before():
    diagram = network("l.0", "l.1", "l.2")
    shortcut(diagram, 2, 10)
    assert repeats(roll_up(diagram)) == [("l.0", 2, "l.1")]
    diagram = network("l.0", "l.1", "l.2")
    shortcut(diagram, 2, 6)  # where the shortcut of the block before begins too
    assert repeats(roll_up(diagram)) == [("l.1", 2, "l.2")]


def test_what_is_read_from_outside_comes_from_the_block_before():
    diagram = network("m.0", "l.0", "l.1", shapes={"m.0": "(4,)"})
    shortcut(diagram, 2, 0)
    assert roll_up(diagram) is diagram


def test_what_all_blocks_read_is_drawn_once():
    diagram = network("l.0", "l.1", "l.2")
    diagram.arrows += [Arrow(0, head, "value") for head in (4, 10, 16)]
    rolled = roll_up(diagram)
    assert repeats(rolled) == [("l.0", 3, "l.2")]
    assert named(rolled).count(("Stem", "Norm", "value")) == 1


def test_a_tied_weight_keeps_its_box():
    diagram = network("l.0", "l.1", "l.2")
    diagram.arrows.append(Arrow(13, 19, "parameter"))  # the weight of the last block is the head's too
    rolled = roll_up(diagram)
    assert repeats(rolled) == [("l.0", 3, "l.2")]
    assert ("l.2.conv.weight", "Linear", "parameter") in named(rolled)
    assert "l.1.conv.weight" not in titles(rolled)


def test_single_operations_are_no_blocks():
    found = scopes([f"l.{i}" for i in range(5)])
    vertices = [Vertex("operation", "Linear", scope=scope) for scope in found]
    diagram = Diagram(vertices, [Arrow(i, i + 1) for i in range(4)])
    assert roll_up(diagram) is diagram


def test_a_module_that_is_called_again_and_again():
    found = scopes(["cell.a", "cell.b", "", "cell.a", "cell.b", "", "cell.a", "cell.b"])
    steps = [Vertex("operation", "AB"[i % 2], scope=scope) for i, scope in enumerate(s for s in found if s)]
    rolled = roll_up(Diagram([Vertex("operation", "Stem"), *steps], [Arrow(i, i + 1) for i in range(6)]))
    assert repeats(rolled) == [("cell", 3, "cell")]
    assert titles(rolled) == ["Stem", "A", "B"]


def turned(diagram: Diagram) -> Diagram:
    last = len(diagram.vertices) - 1
    arrows = [Arrow(last - a.head, last - a.tail, "gradient", a.label) for a in reversed(diagram.arrows)]
    return Diagram(diagram.vertices[::-1], arrows, backward=True)


def test_gradients_are_rolled_up_from_the_last_block_on():
    rolled = roll_up(turned(network("l.0", "l.1", "l.2")))
    assert repeats(rolled) == [("l.1", 2, "l.0")]  # the last one receives one gradient, these the sum of two
    assert rolled.backward
    assert titles(rolled)[:2] == ["Linear", "Add"]
    assert {("Add", "Stem", "gradient"), ("Conv", "Stem", "gradient")} <= set(named(rolled))
    assert "l.1.conv.weight" in titles(rolled)
    assert "l.0.conv.weight" not in titles(rolled)


@settings(derandomize=True, max_examples=50, deadline=None)
@given(st.data())
def test_what_is_drawn_is_a_part_of_the_whole(data):
    blocks = data.draw(st.integers(1, 6))
    names = [f"l.{i}" for i in range(blocks)]
    diagram = network(*names, shapes={name: data.draw(st.sampled_from(["(4,)", "(8,)"])) for name in names})
    for _ in range(data.draw(st.integers(0, 3))):
        tail = data.draw(st.integers(0, len(diagram.vertices) - 2))
        head = data.draw(st.integers(tail + 1, len(diagram.vertices) - 1))
        if not diagram.vertices[tail].is_tensor and not diagram.vertices[head].is_tensor:
            diagram.arrows.append(Arrow(tail, head))
    rolled = roll_up(diagram)
    dropped = sum((times - 1) * len(BLOCK) for times, _ in rolled.repeats.values())
    operations = sum(vertex.operations for vertex in rolled.vertices)
    assert operations == sum(vertex.operations for vertex in diagram.vertices) - dropped
    assert all(arrow.tail < arrow.head for arrow in rolled.arrows)
    read = {arrow.tail for arrow in rolled.arrows}
    assert all(i in read for i in range(len(rolled.vertices) - 1))  # every box leads to the head still


@pytest.mark.parametrize("n", [400])
def test_work_grows_in_proportion_to_the_graph(n, monkeypatch):
    from tinygrad_cnn.viz import repeats as module

    looked = 0
    original = module._Rolling.alike

    def counting(self, *arguments):
        nonlocal looked
        looked += 1
        return original(self, *arguments)

    monkeypatch.setattr(module._Rolling, "alike", counting)
    roll_up(network(*(f"l.{i}" for i in range(n)), shapes={f"l.{i}": str(i % 3) for i in range(n)}))
    assert looked <= 4 * len(BLOCK) * n
