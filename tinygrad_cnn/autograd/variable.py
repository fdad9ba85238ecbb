"""What the graph holds: a variable is an array and the edge by which gradients leave it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

if TYPE_CHECKING:
    from tinygrad_cnn.autograd.function import Function


class Leaf:
    """The end of the graph: where the gradient of a parameter or an input arrives.

    A leaf holds no array, so freed graphs and gradients never keep data alive.
    """

    __slots__ = ("__weakref__", "grad", "y_dtype", "y_shape")

    def __init__(self, array: np.ndarray) -> None:
        self.grad: Any = None
        self.y_shape = array.shape
        self.y_dtype = array.dtype


class Variable:
    """An array with an edge; Tensor gives it the manners of an ndarray.

    Attributes:
        edge: the Function that computed the array, a Leaf where gradients are collected, or None for a constant.
    """

    __slots__ = ("__weakref__", "_data", "_leaf", "edge")

    kind: ClassVar[type[Variable]]  # the type of what operations return
    _data: np.ndarray
    edge: Function | Leaf | None
    # The leaf of this variable while it is frozen, so that thawing it finds the same place for gradients.
    _leaf: Leaf | None

    @staticmethod
    def wrap(array: np.ndarray, edge: Function | Leaf | None = None) -> Variable:
        """Return a variable of the public type that holds ``array``."""
        raise NotImplementedError
