"""What one recorded operation did, in words, formulas and numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_cnn.analysis.elements import Index, element
from tinygrad_cnn.analysis.formulas import formula
from tinygrad_cnn.autograd import Function, Step
from tinygrad_cnn.tensor import Tensor
from tinygrad_cnn.tracing import Call, Shape, op_name


@dataclass
class Explanation:
    """One operation on one page; ``print`` shows it.

    Attributes:
        op: the operation as `functional` spells it.
        place: its address in a trace, or the path of its module.
        forward: the formula of its result.
        gradients: input name -> the formula of its gradient, for the inputs that receive one.
        shapes: input name -> shape, None where it is not known, and "y".
        kept: what stays alive until backward: name -> shape.
        flow: what came in and went out of a step: name -> the largest |gradient|.
        numbers: how the chosen element came about, "" where nothing can be said.
        parts: the operations that ran as one, oldest first.
    """

    op: str
    place: str
    forward: str
    gradients: dict[str, str]
    shapes: dict[str, Shape | None]
    kept: dict[str, Shape]
    flow: dict[str, float] = field(default_factory=dict)
    numbers: str = ""
    parts: list[Explanation] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [self._head()]
        for part in self.parts:
            lines += ["", part._head(), *part._formulas()]
        lines += [""] * bool(self.parts) + self._formulas()
        if self.kept:
            lines.append(f"  kept      {', '.join(f'{name} {shape}' for name, shape in self.kept.items())}")
        if self.flow:
            flow = ", ".join(f"{name} {size:.3g}" for name, size in self.flow.items())
            lines.append(f"  gradients {flow} (the largest absolute values)")
        return "\n".join(lines + [f"  {line}" for line in self.numbers.splitlines()])

    def _head(self) -> str:
        where = f" in {self.place}" if self.place not in ("", self.op) else ""
        if self.parts:
            return f"{self.op}{where}: {', '.join(part.op for part in self.parts)}, which ran as one"
        *inputs, y = [f"{name} {'?' if shape is None else shape}" for name, shape in self.shapes.items()]
        return f"{self.op}{where}: {', '.join(inputs)} -> {y}"

    def _formulas(self) -> list[str]:
        lines = [f"  forward   {self.forward}"] if self.forward else []
        return lines + [f"  backward  {text}" for text in self.gradients.values()]


def explain(what: Any, at: Any = None) -> Explanation:
    """Say what a recorded operation did: formulas, shapes, what it keeps, and how one number came about.

    Args:
        what: a result (its ``grad_fn``), a node of the graph, a `Step` of ``backward_steps``, or a `Call` of a `trace`.
            A call knows all its inputs; a node only those that a rule will read.
        at: the index of an element of the result, such as (n, o, i, j); None for no numbers.

    Raises:
        TypeError: something else.
        RuntimeError: a tensor that no operation computed, or a node that backward has used up.
        IndexError: the result has no such element.

    >>> x = Tensor([[1.0, -2.0], [0.5, 3.0]], requires_grad=True)
    >>> print(explain((x * 2).relu(), at=(0, 1)))
    relu: x (2, 2) -> y (2, 2)
      forward   y = max(x, 0)
      backward  gx = gy where y > 0, else 0
      kept      y (2, 2)
      x was not kept: no numbers; explain the call of a trace

    >>> from tinygrad_cnn import nn, trace
    >>> with trace(nn.ReLU()) as t:
    ...     y = t.model(x * 2)
    >>> print(explain(t["relu"], at=(0, 1)).numbers)
    x[0, 1] = -4  ->  y[0, 1] = 0
    """
    if isinstance(what, Tensor):
        if what.grad_fn is None:
            raise RuntimeError("explain: this tensor was not computed by a recorded operation")
        what = what.grad_fn
    if isinstance(what, Call):
        y, function = what.output, what.function.singles()[-1]  # of layers that ran as one, the call is the last
        found = _page(function, what.address or what.path, [_array(x) for x in what.inputs], y.shape, at, [])
        found.kept = found.kept if getattr(y, "grad_fn", None) is function else {}
        return found
    step = what if isinstance(what, Step) else None
    node = what.node if isinstance(what, Step) else what
    if not isinstance(node, Function):
        raise TypeError(f"explain: expected a result, a node, a step or a call of a trace, got {type(what).__name__}")
    if node.edges is None:
        raise RuntimeError(f"explain: this {node.name} was not recorded, or used up and freed by a backward pass")
    page = _node(node, at)
    singles = node.singles()
    if len(singles) > 1:
        page.parts, page.forward, page.gradients = [_node(single, None) for single in singles], "", {}
        page.numbers = "they ran as one: no numbers; explain the calls of a trace" if at is not None else ""
    if step is not None:
        size = lambda g: float(abs(g).max(initial=0))
        page.flow = {"gy": size(step.gy)} | {f"g{k}": size(g) for k, g in step.gradients.items()}
    return page


def _node(node: Function, at: Any) -> Explanation:
    """Explain a node of the graph by what it kept."""
    edges = node.edges or ()
    inputs: list[Any] = [node.saved[i] if i < len(node.saved) else None for i in range(len(edges))]
    missing = [
        node.input_name(i)
        for i, (x, edge) in enumerate(zip(inputs, edges, strict=True))
        if x is None and (edge is not None or _shape_on(node, i) is not None)
    ]
    return _page(node, node.path, inputs, node.y_shape, at, missing)


def _page(function: Function, place: str, inputs: list[Any], y: Shape, at: Any, missing: list[str]) -> Explanation:
    said = formula(function)
    names = [function.input_name(i) for i in range(len(inputs))]
    shapes: dict[str, Shape | None] = {}
    for i, (name, x) in enumerate(zip(names, inputs, strict=True)):
        edge = function.edges[i] if function.edges and i < len(function.edges) else None
        known = x.shape if isinstance(x, ndarray) else edge.y_shape if edge is not None else _shape_on(function, i)
        if known is not None or x is not None:
            shapes[name] = known if known is not None else np.shape(x)
    needed = [name for i, name in enumerate(names) if function.edges and function.edges[i] is not None]
    gradients = {name: _gradient(function, said.gradients, name) for name in needed}
    kept = {name: a.shape for name, a in zip([*names, "y"], function.saved, strict=False) if isinstance(a, ndarray)}
    kept |= {k: v.shape for k in function.keeps if isinstance(v := getattr(function, k, None), ndarray)}
    page = Explanation(op_name(function), str(place), said.forward, gradients, shapes | {"y": tuple(y)}, kept)
    if at is not None:
        index = _checked(at, tuple(y))
        lost = f"{' and '.join(missing)} {'were' if len(missing) > 1 else 'was'} not kept"
        page.numbers = element(function, inputs, index) if set(missing) <= {"b"} else ""  # a bias is only added
        if missing:
            rest = "this is without it" if page.numbers else "no numbers"
            page.numbers = "\n".join(filter(None, [page.numbers, f"{lost}: {rest}; explain the call of a trace"]))
    return page


def _gradient(function: Function, said: dict[str, str], name: str) -> str:
    """Return the formula of a gradient, or at least which rule computes it."""
    base = name.partition("[")[0]
    if base in said:
        return said[base]
    rule = "backward" if hasattr(function, "backward") else f"grad_{base}"
    return f"g{name}: see {type(function).__name__}.{rule}"


def _shape_on(function: Function, i: int) -> Shape | None:
    """Return the shape of an input that the operation has noted, or None."""
    found = getattr(function, f"{function.input_name(i)}_shape", None)
    return tuple(found) if isinstance(found, tuple) else None


def _checked(at: Any, shape: Shape) -> Index:
    index = tuple(at) if isinstance(at, Iterable) else (at,)
    if not all(isinstance(k, int | np.integer) for k in index):
        raise TypeError(f"explain: an element is named by whole numbers, such as (0, 3, 5, 5), got {at!r}")
    fits = len(index) == len(shape) and all(-n <= k < n for k, n in zip(index, shape, strict=True))
    if not fits:
        raise IndexError(f"explain: {index} is no element of a result of shape {shape}")
    return tuple(int(k) % n for k, n in zip(index, shape, strict=True))


def _array(x: Any) -> Any:
    return x.data if isinstance(x, Tensor) else x
