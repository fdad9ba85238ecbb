"""Backward: walk the graph from the results to the leaves, newest node first.

Nodes carry the tick at which they were recorded, and an operation is always newer than its inputs. So a heap of ticks
is a topological order without a first pass: when a node comes up, everything that consumes it has been seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import heappop, heappush
from operator import attrgetter
from sys import getrefcount
from typing import Any, NamedTuple

import numpy as np
from numpy import ndarray

from tinygrad_cnn.autograd import version
from tinygrad_cnn.autograd.function import Function, useful
from tinygrad_cnn.autograd.mode import set_grad_enabled
from tinygrad_cnn.autograd.variable import Leaf, Variable
from tinygrad_cnn.kernels import buffers

Edge = Function | Leaf


class Part(NamedTuple):
    """What a rule may return on arrays: the gradient of ``x[key]`` for a basic key; all else of x receives 0 from it.

    The engine adds it in place. So the k pieces of a split cost one array together, not k arrays of the full shape.
    """

    key: Any
    g: ndarray


def backward(
    outputs: Sequence[Variable], gradients: Sequence[Any], retain_graph: bool | None, create_graph: bool
) -> None:
    """Add the gradients of ``outputs`` to the ``.grad`` of every leaf that they depend on."""
    walk = Walk(outputs, retain_graph, create_graph)
    walk.run(outputs, gradients)
    for edge in walk.totals:
        if type(edge) is Leaf:
            deposit(edge, walk.handed_over(edge), create_graph)


def grad(
    outputs: Sequence[Variable],
    inputs: Sequence[Variable],
    grad_outputs: Sequence[Any],
    retain_graph: bool | None,
    create_graph: bool,
    allow_unused: bool,
) -> tuple[Any, ...]:
    """Return the gradients of ``outputs`` with respect to ``inputs``; no ``.grad`` is touched."""
    wanted = []
    for i, variable in enumerate(inputs):
        if variable.edge is None:
            raise RuntimeError(f"grad: input {i} (shape {variable._data.shape}) does not require a gradient")
        wanted.append(variable.edge)
    walk = Walk(outputs, retain_graph, create_graph, set(wanted))
    walk.run(outputs, grad_outputs)
    results = []
    for i, edge in enumerate(wanted):
        if edge not in walk.totals and not allow_unused:
            raise RuntimeError(
                f"grad: the outputs do not depend on input {i} (shape {inputs[i]._data.shape}). "
                "Pass allow_unused=True to get None for it"
            )
        results.append(walk.handed_over(edge) if edge in walk.totals else None)
    return tuple(results)


def deposit(edge: Edge, total: Variable, recorded: bool) -> None:
    """Accumulate a gradient; an array that the user may hold is never written."""
    if edge.grad is None:
        edge.grad = total
    elif recorded:
        edge.grad = edge.grad + total
    else:
        edge.grad = total.wrap(np.asarray(edge.grad._data + total._data))


class Walk:
    """One traversal: the totals so far, and what is owned."""

    def __init__(
        self,
        outputs: Sequence[Variable],
        retain_graph: bool | None,
        create_graph: bool,
        wanted: set[Edge] | None = None,
    ) -> None:
        self.retain = create_graph if retain_graph is None else retain_graph
        self.create = create_graph
        self.wanted = wanted or set()
        self.useful = None if wanted is None else useful_edges((v.edge for v in outputs), wanted)
        self.wrap = outputs[0].wrap
        self.totals: dict[Edge, Any] = {}
        self.summed: set[Edge] = set()  # totals that we allocated by adding: they may be added to in place
        self.heap: list[tuple[int, Function]] = []

    def handed_over(self, edge: Edge) -> Variable:
        """Return a total as a variable whose memory belongs to nobody else: neither graph nor another leaf nor user."""
        if self.create:
            total = self.totals[edge]
            return self.wrap(total._data.copy(), total.edge)
        alone = holders(self.totals, edge) in _ALONE
        total = self.totals[edge]
        return self.wrap(total if alone and total.flags.carray else buffers.copy(total))

    def start(self, outputs: Sequence[Variable], gradients: Sequence[Any]) -> None:
        """Note the gradients of the outputs."""
        for variable, gradient in zip(outputs, gradients, strict=True):
            edge = variable.edge
            if edge is not None and (self.useful is None or edge in self.useful):
                if edge in self.totals:
                    self.accumulate(edge, gradient)
                else:
                    self.totals[edge] = gradient
                    if isinstance(edge, Function):
                        heappush(self.heap, (-edge.tick, edge))

    def run(self, outputs: Sequence[Variable], gradients: Sequence[Any]) -> None:
        """Propagate ``gradients`` (arrays, or variables under create_graph) from ``outputs`` down to the leaves."""
        self.start(outputs, gradients)
        node: Function | None = None
        try:
            if self.create:
                with set_grad_enabled(True):
                    while self.heap:
                        node = heappop(self.heap)[1]
                        self.visit(node)
            else:
                heap, visit = self.heap, self.visit
                while heap:
                    node = heappop(heap)[1]
                    visit(node)
        except Exception as error:
            if node is not None:
                error.add_note(f"in the backward pass of {node.name}{f' in {node.path}' if node.path else ''}")
            raise

    def accumulate(self, edge: Edge, g: Any) -> None:
        """Add a further gradient to the total of ``edge``."""
        total = self.totals[edge]
        if edge in self.summed:
            np.add(total, g, out=total)
        elif self.create:
            self.totals[edge] = total + g
        else:
            self.totals[edge] = np.add(total, g, out=buffers.empty(total.shape, total.dtype))
            self.summed.add(edge)

    def visit(self, node: Function) -> None:
        """Turn the gradient of a node's result into gradients of its inputs, then free the node."""
        gy = self.totals[node] if self.wanted and node in self.wanted else self.totals.pop(node)
        edges, plan = node.edges, node.plan
        if edges is None:
            if self.wanted == {node}:
                return
            raise RuntimeError(
                f"the graph behind this {node.name} was already used and freed by an earlier backward pass. Pass "
                "retain_graph=True to that first pass, or add the losses and call backward once"
            )
        if plan.retains_grad and not self.wanted:
            deposit(node, self.wrap(gy._data.copy(), gy.edge) if self.create else self.wrap(gy.copy()), self.create)
        if self.useful is not None and self.useful.isdisjoint(edges):
            return
        if version.latest > node.tick:
            node.check_versions()
        saved = node.saved
        if self.create:
            check_by_products(node)
            saved = lift(node, self.wrap)
        for i, rule, arguments in plan.rules:
            if i < 0:  # a joint backward: the gradients of all inputs at once
                outer = useful.get()  # that of a walk whose rule goes back through a graph of its own
                if outer is not self.useful:
                    useful.set(self.useful)
                try:
                    gradients = rule(node, gy, *[saved[p] for p in arguments])
                finally:
                    if outer is not self.useful:
                        useful.set(outer)
                if len(gradients) != len(edges):
                    raise RuntimeError(f"backward returned {len(gradients)} gradients for {len(edges)} inputs")
                for edge, g in zip(edges, gradients, strict=True):
                    if edge is not None and (self.useful is None or edge in self.useful):
                        self.receive(node, edge, g)
                continue
            edge = edges[i]
            if self.useful is not None and edge not in self.useful:
                continue
            if not arguments:
                g = rule(node, gy)
            elif len(arguments) == 1:
                g = rule(node, gy, saved[arguments[0]])
            else:
                g = rule(node, gy, *[saved[p] for p in arguments])
            self.receive(node, edge, g)  # type: ignore[arg-type]  # a rule is planned where there is an edge
        if not self.retain:
            free(node)

    def receive(self, node: Function, edge: Edge, g: Any) -> None:
        """Check what a rule returned and add it to the total of ``edge``."""
        if type(g) is Part:
            self.receive_part(edge, g)
            return
        if type(g) is not ndarray or self.create:
            g = self.checked(node, edge, g)
        if g.shape != edge.y_shape:
            g = node.fit(g, edge.y_shape)
        if g.dtype is not edge.y_dtype and g.dtype != edge.y_dtype:
            g = g.astype(edge.y_dtype)
        if edge in self.totals:
            self.accumulate(edge, g)
        else:
            self.totals[edge] = g
            if type(edge) is not Leaf:
                heappush(self.heap, (-edge.tick, edge))  # type: ignore[union-attr, misc]  # so a Function

    def receive_part(self, edge: Edge, part: Part) -> None:
        """Add the gradient of a part of a result to the total of ``edge``, which is then ours to write."""
        total = self.totals.get(edge)
        if total is None:
            total = np.zeros(edge.y_shape, edge.y_dtype)
            total[part.key] = part.g
            if type(edge) is not Leaf:
                heappush(self.heap, (-edge.tick, edge))  # type: ignore[union-attr, misc]
        else:
            if edge not in self.summed:
                total = total.copy()
            total[part.key] += part.g
        self.totals[edge] = total
        self.summed.add(edge)

    def checked(self, node: Function, edge: Edge, g: Any) -> Any:
        """Return a gradient as an array, or under create_graph as a variable; None means zeros."""
        if isinstance(g, Variable):
            if not self.create:
                raise RuntimeError(f"{node.name}: a rule returned a {type(g).__name__} for arrays; return an array")
            return g
        g = np.zeros(edge.y_shape, edge.y_dtype) if g is None else np.asarray(g)
        return self.wrap(g) if self.create else g


