from __future__ import annotations

import numpy as np

from tinygrad_cnn import Tensor, nn, trace
from tinygrad_cnn import functional as F
from tinygrad_cnn.nn.module import tree
from tinygrad_cnn.state import module_path, observe
from tinygrad_cnn.tracing.notes import Notes, Visits, held, innermost, visits_of


def test_a_tensor_is_held_as_it_was():
    x = Tensor([1.0], requires_grad=True)
    y = x * 2
    was, data, edge = held(y)
    y += 1
    assert was is y
    assert data[0] == 2
    assert edge is not y.edge
    assert held(3) == 3


def test_notes_are_taken_after_who_observed_before():
    notes = Notes()
    assert notes.takes_runs_apart
    notes.found = lambda function, inputs, output: Tensor([7.0]) if function.name == "ReLU" else None
    assert not notes.takes_runs_apart
    found = observe(notes)
    try:
        y = F.relu(Tensor([1.0])) + 1
    finally:
        observe(found)
    assert y.item() == 8
    (relu, _, _, (_, seven, _), seconds), (add, path, (_, one), _, _) = notes
    assert (relu.name, add.name, path) == ("ReLU", "Add", "")
    assert (seven[0], one) == (7, 1)
    assert seconds > 0


def test_each_look_is_a_visit_inside_of_another():
    model = nn.Sequential({"a": nn.ReLU()})
    visits = Visits(model)
    first, second = visits.get(id(model)), visits.get(id(model.a))
    assert (first, second) == ("", "a")
    token = module_path.set(first)
    try:
        third = visits.get(id(model.a), "none")
    finally:
        module_path.reset(token)
    assert third == second
    assert third is not second
    assert third.outside is first
    assert visits.get(0, "none") == "none"
    assert visits.inside == ["", "a", "a"]


def test_traces_of_one_model_share_its_visits():
    model = nn.Sequential({"a": nn.ReLU()})
    with trace(model):
        running = tree.get()
        assert visits_of(model) is running
        assert visits_of(model.a) is not running
    assert tree.get() is None
    with trace(model) as outer, trace(nn.Sequential(model)) as inner:
        model(np.ones(2, np.float32))
    assert inner.addresses == ["0.a"]
    assert outer.addresses == ["a"]


def test_visits_of_several_models_stand_beside_each_other():
    small = nn.Sequential({"a": nn.ReLU()})
    large, other = nn.Sequential({"part": small}), nn.ReLU()
    first = Visits(small)
    second = Visits(large, first)
    both, alone = second.get(id(small.a)), second.get(id(large))
    assert (both, both.beside, alone, alone.beside) == ("part.a", "a", "", None)
    assert (first.own(both), second.own(both), first.own(alone)) == ("a", "part.a", "")
    assert first.own("elsewhere") == "elsewhere"
    assert second.get(id(other), "none") == "none"
    third = Visits(other, second)
    assert third.get(id(small.a)).tree is second.tree
    assert innermost(third) is third
    token = tree.set(third)
    try:
        assert [visits_of(model) for model in (small, large, other)] == [first, second, third]
        assert innermost(first) is third
        assert innermost(Visits(small, third)).around is third
    finally:
        tree.reset(token)
