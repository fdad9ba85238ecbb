"""What is there to be drawn: the calls of a trace, or the nodes of a graph as such calls, each with what it read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_cnn.autograd import Function, Leaf
from tinygrad_cnn.autograd.engine import Edge, nodes_before
from tinygrad_cnn.functional.indexing import SetItem
from tinygrad_cnn.tensor import Tensor
from tinygrad_cnn.tracing import Call, Trace

_NOTHING = np.zeros(1)


def calls_before(outputs: Sequence[Tensor]) -> tuple[list[Call], dict[Edge | None, Call]]:
    """Return the recorded operations as calls, oldest first, and for each node of the graph the call that it is.

    A graph keeps no values but those that backward will need: inputs and results are tensors of the right shape, dtype
    and edge, without memory; an input that is not differentiated is what was kept, or None.

    Raises:
        RuntimeError: the graph was used up by ``backward()``.

    >>> x = Tensor([1.0, 2.0], requires_grad=True)
    >>> y = (x * 3).exp()
    >>> calls, known = calls_before([y])
    >>> calls, calls[0].inputs[1], known[y.edge] is calls[1]
    ([<: mul -> (2,)>, <: exp -> (2,)>], 3, True)
    """
    known: dict[Edge | None, Call] = {}
    calls: list[Call] = []
    for node in nodes_before(output.edge for output in outputs):
        for single in node.singles():
            if single.edges is None:
                raise RuntimeError(
                    f"draw_graph: the graph behind this {node.name} was already used and freed by backward(). Draw "
                    "before backward(), or call backward(retain_graph=True)"
                )
            inputs = tuple(_input(single, i, edge) for i, edge in enumerate(single.edges))
            sources = tuple(known.get(edge) for edge in single.edges)
            call = Call(single, single.path, inputs, sources, _without_memory(single), {}, 0.0, len(calls))
            calls.append(call)
            known[single] = call
        known[node] = calls[-1]  # of a run of several, what follows it is joined to the last
    return calls, known


def _input(node: Function, i: int, edge: Edge | None) -> Any:
    if edge is not None:
        return _without_memory(edge)
    kept = node.saved[i] if node.saved else None
    return Tensor.wrap(kept) if isinstance(kept, np.ndarray) else kept


def _without_memory(edge: Function | Leaf) -> Tensor:
    shape = edge.y_shape
    return Tensor.wrap(np.ndarray(shape, edge.y_dtype, _NOTHING, strides=(0,) * len(shape)), edge)


def calls_of(trace: Trace) -> tuple[list[Call], list[Call]]:
    """Return the calls of a trace that led to its results, and these: what no later call read.

    Where gradients were recorded, only what they flow through is a result: so the running statistics of normalisation
    are left out, which are written beside it.

    Raises:
        ValueError: the trace is empty.
    """
    calls = list(trace)
    read = {source for call in calls for source in call.sources}
    results = [call for call in calls if call not in read and not isinstance(call.function, SetItem)]
    if not results:
        raise ValueError("draw_graph: the trace is empty; call the model inside of `with trace(model) as t:`")
    results = [call for call in results if getattr(call.output, "edge", None) is not None] or results
    needed = set(results)
    for call in reversed(calls):
        if call in needed:
            needed.update(source for source in call.sources if source is not None)
    return [call for call in calls if call in needed], results
