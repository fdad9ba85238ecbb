from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_cnn.viz.diagram import Arrow, Diagram, Repeat, Vertex, scopes
from tinygrad_cnn.viz.facts import Facts
from tinygrad_cnn.viz.fold import fold


def chain(paths, titles=None, limit_scope=None):
    """A chain of operations; each has a parameter of 10 elements of its own."""
    vertices, arrows = [], []
    for i, scope in enumerate(scopes(paths)):
        vertices.append(Vertex("parameter", f"w{i}", scope=scope, parameters=10))
        title = titles[i] if titles else f"Op{i}"
        vertices.append(Vertex("operation", title, scope=scope, shape=f"({i},)", operations=1))
        arrows.append(Arrow(2 * i, 2 * i + 1, "parameter"))
        if i:
            arrows.append(Arrow(2 * i - 1, 2 * i + 1))
    return Diagram(vertices, arrows, "Net", "10 parameters")


def titles(diagram):
    return [vertex.title for vertex in diagram.vertices]


def has_cycle(diagram):
    after = {i: set() for i in range(len(diagram.vertices))}
    for arrow in diagram.arrows:
        after[arrow.tail].add(arrow.head)
    done, open_ = set(), set()

    def visit(i):
        if i in open_:
            return True
        if i in done:
            return False
        open_.add(i)
        found = any(visit(j) for j in after[i])
        open_.remove(i)
        done.add(i)
        return found

    return any(visit(i) for i in after)


def test_a_small_diagram_stays_the_same_object():
    diagram = chain(["a"] * 10)
    assert fold(diagram, 20) is diagram


def test_modules_become_boxes_that_say_what_is_inside():
    diagram = chain(["features"] * 3 + ["classifier"] * 2)
    folded = fold(diagram, 9)
    assert titles(folded) == ["features", "classifier"]
    features = folded.vertices[0]
    assert features.kind == "group"
    assert features.notes == ("3 operations", "30 parameters")
    assert features.shape == "(2,)"  # of the last one
    assert [(a.tail, a.head, a.label) for a in folded.arrows] == [(0, 1, "")]


def test_the_innermost_modules_fold_first():
    diagram = chain(["a.b.c", "a.b.c", "a.b", "a", ""])
    assert titles(fold(diagram, 9)) == ["w2", "w3", "w4", "a.b.c", "Op2", "Op3", "Op4"]
    assert titles(fold(diagram, 6)) == ["w3", "w4", "a.b", "Op3", "Op4"]
    assert titles(fold(diagram, 4)) == ["w4", "a", "Op4"]


def test_a_module_of_one_operation_is_not_folded():
    diagram = chain(["a", "a", "relu"])
    assert titles(fold(diagram, 5)) == ["w2", "a", "Op2"]


def test_two_calls_of_a_module_are_two_boxes():
    assert titles(fold(chain(["a", "a", "b", "b", "a", "a"]), 6)) == ["a", "b", "a"]


def test_repeats_are_rolled_up_into_one_box():
    vertices = [Vertex("operation", title, operations=1) for title in ["Exp", *["Mul", "Add"] * 50, "Sum"]]
    folded = fold(Diagram(vertices, [Arrow(i, i + 1) for i in range(101)]), 10)
    assert titles(folded) == ["Exp", "Mul, Add", "Sum"]
    assert folded.vertices[1].notes == ("50 times in a row", "100 operations")


def test_repeated_modules_are_rolled_up_too():
    paths = [f"layers.{i // 3}" for i in range(60)]
    diagram = chain(paths, ["Conv", "Norm", "ReLU"] * 20)
    for vertex in diagram.vertices:
        vertex.shape = "(8,)"
    folded = fold(diagram, 10)
    assert titles(folded) == ["layers"]
    diagram = replace(diagram, vertices=[replace(v, scope=s) for v, s in zip(diagram.vertices, _flat(60), strict=True)])
    folded = fold(diagram, 10)
    assert titles(folded) == ["block0"]
    assert folded.vertices[0].notes == ("20 times in a row", "60 operations", "600 parameters")


def _flat(n):
    found = scopes([f"block{i // 3}" for i in range(n)])
    return [scope for scope in found for _ in range(2)]


