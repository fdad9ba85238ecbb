from __future__ import annotations

import pytest

from tinygrad_cnn.viz.diagram import Scope, Vertex, common, scopes


def described(paths):
    return [(scope.path, scope.call, scope.depth) if scope else None for scope in scopes(paths)]


def test_operations_of_one_call_share_a_scope():
    first, second, third = scopes(["a.b", "a.b", "a"])
    assert first is second
    assert first.parent is third


def test_a_module_that_goes_on_after_its_child_is_still_the_same_call():
    before, _child, after = scopes(["block", "block.conv1", "block"])
    assert before is after
    assert after.call == 1


def test_a_module_called_twice_has_two_scopes():
    assert described(["relu", "conv.0", "relu", "", "relu"]) == [
        ("relu", 1, 1),
        ("conv.0", 1, 2),
        ("relu", 2, 1),
        None,
        ("relu", 3, 1),
    ]


def test_a_container_that_is_only_indexed_is_not_counted_as_called():
    found = scopes(["layers.0", "", "layers.1"])
    assert [scope.parent.call for scope in found if scope] == [1, 1]


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [("m.x.p", "m.x.q", "m.x"), ("m.x", "m.x.q", "m.x"), ("m.x.p", "m", "m"), ("m", "n", None), ("", "m", None)],
)
def test_common_is_the_innermost_scope_around_both(a, b, expected):
    first, second = scopes([a, b])
    for found in (common(first, second), common(second, first)):
        assert (found and found.path) == expected


def test_common_knows_calls_apart():
    first, _, second = scopes(["relu", "", "relu"])
    assert common(first, first) is first
    assert common(first, second) is None


def test_depth_counts_from_the_outermost_module():
    outer = Scope("a", None)
    assert (outer.depth, Scope("a.b", outer).depth) == (1, 2)


@pytest.mark.parametrize(
    ("kind", "is_tensor"),
    [("parameter", True), ("input", True), ("operation", False), ("output", False), ("group", False)],
)
def test_tensors_are_what_enters_the_graph(kind, is_tensor):
    assert Vertex(kind, "t").is_tensor is is_tensor
