"""Computation graphs for people: what was computed, how gradients flow back, and in which module.

The engine's nodes are read once; the drawing holds text only and keeps no array alive.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tinygrad_cnn.autograd import Function, Leaf
from tinygrad_cnn.autograd.engine import nodes_before
from tinygrad_cnn.files import atomic_write
from tinygrad_cnn.tensor import Tensor
from tinygrad_cnn.viz.details import details, kept_names, may_be_absent, rule_name, shape_text
from tinygrad_cnn.viz.diagram import Arrow, Diagram, Scope, Vertex, common, scopes
from tinygrad_cnn.viz.dot import dot_text, render
from tinygrad_cnn.viz.fold import fold

Direction = Literal["forward", "backward", "both"]
_CAPTIONS = {
    "forward": "",
    "backward": "gradients flow from the output down",
    "both": "solid: values flow down; dashed: gradients flow up",
}


class Graph:
    """A drawing of a computation graph; Jupyter shows it as a picture.

    Attributes:
        dot: the complete text in the DOT language: every operation, tensor and edge.
    """

    def __init__(self, diagram: Diagram, max_nodes: int) -> None:
        self._diagram, self._max_nodes = diagram, max_nodes

    @property
    def dot(self) -> str:
        """The complete text in the DOT language."""
        return dot_text(self._diagram)

    def render(self, format: str = "svg") -> bytes:
        """Return the picture as ``svg`` or ``png``.

        A large graph is folded to at most ``max_nodes`` boxes; the caption then says how.

        Raises:
            ValueError: the format is another one.
            RuntimeError: neither ``dot`` nor ``graphviz-pure`` is installed.
        """
        if format not in ("svg", "png"):
            raise ValueError(f"Graph.render: format must be 'svg' or 'png', got {format!r}")
        return render(dot_text(fold(self._diagram, self._max_nodes)), format)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the graph as ``.svg``, ``.png`` or ``.dot``; beside a picture always its complete ``.dot`` text.

        Raises:
            ValueError: the name ends otherwise.
            RuntimeError: neither ``dot`` nor ``graphviz-pure`` is installed; the ``.dot`` file has been written.
        """
        path = Path(path)
        if path.suffix not in (".svg", ".png", ".dot"):
            raise ValueError(f"Graph.save: expected a name that ends in .svg, .png or .dot, got {str(path)!r}")
        text = path.with_suffix(".dot")
        _write(text, self.dot.encode())
        if path != text:
            try:
                picture = self.render(path.suffix[1:])
            except RuntimeError as error:
                error.add_note(f"{text} has been written: any Graphviz can draw it")
                raise
            _write(path, picture)

    def __repr__(self) -> str:
        kinds = [vertex.kind for vertex in self._diagram.vertices]
        return (
            f"Graph({kinds.count('operation'):,} operations, {kinds.count('parameter'):,} parameters, "
            f"{kinds.count('input'):,} inputs, {len(self._diagram.arrows):,} edges)"
        )

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        try:
            return {"image/svg+xml": self.render("svg").decode(), "text/plain": repr(self)}
        except RuntimeError as error:
            return {"text/plain": f"{self!r}\n{error}"}


def _write(path: Path, content: bytes) -> None:
    with atomic_write(path) as file:
        file.write(content)


