"""From calls to a diagram: a box for every operation and every tensor that enters, an arrow for every use."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from tinygrad_cnn.nn import ModuleList, Sequential
from tinygrad_cnn.tensor import Tensor
from tinygrad_cnn.tracing import Call
from tinygrad_cnn.viz.details import details, hints, kept_names, may_be_absent, rule_name, shape_text
from tinygrad_cnn.viz.diagram import Arrow, Diagram, Scope, Vertex, common, scopes
from tinygrad_cnn.viz.facts import Facts, key, quantity, together
from tinygrad_cnn.viz.thumbnail import thumbnail

Direction = Literal["forward", "backward", "both"]
CAPTIONS = {
    "forward": "",
    "backward": "gradients flow from the output down",
    "both": "solid: values flow down; dashed: gradients flow up",
}


@dataclass(slots=True)
class Subject:
    """What is to be drawn.

    Attributes:
        calls: the operations in order.
        results: the tensors at the end, each with the call that computed it, None for a leaf.
        model: whose parameters, buffers and modules have names.
        names: those of further tensors, by their `key`.
        facts: what is told of the calls.
        norms: of the gradients of calls (of their results) and of leaves (by their edges).
        thumbnails: whether pictures of the results are wanted.
    """

    calls: Sequence[Call]
    results: Sequence[tuple[Tensor, Call | None]]
    model: Any = None
    names: Mapping[Any, str] = field(default_factory=dict)
    facts: Mapping[Call, Facts] = field(default_factory=dict)
    norms: Mapping[Any, float] = field(default_factory=dict)
    thumbnails: bool = False


def draw(subject: Subject, direction: Direction) -> Diagram:
    """Return the diagram of all calls, in linear time.

    Raises:
        RuntimeError: gradients are to be drawn, and the graph was used up by ``backward()``.
    """
    return _Drawing(subject, direction).diagram()


class _Drawing:
    """The vertices and arrows of one graph, made in one pass over its calls, oldest first."""

    def __init__(self, subject: Subject, direction: Direction) -> None:
        self.subject, self.model, self.direction = subject, subject.model, direction
        self.vertices: list[Vertex] = []
        self.arrows: list[Arrow] = []
        self.of_model = parts(self.model)
        self.names = {**self.of_model, **subject.names}
        self.places: dict[Any, int] = {}  # by call; by the key of a tensor that enters
        self.last = {call for _, call in subject.results}
        calls = subject.calls
        for call, scope in zip(calls, scopes([call.path for call in calls], _kinds(self.model)), strict=True):
            self.add_operation(call, scope)
        for i, (output, source) in enumerate(subject.results):
            self.add_output(output, source, f"output {i}" if len(subject.results) > 1 else "output")

    def diagram(self) -> Diagram:
        """Return what was drawn."""
        if self.direction == "backward":
            self.turn()
        return Diagram(self.vertices, self.arrows, *self.heading(), self.direction == "backward")

    def heading(self) -> tuple[str, str]:
        """Return the title and the lines below it."""
        if self.model is None:
            return "", CAPTIONS[self.direction]
        work = [f"{sum(math.prod(parameter.shape) for _, parameter in self.model.named_parameters()):,} parameters"]
        took = []
        whole = together(list(self.subject.facts.values()))
        if whole is not None:
            work += [f"{quantity(whole.multiply_adds)} multiply-adds"] if whole.multiply_adds else []
            took += [f"{quantity(whole.nbytes, 'B')} of results"] if whole.nbytes else []
            took += [quantity(whole.seconds, "s")] if whole.seconds is not None else []
        lines = (", ".join(work), ", ".join(took), CAPTIONS[self.direction])
        return type(self.model).__name__, "\n".join(filter(None, lines))

    def add(self, identity: Any, vertex: Vertex) -> int:
        self.places[identity] = len(self.vertices)
        self.vertices.append(vertex)
        return self.places[identity]

    def add_operation(self, call: Call, scope: Scope | None) -> None:
        node = call.function
        if node.edges is None and node.tick and self.direction != "forward":
            raise RuntimeError(
                f"draw_graph: the graph behind this {node.name} was already used and freed by backward(). Draw before "
                "backward(), or call backward(retain_graph=True)"
            )
        notes = list(details(node))
        name = None if call in self.last else self.names.get(node)
        tails: list[tuple[int, str, bool]] = []  # where each input comes from, its name, whether it is differentiated
        for i, (x, source) in enumerate(zip(call.inputs, call.sources, strict=True)):
            role, differentiable = node.input_name(i), node.edges is not None and node.edges[i] is not None
            if self.direction == "backward" and not differentiable:
                continue
            if source is not None or isinstance(x, (Tensor, np.ndarray)):
                tails.append((self.place(x, source, scope), role, differentiable))
            elif x is not None:
                notes.append(f"{role} = {x:.6g}" if isinstance(x, float) else f"{role} = {x}")
            elif not may_be_absent(node, role):
                notes.append(f"{role} is constant")
        if self.direction == "backward":
            notes = [f"keeps {', '.join(kept)}"] if (kept := kept_names(node)) else []
        title = f"{name} = {node.name}" if name else node.name
        vertex = Vertex("operation", title, tuple(notes), shape_text(call.output), scope, operations=1)
        vertex.facts, vertex.hints = self.facts(call), hints(call)
        head = self.add(call, vertex)
        told_apart = sum(not self.named(tail) for tail, _, _ in tails) > 1
        for tail, role, differentiable in tails:
            label = role if told_apart and not self.named(tail) else ""
            self.connect(tail, head, label, rule_name(node, role), differentiable)

    def facts(self, call: Call) -> Facts:
        facts = self.subject.facts.get(call, Facts())
        picture = thumbnail(call.output.data) if self.subject.thumbnails else b""
        return replace(facts, gradient=self.subject.norms.get(call), thumbnail=picture)

    def connect(self, tail: int, head: int, label: str, rule: str, differentiable: bool) -> None:
        """Draw the value that flows from ``tail`` to ``head``, the gradient that flows back, or both."""
        source = self.vertices[tail]
        kind = "parameter" if source.kind == "parameter" else "value"
        if self.direction == "forward":
            self.arrows.append(Arrow(tail, head, kind, label))
            return
        if self.direction == "both":
            self.arrows.append(Arrow(tail, head, kind))
        if differentiable:
            self.arrows.append(Arrow(head, tail, "gradient", rule))

    def named(self, place: int) -> bool:
        """Say whether a box tells its own role; one that only has a shape does not."""
        vertex = self.vertices[place]
        return vertex.is_tensor and vertex.shape != ""

    def place(self, x: Any, source: Call | None, scope: Scope | None) -> int:
        """Return where the producer of a value is drawn; a tensor is drawn where it is first needed."""
        if source is not None:
            return self.places[source]
        known = self.places.get(key(x))
        if known is None:
            return self.add(key(x), self.tensor(x, scope))
        self.vertices[known].scope = common(self.vertices[known].scope, scope)
        return known

    def tensor(self, x: Tensor | np.ndarray, scope: Scope | None) -> Vertex:
        """Return the box of a tensor that enters the graph; what is not a part of the model stands outside of it."""
        shape, name, edge = shape_text(x), self.names.get(key(x)), getattr(x, "edge", None)
        known = key(x) in self.of_model
        if edge is None or (self.model is not None and not known):
            picture = thumbnail(getattr(x, "_data", x)) if self.subject.thumbnails and not known else b""
            notes = ("requires grad",) if edge is not None else ()
            facts = Facts(gradient=self.subject.norms.get(edge), thumbnail=picture)
            return Vertex("input", name or "input", notes, shape, scope if known else None, facts=facts)
        size = math.prod(x.shape)
        notes = (f"{size:,} parameters",) if self.model is not None else ()
        facts = Facts(gradient=self.subject.norms.get(edge))
        return Vertex("parameter", name or shape, notes, shape if name else "", scope, parameters=size, facts=facts)

    def add_output(self, output: Tensor, call: Call | None, title: str) -> None:
        name = self.names.get(key(output))
        number = output.data.shape == () and self.direction != "backward"
        shape = f"{output.data.item():.6g}" if number else shape_text(output)
        tail = self.place(output, call, None)
        head = self.add(object(), Vertex("output", name or title, (), shape))
        self.connect(tail, head, "", "", getattr(output, "edge", None) is not None)

    def turn(self) -> None:
        """Make the drawing of the values one of their gradients: the output on top, the leaves at the bottom."""
        last = len(self.vertices) - 1
        self.vertices.reverse()
        self.arrows = [Arrow(last - a.tail, last - a.head, a.kind, a.label) for a in reversed(self.arrows)]
        incoming = [0] * len(self.vertices)
        for arrow in self.arrows:
            incoming[arrow.head] += 1
        for vertex, count in zip(self.vertices, incoming, strict=True):
            if vertex.kind == "output":
                vertex.title = f"gradient of {vertex.title}"
            elif vertex.is_tensor:
                vertex.title, vertex.notes = f"{vertex.title}.grad", ()
            else:
                vertex.shape = f"gy {vertex.shape}"
            if count > 1:
                vertex.notes = (*vertex.notes, f"sum of {count} gradients")


def parts(model: Any) -> dict[Any, str]:
    """Return the names of a model's parameters and buffers by their `key`."""
    if model is None:
        return {}
    named: Iterable[tuple[str, Tensor]] = (*model.named_parameters(), *model.named_buffers())
    return {key(tensor): name for name, tensor in named}


def _kinds(model: Any) -> dict[str, str]:
    """Return the classes of the modules that have parts, but not of mere containers, by their paths."""
    if model is None:
        return {}
    inner = ((path, module) for path, module in model.named_modules() if next(module.children(), None) is not None)
    return {path: type(module).__name__ for path, module in inner if not isinstance(module, Sequential | ModuleList)}