def holders(totals: dict[Any, Any], edge: Any) -> tuple[int, int]:
    """Count the references to a total, and to the array of which it is a view."""
    total = totals[edge]
    memory = total.base
    if type(memory) is ndarray:
        return getrefcount(total), getrefcount(memory) + isinstance(memory.base, ndarray)
    return getrefcount(total), 0


# What `holders` counts where nobody else has a reference: it differs between versions of Python.
_ALONE = [holders({0: np.zeros(1)}, 0), holders({0: np.zeros((1, 1)).reshape(1)}, 0)]


def free(node: Function) -> None:
    """Let go of what a node kept for the backward pass that is now behind it."""
    node.edges = None
    if node.plan.keeps:
        node.saved = ()
    for name in node.plan.by_products:
        node.__dict__.pop(name, None)


def lift(node: Function, wrap: Any) -> list[Any]:
    """Return the saved arrays as variables on the edges that they came by; ``y`` stands on the node itself."""
    edges = (*(node.edges or ()), node)
    return [wrap(a, edge) if isinstance(a, ndarray) else a for a, edge in zip(node.saved, edges, strict=False)]


def check_by_products(node: Function) -> None:
    """Raise where a float array hangs on a node undeclared: at second order it would silently be a constant."""
    for name, value in vars(node).items():
        if isinstance(value, ndarray) and value.dtype.kind == "f" and name not in node.plan.by_products:
            raise RuntimeError(
                f"{node.name} keeps the float array 'self.{name}', whose own gradient create_graph would lose. Let the "
                "rule recompute it from its inputs or 'y', or list it in 'keeps' if it truly is a constant"
            )


def useful_edges(roots: Iterable[Edge | None], wanted: set[Edge]) -> set[Edge]:
    """Return the edges from which a wanted one can be reached, and freed nodes: what was behind them is unknown."""
    useful = set(wanted)
    for node in nodes_before(roots):  # oldest first: the inputs of a node come before it
        if node.edges is None or not useful.isdisjoint(node.edges):
            useful.add(node)
    return useful


def nodes_before(roots: Iterable[Edge | None]) -> list[Function]:
    """Return every recorded node from which ``roots`` were computed, oldest first."""
    seen: set[Function] = set()
    stack = [edge for edge in roots if isinstance(edge, Function)]
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            stack.extend(edge for edge in node.edges or () if isinstance(edge, Function) and edge not in seen)
    return sorted(seen, key=attrgetter("tick"))
