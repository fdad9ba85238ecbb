"""Running a model to look at it: in evaluation mode, on an input of a given size, with every operation noted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinygrad_cnn.autograd import no_grad
from tinygrad_cnn.nn import Module
from tinygrad_cnn.tensor import Tensor
from tinygrad_cnn.tracing import Trace, trace


def record_calls(model: Module, input: Any) -> Trace:
    """Run a model in evaluation mode, without gradients, and return its `trace`.

    Args:
        model: any module.
        input: what it is called with.

    >>> from tinygrad_cnn import nn
    >>> model = nn.Sequential({"conv": nn.Conv2d(1, 2, 3), "drop": nn.Dropout(), "relu": nn.ReLU()})
    >>> list(record_calls(model, np.zeros((1, 1, 5, 4), np.float32)))
    [<conv: conv2d -> (1, 2, 3, 2)>, <relu: relu -> (1, 2, 3, 2)>]
    """
    with evaluation(model), no_grad(), trace(model) as calls:
        model(input)
    return calls


@contextmanager
def evaluation(model: Module) -> Iterator[None]:
    """Put every module into evaluation mode for a while; afterwards each has its own mode again."""
    if not isinstance(model, Module):
        raise TypeError(f"model must be an nn.Module, got {model if isinstance(model, type) else type(model).__name__}")
    modes = [(module, vars(module).get("training")) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            if mode is None:  # it has that of its class
                vars(module).pop("training", None)
            else:
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
