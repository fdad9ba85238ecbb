"""Parameter: a tensor that a module owns and an optimiser updates."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_cnn.tensor import Tensor


class Parameter(Tensor):
    """A tensor that becomes a parameter of the module to which it is assigned.

    What operations compute from it are plain Tensors.

    Args:
        data: numbers, an ndarray (shared, not copied) or a Tensor (shared, detached).
        requires_grad: False freezes it.

    >>> w = Parameter([1.0, 2.0])
    >>> w
    Parameter([1., 2.], requires_grad=True)
    >>> w * 2
    Tensor([2., 4.], grad_fn=<Mul>)
    """

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        super().__init__(data, None, requires_grad)


def convert(tensor: Tensor, dtype: np.dtype) -> None:
    """Give a float parameter or buffer another dtype in place: the object, its gradient and its freezing stay."""
    if tensor.dtype.kind != "f" or tensor.dtype == dtype:
        return
    trained, gradient = tensor.requires_grad, tensor.grad
    tensor.requires_grad_(False)
    tensor.data = tensor.data.astype(dtype)
    if trained or gradient is not None:
        tensor.requires_grad_()  # a place for gradients of the new dtype
        tensor.grad = None if gradient is None else gradient.detach().astype(dtype)
        tensor.requires_grad_(trained)