def draw_graph(
    output: Tensor | Sequence[Tensor],
    model: Any = None,
    *,
    direction: Direction = "forward",
    names: Mapping[str, Tensor] | None = None,
    max_nodes: int = 500,
) -> Graph:
    """Draw how tensors were computed, how their gradients flow back, or both.

    Round boxes are operations with the shape of their result. Square ones are tensors: yellow where a gradient is
    collected, green where it is not. Frames are modules.

    Args:
        output: one computed tensor, such as the loss, or several. Draw before ``backward()``, which frees the graph.
        model: the module that computed them. Its parameters and buffers get their names; without it they are labelled
            by their shapes.
        direction: ``forward`` shows the values; ``backward`` the gradients, with the rule of each arrow (``grad_x``,
            ``grad_w``) and what each operation keeps for it; ``both`` draws the rules as dashed arrows beside the
            values.
        names: further tensors to be named in the picture.
        max_nodes: the most boxes of a picture. ``Graph.dot`` is always complete.

    Raises:
        TypeError: ``output`` holds something else than Tensors, or ``model`` is not a Module.
        ValueError: ``output`` was not recorded, or an argument is not one of those above.
        RuntimeError: the graph was used up by ``backward()``.

    >>> x = Tensor([1.0, 2.0], requires_grad=True)
    >>> graph = draw_graph((x * x).sum(), names={"x": x})
    >>> graph
    Graph(2 operations, 1 parameters, 0 inputs, 4 edges)
    >>> graph.dot.count(" -> ")             # x enters its product twice
    4
    """
    if direction not in _CAPTIONS:
        raise ValueError(f"draw_graph: direction must be 'forward', 'backward' or 'both', got {direction!r}")
    if isinstance(max_nodes, bool) or not isinstance(max_nodes, int) or max_nodes < 3:
        raise ValueError(f"draw_graph: max_nodes must be an int of at least 3, got {max_nodes!r}")
    outputs = [output] if isinstance(output, Tensor) else list(output)
    _check_outputs(outputs)
    if model is not None and not hasattr(model, "named_parameters"):
        raise TypeError(f"draw_graph: model must be a Module, which names its parameters, got {type(model).__name__}")
    drawing = _Drawing(outputs, model, names or {}, direction)
    return Graph(Diagram(drawing.vertices, drawing.arrows, *drawing.heading()), max_nodes)


def _check_outputs(outputs: Sequence[Any]) -> None:
    if not outputs:
        raise ValueError("draw_graph: no output was given; pass a computed tensor such as the loss")
    for i, output in enumerate(outputs):
        if not isinstance(output, Tensor):
            raise TypeError(f"draw_graph: output {i} must be a Tensor, got {type(output).__name__}")
        if output.edge is None:
            raise ValueError(
                f"draw_graph: output {i} (shape {output.shape}) has no graph: none of its inputs requires a gradient, "
                "or it was computed under no_grad() or detached"
            )


