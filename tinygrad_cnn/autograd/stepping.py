"""Backward as a loop: stop at every node, look at what comes in and what goes out, and let other gradients go on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_cnn.autograd.engine import Edge, Part, Walk, deposit, free
from tinygrad_cnn.autograd.function import Function
from tinygrad_cnn.autograd.variable import Leaf, Variable


@dataclass(slots=True)
class Step:
    """One node of a backward pass.

    Attributes:
        node: the operation; its ``name``, ``path``, ``edges``, and the arrays that its rules read.
        gy: the gradient of its result.
        gradients: what its rules gave: input name -> gradient, for the inputs that need one. Put another array of the
            same shape in its place, and that one goes on: so guided backpropagation leaves out what is negative.
    """

    node: Function
    gy: ndarray
    gradients: dict[str, ndarray]

    def __repr__(self) -> str:
        found = ", ".join(f"g{name} {tuple(g.shape)}" for name, g in self.gradients.items())
        return f"<{self.node.name}{f' in {self.node.path}' if self.node.path else ''}: {found}>"


class Steps(Walk):
    """A walk backward that is iterated over, newest node first.

    Gradients are deposited when the loop has come to its end; one that is broken off leaves every ``.grad`` as it was,
    and the nodes that it passed used up.

    Args:
        outputs: where the walk begins, with their incoming ``gradients`` (arrays).
        retain_graph: keep the graph for another pass.
        inputs: walk only what leads to these and touch no ``.grad``: `gradients` has the results afterwards.
    """

    def __init__(
        self,
        outputs: Sequence[Variable],
        gradients: Sequence[ndarray],
        retain_graph: bool = False,
        inputs: Sequence[Variable] | None = None,
    ) -> None:
        wanted = None if inputs is None else {v.edge for v in inputs if v.edge is not None}
        super().__init__(outputs, True, create_graph=False, wanted=wanted)
        self.start(outputs, gradients)
        self.frees, self.inputs = not retain_graph, inputs
        self.received: list[tuple[str, Edge, Any]] = []  # by the node that is being visited

    def __iter__(self) -> Iterator[Step]:
        while self.heap:
            node = heappop(self.heap)[1]
            gy = self.totals[node]
            self.received = []
            self.visit(node)
            received = self.received
            if received:
                step = Step(node, gy, {name: g for name, _, g in received})
                yield step
                for name, edge, g in received:
                    new = np.asarray(step.gradients[name])
                    if new.shape != g.shape:
                        raise ValueError(
                            f"backward_steps: g{name} of {node.name} must keep its shape {g.shape}, got {new.shape}"
                        )
                    super().receive(node, edge, new)
            if self.frees:
                free(node)
        if self.inputs is None:
            for edge in self.totals:
                if type(edge) is Leaf:
                    deposit(edge, self.handed_over(edge), False)

    def receive(self, node: Function, edge: Edge, g: Any) -> None:
        """Hold back what a rule returned until the step is over."""
        if type(g) is Part:
            whole = np.zeros(edge.y_shape, edge.y_dtype)
            whole[g.key] = g.g
            g = whole
        g = self.checked(node, edge, g)
        if g.shape != edge.y_shape:
            g = node.fit(g, edge.y_shape)
        taken = {name for name, _, _ in self.received}
        names = (node.input_name(i) for i, other in enumerate(node.edges or ()) if other is edge)
        self.received.append((next(name for name in names if name not in taken), edge, g))

    def gradients(self) -> list[Any]:
        """Return the gradients of ``inputs`` after the loop, None for one on which the outputs do not depend."""
        totals = [None if v.edge is None else self.totals.get(v.edge) for v in self.inputs or ()]
        return [None if total is None else total.copy() for total in totals]
