from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn import Tensor, nn
from tinygrad_cnn.viz.drawing import Subject, draw, parts
from tinygrad_cnn.viz.facts import Facts
from tinygrad_cnn.viz.recorded import calls_before


def subject(output: Tensor, **kwargs) -> Subject:
    calls, known = calls_before([output])
    return Subject(calls, [(output, known.get(output.edge))], **kwargs)


def leaf(*shape):
    return Tensor(np.ones(shape, np.float32), requires_grad=True)


def test_forward_is_in_the_order_of_computation_and_backward_in_the_other():
    y = leaf(2).exp().sum()
    forward, backward = (draw(subject(y), direction) for direction in ("forward", "backward"))
    assert [vertex.title for vertex in forward.vertices] == ["(2,)", "Exp", "Sum", "output"]
    assert [vertex.title for vertex in backward.vertices] == ["gradient of output", "Sum", "Exp", "(2,).grad"]
    assert [(a.tail, a.head, a.kind) for a in backward.arrows] == [(i, i + 1, "gradient") for i in range(3)]
    assert (forward.backward, backward.backward) == (False, True)


def test_every_box_has_its_facts_and_every_operation_its_hints():
    x = leaf(2)
    y = x.exp()
    picture = subject(y)
    picture.facts = {picture.calls[0]: Facts(12)}
    picture.norms = {picture.calls[0]: 0.5, x.edge: 0.25}
    tensor, operation, _ = draw(picture, "forward").vertices
    assert operation.facts == Facts(12, gradient=0.5)
    assert tensor.facts == Facts(gradient=0.25)
    assert operation.hints[1:] == ("x (2,) -> (2,)", "kept for backward: y (8 B)")


def test_the_caption_has_the_sums():
    model = nn.Linear(3, 4)
    picture = subject(model(Tensor(np.ones((2, 3), np.float32))), model=model)
    assert draw(picture, "forward").caption == "16 parameters"
    picture.facts = {picture.calls[0]: Facts(24, seconds=0.5, nbytes=32)}
    assert draw(picture, "both").caption == (
        "16 parameters, 24 multiply-adds\n32 B of results, 500 ms\nsolid: values flow down; dashed: gradients flow up"
    )


def test_frames_know_the_classes_of_modules_with_parts():
    class Block(nn.Module):
        def __init__(self):
            self.inner = nn.Linear(3, 3)

        def forward(self, x):
            return self.inner(x)

    model = nn.Sequential(Block(), nn.Sequential(Block()))
    diagram = draw(subject(model(leaf(2, 3)), model=model), "forward")
    found = {}
    for vertex in diagram.vertices:
        scope = vertex.scope
        while scope is not None:
            found[scope.path] = scope.kind
            scope = scope.parent
    assert found == {"0": "Block", "0.inner": "", "1": "", "1.0": "Block", "1.0.inner": ""}


def test_parts_are_parameters_and_buffers():
    model = nn.Sequential(nn.BatchNorm1d(3))
    names = set(parts(model).values())
    assert {"0.weight", "0.bias", "0.running_mean", "0.running_var"} <= names
    assert parts(None) == {}


def test_gradients_of_a_graph_that_was_used_up_while_its_calls_are_there():
    x = leaf(2)
    y = x.exp()
    picture = subject(y)
    y.sum().backward()
    assert len(draw(picture, "forward").vertices) == 3
    with pytest.raises(RuntimeError, match=r"behind this Exp was already used"):
        draw(picture, "both")
