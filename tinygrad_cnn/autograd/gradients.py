"""Gradients of anything by anything: the checks and the public face of the walk backward."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from tinygrad_cnn.autograd import engine
from tinygrad_cnn.autograd.variable import Variable


def seed(op: str, output: Variable, gradient: Any, create_graph: bool) -> Any:
    """Return the incoming gradient of an output as the engine wants it, or explain what is wrong with it."""
    if gradient is None:
        if output._data.size != 1:
            raise ValueError(
                f"{op}: an output of shape {output._data.shape} needs an incoming gradient of that shape: "
                "pass gradient=, or reduce it to one number first, for instance with .sum() or .mean()"
            )
        array = np.array(1, output._data.dtype).reshape(output._data.shape)
    else:
        array = gradient._data if isinstance(gradient, Variable) else np.asarray(gradient)
        if array.shape != output._data.shape:
            raise ValueError(
                f"{op}: the incoming gradient must have the output's shape {output._data.shape}, got {array.shape}"
            )
        array = array.astype(output._data.dtype, copy=False)
    if not create_graph:
        return array
    if isinstance(gradient, Variable):
        same = gradient._data.dtype == output._data.dtype
        return gradient if same else gradient.astype(output._data.dtype)  # type: ignore[attr-defined]
    return output.wrap(array)


def _variables(name: str, given: Any) -> list[Variable]:
    variables = [given] if isinstance(given, Variable) or not isinstance(given, Iterable) else list(given)
    if not variables or not all(isinstance(t, Variable) for t in variables):
        found = ", ".join(type(t).__name__ for t in variables) or "none"
        raise TypeError(f"grad: {name} must be a tensor or a sequence of at least one, got {found}")
    return variables


def grad(
    outputs: Variable | Sequence[Variable],
    inputs: Variable | Sequence[Variable],
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Any, ...]:
    """Return the gradients of ``outputs`` with respect to ``inputs``, leaves or not; no ``.grad`` changes.

    Only the part of the graph between the two is walked. The arguments are PyTorch's.

    >>> from tinygrad_cnn import Tensor
    >>> x = Tensor([1.0, 2.0], requires_grad=True)
    >>> y = (x ** 3).sum()
    >>> (gx,) = grad(y, x, create_graph=True)
    >>> grad(gx.sum(), x)                   # the second derivative, 6x
    (Tensor([ 6., 12.]),)
    """
    outputs, inputs = _variables("outputs", outputs), _variables("inputs", inputs)
    if grad_outputs is None or isinstance(grad_outputs, (Variable, np.ndarray)):
        grad_outputs = [grad_outputs] * (len(outputs) if grad_outputs is None else 1)
    if len(grad_outputs) != len(outputs):
        raise ValueError(f"grad: {len(outputs)} outputs, but {len(grad_outputs)} grad_outputs")
    for i, output in enumerate(outputs):
        if output.edge is None:
            raise RuntimeError(f"grad: output {i} (shape {output._data.shape}) does not require a gradient")
    seeds = [seed("grad", o, g, create_graph) for o, g in zip(outputs, grad_outputs, strict=True)]
    return engine.grad(outputs, inputs, seeds, retain_graph, create_graph, allow_unused)