def test_neighbours_that_are_not_alike_are_joined_at_last():
    folded = fold(chain([""] * 100), 60)
    assert len(folded.vertices) <= 60
    assert "neighbours joined" in folded.caption
    assert sum(vertex.operations for vertex in folded.vertices) == 100


def test_a_joined_box_stands_in_no_module_of_its_parts():
    folded = fold(chain(["a", "b"] * 10), 6)
    assert {vertex.scope for vertex in folded.vertices} == {None}


def test_many_tensors_of_one_operation_are_drawn_inside_of_it():
    vertices = [Vertex("parameter", f"w{i}", parameters=2) for i in range(40)]
    vertices += [Vertex("operation", "Cat", ("axis 0",), "(80,)", operations=1), Vertex("output", "output")]
    folded = fold(Diagram(vertices, [*(Arrow(i, 40) for i in range(40)), Arrow(40, 41)]), 5)
    assert titles(folded) == ["Cat", "output"]
    assert folded.vertices[0].notes == ("axis 0", "80 parameters")
    assert "tensors drawn inside their operations" in folded.caption


def tangle(n):
    vertices = [Vertex("operation", f"Op{i}", operations=1) for i in range(n)]
    return Diagram(vertices, [Arrow(i, j, label="x") for j in range(n) for i in range(j)])


def test_a_tangle_of_arrows_is_folded_although_its_boxes_would_fit():
    folded = fold(tangle(40), 50)
    assert len(folded.arrows) <= 150


def test_arrows_that_lie_close_have_no_labels():
    few = fold(chain(["a", "a", "b", "b"]), 7)
    assert len(few.arrows) == 1
    folded = fold(tangle(40), 50)
    assert len(folded.arrows) > 2 * len(folded.vertices)
    assert {arrow.label for arrow in folded.arrows} == {""}


def test_the_caption_says_what_was_folded_and_keeps_what_was_there():
    caption = fold(chain(["a"] * 20), 10).caption
    assert caption == ("10 parameters\n40 boxes drawn as 1: modules folded.\nThe .dot text has every one of them.")


def test_merged_arrows_are_counted():
    diagram = chain(["a", "a", "b", "b"])
    diagram.arrows.append(Arrow(1, 5))
    assert [(a.tail, a.head, a.label) for a in fold(diagram, 7).arrows] == [(0, 1, "2 values")]
    diagram.arrows[-2:] = [Arrow(7, 1, "gradient", "grad_a"), Arrow(5, 3, "gradient", "grad_b")]
    assert {(a.kind, a.label) for a in fold(diagram, 7).arrows} >= {("gradient", "2 gradients")}


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.data(), st.integers(3, 40))
def test_any_graph_fits_without_a_cycle_and_nothing_is_lost(data, limit):
    n = data.draw(st.integers(1, 60))
    paths = data.draw(st.lists(st.sampled_from(["", "a", "a.b", "a.c", "d"]), min_size=n, max_size=n))
    titles = data.draw(st.lists(st.sampled_from(["Add", "Mul"]), min_size=n, max_size=n))
    diagram = chain(paths, titles)
    for _ in range(data.draw(st.integers(0, 30))):
        head = data.draw(st.integers(0, n - 1))
        tail = data.draw(st.integers(0, max(head - 1, 0)))
        diagram.arrows.append(Arrow(2 * tail, 2 * head + 1, "parameter"))
        if tail < head:
            diagram.arrows.append(Arrow(2 * tail + 1, 2 * head + 1))
    folded = fold(diagram, limit)
    assert len(folded.vertices) <= max(limit, 3)
    assert not has_cycle(folded)
    assert sum(vertex.operations for vertex in folded.vertices) == n
    assert sum(vertex.parameters for vertex in folded.vertices) == 10 * n
    assert all(arrow.tail != arrow.head for arrow in folded.arrows)