class _Drawing:
    """The vertices and arrows of one graph, made in one pass over its nodes, oldest first."""

    def __init__(
        self, outputs: Sequence[Tensor], model: Any, names: Mapping[str, Tensor], direction: Direction
    ) -> None:
        self.model, self.direction = model, direction
        self.vertices: list[Vertex] = []
        self.arrows: list[Arrow] = []
        self.of_model = dict(_parts(model)) if model is not None else {}
        self.names = self.of_model | {_key(tensor): name for name, tensor in names.items()}
        self.places: dict[Any, int] = {}  # by edge; by id for an array that is not differentiated
        self.results = {output.edge for output in outputs}
        nodes = [(single, node) for node in nodes_before(self.results) for single in node.singles()]
        for (single, node), scope in zip(nodes, scopes([single.path for single, _ in nodes]), strict=True):
            self.add_operation(single, scope)
            self.places[node] = self.places[single]  # of a run of several, what follows it is joined to the last
        for i, output in enumerate(outputs):
            self.add_output(output, f"output {i}" if len(outputs) > 1 else "output")
        if direction == "backward":
            self.turn()

    def heading(self) -> tuple[str, str]:
        """Return the title and the lines below it."""
        if self.model is None:
            return "", _CAPTIONS[self.direction]
        total = sum(math.prod(parameter.shape) for _, parameter in self.model.named_parameters())
        return type(self.model).__name__, f"{total:,} parameters\n{_CAPTIONS[self.direction]}".strip()

    def add(self, key: Any, vertex: Vertex) -> int:
        self.places[key] = len(self.vertices)
        self.vertices.append(vertex)
        return self.places[key]

    def add_operation(self, node: Function, scope: Scope | None) -> None:
        if node.edges is None:
            raise RuntimeError(
                f"draw_graph: the graph behind this {node.name} was already used and freed by backward(). Draw before "
                "backward(), or call backward(retain_graph=True)"
            )
        notes = list(details(node))
        name = None if node in self.results else self.names.get(node)
        tails: list[tuple[int, str, bool]] = []  # where each input comes from, its name, whether it is differentiated
        for i, edge in enumerate(node.edges):
            role = node.input_name(i)
            if edge is not None:
                tails.append((self.place(edge, edge, scope), role, True))
                continue
            if self.direction == "backward":
                continue  # no gradient flows there
            value = node.saved[i] if node.saved else None
            if isinstance(value, np.ndarray):
                tails.append((self.place(id(value), value, scope), role, False))
            elif value is not None:
                notes.append(f"{role} = {value:.6g}" if isinstance(value, float) else f"{role} = {value}")
            elif not may_be_absent(node, role):
                notes.append(f"{role} is constant")
        if self.direction == "backward":
            notes = [f"keeps {', '.join(kept)}"] if (kept := kept_names(node)) else []
        title = f"{name} = {node.name}" if name else node.name
        head = self.add(node, Vertex("operation", title, tuple(notes), shape_text(node), scope, operations=1))
        told_apart = sum(not self.named(tail) for tail, _, _ in tails) > 1
        for tail, role, differentiable in tails:
            label = role if told_apart and not self.named(tail) else ""
            self.connect(tail, head, label, rule_name(node, role), differentiable)

    def connect(self, tail: int, head: int, label: str, rule: str, differentiable: bool) -> None:
        """Draw the value that flows from ``tail`` to ``head``, the gradient that flows back, or both."""
        source = self.vertices[tail]
        if self.direction == "forward":
            kind = "parameter" if source.kind == "parameter" else "value"
            self.arrows.append(Arrow(tail, head, kind, label))
            return
        if self.direction == "both":
            self.arrows.append(Arrow(tail, head, "parameter" if source.kind == "parameter" else "value"))
        if differentiable:
            self.arrows.append(Arrow(head, tail, "gradient", rule))

    def named(self, place: int) -> bool:
        """Say whether a box tells its own role; one that only has a shape does not."""
        vertex = self.vertices[place]
        return vertex.is_tensor and vertex.shape != ""

    def place(self, key: Any, value: Any, scope: Scope | None) -> int:
        """Return where the producer of a value is drawn; a tensor is drawn where it is first needed."""
        known = self.places.get(key)
        if known is None:
            return self.add(key, self.tensor(key, value, scope))
        if self.vertices[known].is_tensor:
            self.vertices[known].scope = common(self.vertices[known].scope, scope)
        return known

    def tensor(self, key: Any, value: Leaf | np.ndarray, scope: Scope | None) -> Vertex:
        """Return the box of a tensor that enters the graph; what is not a part of the model stands outside of it."""
        shape, name = shape_text(value), self.names.get(key)
        if not isinstance(value, Leaf):
            return Vertex("input", name or "input", (), shape, scope if key in self.of_model else None)
        if self.model is not None and key not in self.of_model:
            return Vertex("input", name or "input", ("requires grad",), shape)
        size = math.prod(value.y_shape)
        notes = (f"{size:,} parameters",) if self.model is not None else ()
        return Vertex("parameter", name or shape, notes, shape if name else "", scope, parameters=size)

    def add_output(self, output: Tensor, title: str) -> None:
        edge = output.edge
        name = self.names.get(edge)
        shape = f"{output.item():.6g}" if output.shape == () and self.direction != "backward" else shape_text(edge)
        tail = self.place(edge, edge, None)
        head = self.add(object(), Vertex("output", name or title, (), shape))
        self.connect(tail, head, "", "", True)

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


def _parts(model: Any) -> Iterable[tuple[Any, str]]:
    for name, tensor in model.named_parameters():
        yield _key(tensor), name
    for name, tensor in model.named_buffers():
        yield _key(tensor), name


def _key(tensor: Tensor) -> Any:
    """Return what identifies a tensor in the graph: its edge, or the array of one that is not differentiated."""
    return tensor.edge if tensor.edge is not None else id(tensor.data)
