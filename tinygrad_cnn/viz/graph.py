"""Computation graphs for people: what was computed, at what cost, how gradients flow back, and in which module.

What was recorded is read once; the drawing holds text and small pictures only and keeps no array alive.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from tinygrad_cnn.autograd import Leaf
from tinygrad_cnn.files import atomic_write
from tinygrad_cnn.nn import Module
from tinygrad_cnn.tensor import Tensor
from tinygrad_cnn.tracing import Call, Trace
from tinygrad_cnn.viz.diagram import Diagram
from tinygrad_cnn.viz.dot import dot_text
from tinygrad_cnn.viz.drawing import CAPTIONS, Direction, Subject, draw, parts
from tinygrad_cnn.viz.facts import KNOWN, SHOWN, forward_facts, gradient_norms, key
from tinygrad_cnn.viz.fold import fold
from tinygrad_cnn.viz.recorded import calls_before, calls_of
from tinygrad_cnn.viz.render import is_legible, render
from tinygrad_cnn.viz.repeats import roll_up


class Graph:
    """A drawing of a computation graph; Jupyter shows it as a picture.

    Attributes:
        dot: the complete text in the DOT language: every operation, tensor and edge.
    """

    def __init__(self, diagram: Diagram, depth: int | None, max_nodes: int) -> None:
        self._diagram, self._depth, self._max_nodes = diagram, depth, max_nodes

    @property
    def dot(self) -> str:
        """The complete text in the DOT language."""
        return dot_text(self._diagram)

    def render(self, format: str = "svg") -> bytes:
        """Return the picture as ``svg`` or ``png``.

        Blocks that are alike are drawn once, and a large graph is folded to at most ``max_nodes`` boxes; the caption
        then says how. An ``svg`` that would be wider than 1,600 pixels, or have letters of less than 9, is drawn with
        parameters inside of the boxes. Thumbnails are in the ``svg`` only.

        Raises:
            ValueError: the format is another one.
            RuntimeError: neither ``dot`` nor ``graphviz-pure`` is installed.
        """
        if format not in ("svg", "png"):
            raise ValueError(f"Graph.render: format must be 'svg' or 'png', got {format!r}")
        rolled = roll_up(self._diagram)
        picture = render(fold(rolled, self._max_nodes, self._depth), format)
        if self._depth is None and format == "svg" and not is_legible(picture):
            deeper = 1 + max(vertex.scope.depth if vertex.scope else 0 for vertex in rolled.vertices)
            picture = render(fold(rolled, self._max_nodes, deeper), format)
        return picture

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
    output: Tensor | Sequence[Tensor] | Trace,
    model: Module | None = None,
    *,
    direction: Direction = "forward",
    depth: int | None = None,
    show: Collection[str] = SHOWN,
    names: Mapping[str, Tensor] | None = None,
    max_nodes: int = 500,
) -> Graph:
    """Draw how tensors were computed, how their gradients flow back, or both.

    Round boxes are operations with the shape of their result. Square ones are tensors: yellow where a gradient is
    collected, green where it is not. Frames are modules. Blocks that are alike and follow each other are drawn once.

    Args:
        output: one computed tensor, such as the loss, or several; or a `trace`, which knows time and memory too and
            needs no gradients. Draw tensors before ``backward()``, which frees the graph.
        model: the module that computed them. Its parameters and buffers get their names; without it they are labelled
            by their shapes. A trace brings its own.
        direction: ``forward`` shows the values; ``backward`` the gradients, with the rule of each arrow (``grad_x``,
            ``grad_w``) and what each operation keeps for it; ``both`` draws the rules as dashed arrows beside the
            values.
        depth: draw modules nested this deep as one box each, 1 for the outermost ones, and parameters inside of the
            boxes. None draws every operation.
        show: what stands in the boxes. Where values are drawn: ``multiply_adds``, ``receptive_field``, and of a trace
            ``time`` and ``memory``; only when asked for, of a trace, ``thumbnails``, small pictures of what was
            computed. In every direction, when asked for: ``gradients``, the Euclidean norm of each gradient, for which
            backward runs once without leaving any behind.
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
    _check_arguments(direction, depth, show, max_nodes)
    subject, nodes = _subject(output, model, direction)
    if not isinstance(output, Trace) and "thumbnails" in show:
        raise ValueError("draw_graph: thumbnails need the values: draw a trace, `with trace(model) as t: ...`")
    if not isinstance(names, Mapping | None):
        raise TypeError(f"draw_graph: names must be a dict of tensors by their names, got {names!r:.80}")
    subject.names = {key(tensor): name for name, tensor in (names or {}).items()}
    if direction != "backward":
        subject.thumbnails = "thumbnails" in show
        subject.facts = forward_facts(subject.calls, show, isinstance(output, Trace), parts(subject.model))
    if "gradients" in show:
        subject.norms = _norms(subject, nodes)
    return Graph(draw(subject, direction), depth, max_nodes)


def _check_arguments(direction: str, depth: Any, show: Collection[str], max_nodes: Any) -> None:
    if not isinstance(direction, str) or direction not in CAPTIONS:
        raise ValueError(f"draw_graph: direction must be 'forward', 'backward' or 'both', got {direction!r}")
    if depth is not None and (isinstance(depth, bool) or not isinstance(depth, int) or depth < 1):
        raise ValueError(f"draw_graph: depth must be None or an int of at least 1, got {depth!r}")
    if isinstance(show, str) or not set(show) <= set(KNOWN):
        raise ValueError(f"draw_graph: show must hold some of {', '.join(map(repr, KNOWN))}, got {show!r}")
    if isinstance(max_nodes, bool) or not isinstance(max_nodes, int) or max_nodes < 3:
        raise ValueError(f"draw_graph: max_nodes must be an int of at least 3, got {max_nodes!r}")


def _subject(output: Any, model: Any, direction: Direction) -> tuple[Subject, Mapping[Any, Call]]:
    """Return what is to be drawn, and the calls by the nodes of the graph."""
    if model is not None and not hasattr(model, "named_parameters"):
        raise TypeError(f"draw_graph: model must be a Module, which names its parameters, got {type(model).__name__}")
    if isinstance(output, Trace):
        model = output.model if model is None else model
        calls, last = calls_of(output)
        tensors = [call.output if isinstance(call.output, Tensor) else Tensor.wrap(call.output) for call in last]
        if direction != "backward":
            return Subject(calls, list(zip(tensors, last, strict=True)), model), {c.function: c for c in calls}
        output = tensors
    if not isinstance(output, Tensor | Sequence):
        raise TypeError(f"draw_graph: output must be a Tensor, several, or a trace, got {type(output).__name__}")
    outputs = [output] if isinstance(output, Tensor) else list(output)
    _check_outputs(outputs)
    calls, known = calls_before(outputs)
    return Subject(calls, [(output, known.get(output.edge)) for output in outputs], model), known


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


def _norms(subject: Subject, nodes: Mapping[Any, Call]) -> dict[Any, float]:
    """Return the norms of the gradients of the one result, by calls and leaves."""
    if len(subject.results) > 1:
        raise ValueError(f"draw_graph: gradients are shown of one output such as the loss, got {len(subject.results)}")
    output, _ = subject.results[0]
    _check_outputs([output])
    inputs = (x for call in subject.calls for x in call.inputs)
    leaves = {x.edge: x for x in inputs if isinstance(x, Tensor) and isinstance(x.edge, Leaf)}
    norms = gradient_norms(output, list(leaves.values()))
    return {nodes.get(edge, edge): norm for edge, norm in norms.items()}