@pytest.mark.parametrize("n", [1_000, 8_000])
def test_work_grows_in_proportion_to_the_graph(n, monkeypatch):
    """Counted in looks at the owner of a step, which every pass makes once for each."""
    from tinygrad_cnn.viz import fold as module

    looked = 0
    original = module._Folding.owners

    def counting(self, groups):
        nonlocal looked
        looked += sum(group.stop - group.start for group in groups)
        return original(self, groups)

    monkeypatch.setattr(module._Folding, "owners", counting)
    titles = [f"Op{i * i % 97}" for i in range(n)]
    folded = fold(chain([f"m{i // 10}.k{i // 2}" if i % 3 else "" for i in range(n)], titles), 500)
    assert len(folded.vertices) <= 500
    assert looked <= 40 * n


def test_a_value_that_is_read_twice_is_one_value():
    diagram = chain(["a", "a", "b", "b"])
    diagram.arrows.append(Arrow(3, 7, "value", "x2"))  # beside 3 -> 5
    assert [(a.tail, a.head, a.label) for a in fold(diagram, 7).arrows] == [(0, 1, "")]


def test_a_step_that_reads_a_value_twice_keeps_both_arrows():
    diagram = chain(["", "", "a", "a"])
    diagram.arrows.append(Arrow(1, 3, "value", "x2"))
    assert [(a.tail, a.head, a.label) for a in fold(diagram, 500, depth=1).arrows] == [
        (0, 1, ""),
        (1, 2, ""),
        (0, 1, "x2"),
    ]


# --- by module -----------------------------------------------------------------------------------------------------


def test_modules_of_a_depth_are_one_box_each_however_small_the_graph():
    diagram = chain(["a.x", "a.x", "a.y", "b", "b.z", "b.z", ""])
    assert titles(fold(diagram, 500, depth=1)) == ["a", "b", "Op6"]
    deeper = fold(diagram, 500, depth=2)
    assert [vertex.kind for vertex in deeper.vertices] == ["group", "operation", "operation", "group", "operation"]
    assert [vertex.title for vertex in deeper.vertices if vertex.kind == "group"] == ["a.x", "b.z"]
    assert deeper.caption.endswith("14 boxes drawn as 5: modules folded.\nThe .dot text has every one of them.")


def test_where_nothing_is_nested_this_deep_only_parameters_go_inside():
    folded = fold(chain(["a", "a"]), 500, depth=3)
    assert [vertex.kind for vertex in folded.vertices] == ["operation", "operation"]
    assert folded.vertices[0].notes == ("10 parameters",)
    assert folded.caption == "10 parameters"


def test_what_is_no_part_of_the_model_stays_beside_it():
    diagram = chain(["a", "a"])
    diagram.vertices[0] = Vertex("input", "image", shape="(1, 3)")
    diagram.vertices[2] = Vertex("input", "a.running_mean", scope=diagram.vertices[3].scope)
    assert titles(fold(diagram, 500, depth=2)) == ["image", "Op0", "Op1"]


def test_a_depth_is_folded_further_where_it_does_not_fit():
    folded = fold(chain([f"a.{i}" for i in range(10) for _ in range(2)]), 5, depth=2)
    assert titles(folded) == ["a"]


def test_facts_are_those_of_all_operations_inside():
    diagram = chain(["a", "a", "a"])
    for i, vertex in enumerate(v for v in diagram.vertices if not v.is_tensor):
        vertex.facts, vertex.shape = Facts(10**i, gradient=float(i)), f"({i},)"
    (box,) = fold(diagram, 500, depth=1).vertices
    assert (box.facts.multiply_adds, box.facts.gradient, box.shape) == (111, 2.0, "(2,)")
    diagram.backward = True  # then the first box is that of the last operation
    (box,) = fold(diagram, 500, depth=1).vertices
    assert (box.facts.multiply_adds, box.facts.gradient, box.shape) == (111, 0.0, "(0,)")


def test_a_box_says_which_blocks_it_stands_for_and_their_class():
    diagram = chain(["l.0", "l.0", "l.1", "l.1"])
    scope = diagram.vertices[1].scope
    scope.kind = "Block"
    diagram.repeats = {scope: Repeat(3, "l.2")}
    first, second = fold(diagram, 500, depth=2).vertices
    assert (first.title, first.notes[:3]) == ("l.0 ... l.2", ("Block", "3 alike, the first:", "2 operations"))
    assert second.notes[0] == "2 operations"
