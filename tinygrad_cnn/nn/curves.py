"""Activation layers that are one curve, with PyTorch's names and settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from tinygrad_cnn import functional as F
from tinygrad_cnn.kernels.geometry import whole
from tinygrad_cnn.nn.module import Module
from tinygrad_cnn.nn.parameter import Parameter


class Curve(Module):
    """A function of one number without settings.

    Args:
        inplace: accepted for PyTorch's sake; the result is always a new tensor.

    >>> SiLU()(np.array([0.0, 50.0]))
    array([ 0., 50.])
    """

    function: ClassVar[Callable[..., Any]]
    inplace: bool

    def __init__(self, inplace: bool = False) -> None:
        self.inplace = inplace

    def forward(self, input: Any) -> Any:
        return type(self).function(input)


class Hardsigmoid(Curve):
    """(x + 3) / 6, limited to [0, 1]."""

    function = staticmethod(F.hardsigmoid)


class Hardswish(Curve):
    """x * hardsigmoid(x)."""

    function = staticmethod(F.hardswish)


class LogSigmoid(Curve):
    """log(1 / (1 + exp(-x)))."""

    function = staticmethod(F.logsigmoid)


class Mish(Curve):
    """x * tanh(softplus(x))."""

    function = staticmethod(F.mish)


class ReLU6(Curve):
    """x, limited to [0, 6]."""

    function = staticmethod(F.relu6)


class SELU(Curve):
    """The self-normalising 1.0507 * elu(x, 1.6733)."""

    function = staticmethod(F.selu)


class SiLU(Curve):
    """x * sigmoid(x)."""

    function = staticmethod(F.silu)


class Softsign(Curve):
    """x / (1 + |x|)."""

    function = staticmethod(F.softsign)


class ELU(Module):
    """x where x > 0, else alpha * (exp(x) - 1).

    Args:
        alpha: how far it goes down.
        inplace: accepted for PyTorch's sake; the result is always a new tensor.
    """

    function: ClassVar[Callable[..., Any]] = staticmethod(F.elu)
    alpha: float
    inplace: bool

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        self.alpha, self.inplace = alpha, inplace

    def forward(self, input: Any) -> Any:
        return type(self).function(input, self.alpha)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}"


class CELU(ELU):
    """x where x > 0, else alpha * (exp(x / alpha) - 1); arguments as in `ELU`."""

    function = staticmethod(F.celu)


class GELU(Module):
    """x * P(X <= x) for a standard normal X.

    Args:
        approximate: "none", or "tanh" for the approximation.
    """

    approximate: str

    def __init__(self, approximate: str = "none") -> None:
        self.approximate = approximate

    def forward(self, input: Any) -> Any:
        return F.gelu(input, self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class Hardtanh(Module):
    """x, limited to [min_val, max_val].

    Args:
        min_val: the lower bound.
        max_val: the upper bound.
        inplace: accepted for PyTorch's sake; the result is always a new tensor.
    """

    min_val: float
    max_val: float
    inplace: bool

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        self.min_val, self.max_val, self.inplace = min_val, max_val, inplace

    def forward(self, input: Any) -> Any:
        return F.hardtanh(input, self.min_val, self.max_val)

    def extra_repr(self) -> str:
        return f"min_val={self.min_val}, max_val={self.max_val}"


class Softplus(Module):
    """log(1 + exp(beta * x)) / beta, a smooth ReLU.

    Args:
        beta: how sharp it bends.
        threshold: where beta * x is above this, the result is x.
    """

    beta: float
    threshold: float

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        self.beta, self.threshold = beta, threshold

    def forward(self, input: Any) -> Any:
        return F.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class PReLU(Module):
    """x where x > 0, else weight * x, with a learned weight.

    He et al. (2015), https://arxiv.org/abs/1502.01852.

    Args:
        num_parameters: 1, or the number of channels (axis 1).
        init: the slope to begin with.
        dtype: float32 or float64.

    >>> PReLU(3)(np.ones((1, 3), np.float32) * -4)
    Tensor([[-1., -1., -1.]], grad_fn=<PReLU>)
    """

    num_parameters: int
    weight: Parameter

    def __init__(self, num_parameters: int = 1, init: float = 0.25, *, dtype: Any = np.float32) -> None:
        self.num_parameters = whole("PReLU", "num_parameters", num_parameters, 1)
        self.weight = Parameter(np.full(num_parameters, init, dtype))

    def forward(self, input: Any) -> Any:
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"
