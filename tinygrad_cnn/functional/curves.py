"""Activations that are one curve: a fused kernel for value and slope, and the slope as a formula for second order."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np  # noqa: F401  the examples need it
from numpy import ndarray

from tinygrad_cnn.autograd import Function
from tinygrad_cnn.functional.activation import sigmoid, tanh
from tinygrad_cnn.functional.elementwise import abs, exp, where
from tinygrad_cnn.functional.linalg import same_float
from tinygrad_cnn.kernels import curves as kernel
from tinygrad_cnn.kernels.compile import Kernel
from tinygrad_cnn.kernels.geometry import number
from tinygrad_cnn.state import place

# With these, layers of SELU keep mean 0 and variance 1 (Klambauer et al., 2017).
SELU_ALPHA, SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946


class Curve(Function):
    """y = value(x), number by number; a subclass names its kernels and writes the slope once more in operators."""

    value: ClassVar[Kernel]
    gradient: ClassVar[Kernel]
    formula: Callable[..., Any]

    def __init__(self, *parameters: float) -> None:
        self.parameters = parameters

    def forward(self, x: ndarray) -> ndarray:
        return kernel.elementwise(self.value, x, parameters=self.parameters)

    def grad_x(self, gy: Any, x: Any) -> Any:
        if type(gy) is ndarray:
            return kernel.elementwise(self.gradient, gy, x, parameters=self.parameters)
        return self.formula(gy, x)  # gy * slope(x)


class ELU(Curve):
    """right * x where x > 0, else left * (e**(rate * x) - 1)."""

    value, gradient = kernel.elu, kernel.elu_grad

    def formula(self, gy: Any, x: Any) -> Any:
        left, right, rate = self.parameters
        return where(x > 0, gy * right, gy * (left * rate) * exp(where(x > 0, 0.0, x) * rate))


class CELU(ELU):
    """`ELU` with the slope 1 at 0 on both sides."""


class SELU(ELU):
    """`ELU` with two fixed numbers."""


class GELU(Curve):
    """x * P(X <= x) for a standard normal X."""

    value, gradient = kernel.gelu, kernel.gelu_grad

    def formula(self, gy: Any, x: Any) -> Any:
        return gy * (NormalCDF().apply(x) + x * _density(x))


class NormalCDF(Curve):
    """P(X <= x) for a standard normal X."""

    value, gradient = kernel.normal_cdf, kernel.normal_cdf_grad

    def formula(self, gy: Any, x: Any) -> Any:
        return gy * _density(x)


def _density(x: Any) -> Any:
    return exp(x * x * -0.5) * (1 / math.sqrt(2 * math.pi))


class GELUTanh(Curve):
    """x * sigmoid(u), where u = A x (1 + B x**2)."""

    value, gradient = kernel.gelu_tanh, kernel.gelu_tanh_grad

    def formula(self, gy: Any, x: Any) -> Any:
        A, B = kernel.A, kernel.B
        s = sigmoid(A * x * (1 + B * x * x))
        return gy * s * (1 + (1 - s) * A * x * (1 + 3 * B * x * x))


class Hardsigmoid(Curve):
    """(x + 3) / 6, between 0 and 1."""

    value, gradient = kernel.hardsigmoid, kernel.hardsigmoid_grad

    def formula(self, gy: Any, x: Any) -> Any:
        return where(abs(x) < 3, gy * (1 / 6), 0.0)


class Hardswish(Curve):
    """x * hardsigmoid(x)."""

    value, gradient = kernel.hardswish, kernel.hardswish_grad

    def formula(self, gy: Any, x: Any) -> Any:
        return where(x <= -3, 0.0, where(x >= 3, gy, gy * (x * (1 / 3) + 0.5)))


class Hardtanh(Curve):
    """x, between two bounds."""

    value, gradient = kernel.hardtanh, kernel.hardtanh_grad

    def formula(self, gy: Any, x: Any) -> Any:
        low, high = self.parameters
        return where(x <= low, 0.0, where(x >= high, 0.0, gy))


class ReLU6(Hardtanh):
    """x, between 0 and 6."""


class LogSigmoid(Curve):
    """-log(1 + e**-x)."""

    value, gradient = kernel.logsigmoid, kernel.logsigmoid_grad

    def formula(self, gy: Any, x: Any) -> Any:
        return gy * sigmoid(-x)


class Mish(Curve):
    """x * tanh(softplus(x))."""

    value, gradient = kernel.mish, kernel.mish_grad

    def formula(self, gy: Any, x: Any) -> Any:
        t = tanh(softplus(x))
        return gy * (t + x * sigmoid(x) * (1 - t * t))


class SiLU(Curve):
    """x * sigmoid(x)."""

    value, gradient = kernel.silu, kernel.silu_grad

    def formula(self, gy: Any, x: Any) -> Any:
        s = sigmoid(x)
        return gy * s * (1 + x * (1 - s))


class Softplus(Curve):
    """log(1 + e**(beta * x)) / beta."""

    value, gradient = kernel.softplus, kernel.softplus_grad

    def formula(self, gy: Any, x: Any) -> Any:
        beta, threshold = self.parameters
        return where(x * beta > threshold, gy, gy * sigmoid(x * beta))


class Softsign(Curve):
    """x / (1 + |x|)."""

    value, gradient = kernel.softsign, kernel.softsign_grad

    def formula(self, gy: Any, x: Any) -> Any:
        return gy / (1 + abs(x)) ** 2


def _applied(op: str, curve: type[Curve], input: Any, **parameters: Any) -> Any:
    same_float(op, input=input)
    return curve(*(number(op, name, value) for name, value in parameters.items())).apply(input)


def relu6(input: Any, inplace: bool = False) -> Any:
    """Return min(max(input, 0), 6); the derivative is 0 at both bounds.

    Source: Krizhevsky, "Convolutional Deep Belief Networks on CIFAR-10" (2010).

    >>> relu6(np.array([-1.0, 2.0, 9.0]))
    array([0., 2., 6.])
    """
    return _applied("relu6", ReLU6, input, low=0, high=6)


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Any:
    """Return the input, limited to [min_val, max_val]; the derivative is 0 at both bounds (that of clamp is 1).

    >>> hardtanh(np.array([-3.0, 0.5, 3.0]))
    array([-1. ,  0.5,  1. ])
    """
    if number("hardtanh", "min_val", min_val) > number("hardtanh", "max_val", max_val):
        raise ValueError(f"{place('hardtanh')}: min_val {min_val} is larger than max_val {max_val}")
    return _applied("hardtanh", Hardtanh, input, min_val=min_val, max_val=max_val)


def hardsigmoid(input: Any, inplace: bool = False) -> Any:
    """Return (input + 3) / 6, limited to [0, 1]; the derivative is 0 at -3 and 3.

    Source: Courbariaux, Bengio and David (2015), https://arxiv.org/abs/1511.00363; this slope is MobileNetV3's.

    >>> hardsigmoid(np.array([-3.0, 0.0, 9.0]))
    array([0. , 0.5, 1. ])
    """
    return _applied("hardsigmoid", Hardsigmoid, input)


def hardswish(input: Any, inplace: bool = False) -> Any:
    """Return input * hardsigmoid(input); the derivative is 0 at -3 and 1 at 3.

    Source: Howard et al., "Searching for MobileNetV3" (2019), https://arxiv.org/abs/1905.02244.

    >>> hardswish(np.array([-4.0, 3.0]))
    array([-0.,  3.])
    """
    return _applied("hardswish", Hardswish, input)


def elu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """Return input where it is positive, alpha * (e**input - 1) elsewhere; the derivative at 0 is alpha.

    Source: Clevert, Unterthiner and Hochreiter (2015), https://arxiv.org/abs/1511.07289.

    >>> elu(np.array([-1000.0, 2.0]), 0.5)
    array([-0.5,  2. ])
    """
    return _applied("elu", ELU, input, alpha=alpha, right=1, rate=1)


def selu(input: Any, inplace: bool = False) -> Any:
    """Return 1.0507 * elu(input, 1.6733): mean 0 and variance 1 are where a deep stack of such layers settles.

    The derivative at 0 is 1.7581. Source: Klambauer et al., "Self-Normalizing Neural Networks" (2017),
    https://arxiv.org/abs/1706.02515.

    >>> selu(np.array([1.0])).round(4)
    array([1.0507])
    """
    return _applied("selu", SELU, input, alpha=SELU_SCALE * SELU_ALPHA, right=SELU_SCALE, rate=1)


def celu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """Return input where it is positive, alpha * (e**(input / alpha) - 1) elsewhere; the derivative at 0 is 1.

    Source: Barron, "Continuously Differentiable Exponential Linear Units" (2017), https://arxiv.org/abs/1704.07483.

    >>> celu(np.array([-1000.0, 2.0]), 0.5)
    array([-0.5,  2. ])
    """
    if alpha == 0:
        raise ValueError(f"{place('celu')}: alpha divides the input and must not be 0")
    return _applied("celu", CELU, input, alpha=alpha, right=1, rate=1 / alpha)


def gelu(input: Any, approximate: str = "none") -> Any:
    """Return input * P(X <= input), where X is standard normal; Hendrycks and Gimpel (2016), arXiv 1606.08415.

    ``approximate="tanh"`` gives input / 2 * (1 + tanh(sqrt(2 / pi) * (input + 0.044715 * input**3))).

    >>> gelu(np.array([-1.0, 0.0, 1.0])).round(4)
    array([-0.1587,  0.    ,  0.8413])
    """
    if approximate not in ("none", "tanh"):
        raise ValueError(f"{place('gelu')}: approximate must be 'none' or 'tanh', got {approximate!r}")
    return _applied("gelu", GELU if approximate == "none" else GELUTanh, input)


def silu(input: Any, inplace: bool = False) -> Any:
    """Return input * sigmoid(input), also called swish; Elfwing, Uchibe and Doya (2017), arXiv 1702.03118.

    >>> silu(np.array([0.0, 50.0]))
    array([ 0., 50.])
    """
    return _applied("silu", SiLU, input)


def mish(input: Any, inplace: bool = False) -> Any:
    """Return input * tanh(softplus(input)); Misra (2019), arXiv 1908.08681.

    >>> mish(np.array([0.0, 50.0]))
    array([ 0., 50.])
    """
    return _applied("mish", Mish, input)


def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """Return log(1 + e**(beta * input)) / beta, a smooth relu; the input itself where beta * input > threshold.

    >>> softplus(np.array([0.0, 50.0])).round(4)
    array([ 0.6931, 50.    ])
    """
    if beta == 0:
        raise ValueError(f"{place('softplus')}: beta divides the result and must not be 0")
    return _applied("softplus", Softplus, input, beta=beta, threshold=threshold)


def softsign(input: Any) -> Any:
    """Return input / (1 + |input|).

    >>> softsign(np.array([-1.0, 3.0]))
    array([-0.5 ,  0.75])
    """
    return _applied("softsign", Softsign, input)


def logsigmoid(input: Any) -> Any:
    """Return log(sigmoid(input)), precise also where the sigmoid rounds to 0 or 1.

    >>> logsigmoid(np.array([-1000.0, 1000.0]))
    array([-1000.,     0.])
    """
    return _applied("logsigmoid", LogSigmoid, input)
