"""Activation layers: the functions of the same names, for use in a Sequential."""

from __future__ import annotations

from typing import Any

from tinygrad_cnn import functional as F
from tinygrad_cnn.kernels.geometry import whole
from tinygrad_cnn.nn.module import Module
from tinygrad_cnn.state import place


class ReLU(Module):
    """max(x, 0).

    Args:
        inplace: accepted for PyTorch's sake; the result is always a new tensor.

    >>> import numpy as np
    >>> ReLU()(np.array([-1.0, 2.0]))
    array([0., 2.])
    """

    inplace: bool

    def __init__(self, inplace: bool = False) -> None:
        self.inplace = inplace

    def forward(self, input: Any) -> Any:
        return F.relu(input)


class LeakyReLU(Module):
    """x where x > 0, else negative_slope * x.

    Args:
        negative_slope: the slope on the left.
        inplace: accepted for PyTorch's sake; the result is always a new tensor.
    """

    negative_slope: float
    inplace: bool

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        self.negative_slope = negative_slope
        self.inplace = inplace

    def forward(self, input: Any) -> Any:
        return F.leaky_relu(input, self.negative_slope)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}"


class Sigmoid(Module):
    """1 / (1 + exp(-x))."""

    def forward(self, input: Any) -> Any:
        return F.sigmoid(input)


class Tanh(Module):
    """The hyperbolic tangent."""

    def forward(self, input: Any) -> Any:
        return F.tanh(input)


class Softmax(Module):
    """exp(x), divided by its sum along an axis.

    Args:
        dim: the axis; 1 for class scores (N, C).
    """

    dim: int

    def __init__(self, dim: int) -> None:
        self.dim = _checked_axis(type(self).__name__, dim)

    def forward(self, input: Any) -> Any:
        return F.softmax(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Softmin(Softmax):
    """`Softmax` of -x: the smallest input gets the largest share; arguments as in `Softmax`."""

    def forward(self, input: Any) -> Any:
        return F.softmin(input, self.dim)


class Softmax2d(Module):
    """`Softmax` over the channels of every pixel of (N, C, H, W).

    >>> import numpy as np
    >>> Softmax2d()(np.zeros((1, 4, 2, 3)))[0, :, 1, 2]
    array([0.25, 0.25, 0.25, 0.25])
    """

    def forward(self, input: Any) -> Any:
        if len(input.shape) != 4:
            raise ValueError(f"{place('Softmax2d')}: needs shape (N, C, H, W), got {tuple(input.shape)}")
        return F.softmax(input, 1)


class LogSoftmax(Module):
    """The logarithm of `Softmax`, without its overflow.

    Args:
        dim: the axis; 1 for class scores (N, C).
    """

    dim: int

    def __init__(self, dim: int) -> None:
        self.dim = _checked_axis("LogSoftmax", dim)

    def forward(self, input: Any) -> Any:
        return F.log_softmax(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


def _checked_axis(op: str, dim: Any) -> int:
    return whole(op, "dim", dim, -32)
