"""Layers that compute nothing: they pass their input on, or change its shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygrad_cnn import functional as F
from tinygrad_cnn.nn.module import Module


class Identity(Module):
    """The input itself; it takes the place of a layer that is left out."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Accept, and ignore, the arguments of the layer whose place it takes."""

    def forward(self, input: Any) -> Any:
        return input


class Unflatten(Module):
    """Cut the axis ``dim`` into axes of the sizes ``unflattened_size``, one of which may be -1.

    >>> import numpy as np
    >>> Unflatten(1, (16, 5, -1))(np.zeros((8, 320))).shape
    (8, 16, 5, 4)
    """

    dim: int
    unflattened_size: tuple[int, ...]

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        self.dim = dim
        self.unflattened_size = tuple(unflattened_size)

    def forward(self, input: Any) -> Any:
        return F.unflatten(input, self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


class Flatten(Module):
    """Join the axes from ``start_dim`` to ``end_dim`` into one.

    >>> import numpy as np
    >>> Flatten()(np.zeros((8, 16, 5, 4))).shape
    (8, 320)
    """

    start_dim: int
    end_dim: int

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, input: Any) -> Any:
        return F.flatten(input, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"
