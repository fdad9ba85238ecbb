"""Parameter: a tensor that a module owns and an optimiser updates."""

from __future__ import annotations

from typing import Any

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
