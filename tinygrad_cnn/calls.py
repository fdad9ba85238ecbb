"""What a model computes, operation by operation, seen from outside: nothing is put into the model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from tinygrad_cnn.autograd import Function, no_grad
from tinygrad_cnn.nn import Module
from tinygrad_cnn.state import module_path, observe
from tinygrad_cnn.tensor import Tensor

Shape = tuple[int, ...]


class Call(NamedTuple):
    """One operation: which, in which module, on what, with what result."""

    function: Function
    path: str  # of the module that was running, "" for the model itself
    inputs: tuple[Any, ...]  # tensors, arrays or None, as they were given
    output: Any

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        """The shapes of the inputs, () for numbers and None."""
        return tuple(tuple(getattr(x, "shape", ())) for x in self.inputs)

    @property
    def shape(self) -> Shape:
        """The shape of the result."""
        return tuple(self.output.shape)


def record_calls(model: Module, input: Any) -> list[Call]:
    """Run a model in evaluation mode, without gradients, and return its operations in order.

    Nothing in the model changes: modes come back, buffers and gradients are not touched. Layers that could run as one
    operation run one by one here, with the same bits. The calls hold every intermediate result.

    Args:
        model: any module.
        input: what it is called with.

    >>> from tinygrad_cnn import nn
    >>> model = nn.Sequential({"conv": nn.Conv2d(1, 2, 3), "relu": nn.ReLU()})
    >>> calls = record_calls(model, np.zeros((1, 1, 5, 4), np.float32))
    >>> [(call.function.name, call.path, call.shape) for call in calls]
    [('Conv2d', 'conv', (1, 2, 3, 2)), ('ReLU', 'relu', (1, 2, 3, 2))]
    """
    calls: list[Call] = []

    def note(function: Function, inputs: tuple[Any, ...], output: Any) -> None:
        calls.append(Call(function, module_path.get(), tuple(inputs), output))

    with evaluation(model), no_grad():
        found = observe(note)
        try:
            model(input)
        finally:
            observe(found)
    return calls


@contextmanager
def evaluation(model: Module) -> Iterator[None]:
    """Put every module into evaluation mode for a while; afterwards each has its own mode again."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def sample_input(
    op: str, model: Module, input_size: Any, count: int = 1, generator: np.random.Generator | None = None
) -> Tensor:
    """Return ``count`` inputs of this size in the dtype of the model: normal numbers, zeros without a generator.

    ``op`` asks for them: it is named where ``model`` is no module or ``input_size`` no size.
    """
    if not isinstance(model, Module):
        raise TypeError(f"{op}: model must be an nn.Module, got {type(model).__name__}")
    try:
        size = tuple(n.__index__() for n in input_size)
    except (AttributeError, TypeError):
        raise TypeError(
            f"{op}: input_size must be the sizes of one sample, such as (1, 28, 28), got {input_size!r}"
        ) from None
    if not size or min(size) < 1:
        raise ValueError(
            f"{op}: input_size must hold sizes of at least 1, without the batch, such as (1, 28, 28), got {size}"
        )
    dtype = next((p.dtype for p in model.parameters()), np.dtype(np.float32))
    shape = count, *size
    return Tensor((np.zeros(shape) if generator is None else generator.standard_normal(shape)).astype(dtype))
