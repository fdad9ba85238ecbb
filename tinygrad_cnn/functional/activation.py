"""Activations: a fused kernel for the first derivative, the same formula in operators for those above it."""

from __future__ import annotations

from typing import Any

from numpy import ndarray

from tinygrad_cnn.autograd import Function
from tinygrad_cnn.functional.elementwise import exp, where
from tinygrad_cnn.functional.linalg import same_float
from tinygrad_cnn.functional.reduce import sum
from tinygrad_cnn.functional.shape import axis_index, either
from tinygrad_cnn.kernels import activation as kernel
from tinygrad_cnn.kernels import softmax as softmax_kernel
from tinygrad_cnn.state import place


class ReLU(Function):
    """max(x, 0)."""

    def forward(self, x: ndarray) -> ndarray:
        return kernel.relu(x)

    def grad_x(self, gy: Any, y: Any) -> Any:
        return gate(gy, y)


def gate(gy: Any, y: Any) -> Any:
    """Let the gradient of a ReLU pass where its result is positive."""
    if type(gy) is ndarray:
        return kernel.relu_grad(gy, y)
    return where(y <= 0, 0.0, gy)  # not gy * (y > 0): inf * 0 is NaN


class LeakyReLU(Function):
    """x where it is positive, slope * x elsewhere."""

    def __init__(self, slope: float) -> None:
        self.slope = slope

    def forward(self, x: ndarray) -> ndarray:
        return kernel.leaky_relu(x, self.slope)

    def grad_x(self, gy: Any, x: Any) -> Any:
        if type(gy) is ndarray:
            return kernel.leaky_relu_grad(gy, x, self.slope)
        return where(x > 0, gy, gy * self.slope)


class Sigmoid(Function):
    """1 / (1 + e**-x), with the derivative y (1 - y)."""

    def forward(self, x: ndarray) -> ndarray:
        return kernel.sigmoid(x)

    def grad_x(self, gy: Any, y: Any) -> Any:
        return kernel.sigmoid_grad(gy, y) if type(gy) is ndarray else gy * (1 - y) * y


class Tanh(Function):
    """The hyperbolic tangent, with the derivative 1 - y**2."""

    def forward(self, x: ndarray) -> ndarray:
        return kernel.tanh(x)

    def grad_x(self, gy: Any, y: Any) -> Any:
        return kernel.tanh_grad(gy, y) if type(gy) is ndarray else gy * (1 - y * y)


class Softmax(Function):
    """e**x / sum(e**x) along one axis."""

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, x: ndarray) -> ndarray:
        return softmax_kernel.softmax(x, self.axis)

    def grad_x(self, gy: Any, y: Any) -> Any:
        # dy_i/dx_j = y_i (i == j) - y_i y_j
        if type(gy) is ndarray:
            return softmax_kernel.softmax_grad(gy, y, self.axis)
        return y * (gy - sum(gy * y, self.axis, True))


class LogSoftmax(Function):
    """x - log(sum(e**x)) along one axis."""

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, x: ndarray) -> ndarray:
        return softmax_kernel.log_softmax(x, self.axis)

    def grad_x(self, gy: Any, y: Any) -> Any:
        # dy_i/dx_j = (i == j) - e**y_j
        if type(gy) is ndarray:
            return softmax_kernel.log_softmax_grad(gy, y, self.axis)
        return gy - exp(y) * sum(gy, self.axis, True)


def relu(input: Any, inplace: bool = False) -> Any:
    """Return max(input, 0); NaN stays NaN, and the derivative at 0 is 0.

    ``inplace`` is accepted for PyTorch's sake: the result is a new tensor either way.

    >>> import numpy as np
    >>> relu(np.array([-1.0, 0.0, 2.0]))
    array([0., 0., 2.])
    """
    same_float("relu", input=input)
    return ReLU().apply(input)


def leaky_relu(input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    """Return input where it is positive and negative_slope * input elsewhere; the derivative at 0 is the slope.

    >>> import numpy as np
    >>> leaky_relu(np.array([-1.0, 2.0]), 0.1)
    array([-0.1,  2. ])
    """
    same_float("leaky_relu", input=input)
    return LeakyReLU(float(negative_slope)).apply(input)


def sigmoid(input: Any) -> Any:
    """Return 1 / (1 + e**-input), without overflow on either side.

    >>> import numpy as np
    >>> sigmoid(np.array([-800.0, 0.0, 800.0]))
    array([0. , 0.5, 1. ])
    """
    same_float("sigmoid", input=input)
    return Sigmoid().apply(input)


def tanh(input: Any) -> Any:
    """Return the hyperbolic tangent.

    >>> import numpy as np
    >>> tanh(np.array([-30.0, 0.0, 30.0]))
    array([-1.,  0.,  1.])
    """
    same_float("tanh", input=input)
    return Tanh().apply(input)


def softmax(input: Any, dim: int | None = None, *, axis: int | None = None) -> Any:
    """Return e**input / sum(e**input) along ``dim``: positive numbers that sum to 1.

    The largest input is subtracted first, so nothing overflows. -inf has the probability 0; where all are -inf, the
    result is NaN. Integers raise TypeError.

    >>> import numpy as np
    >>> softmax(np.array([[0.0, 0.0, -np.inf]]), 1)
    array([[0.5, 0.5, 0. ]])
    """
    return Softmax(_class_axis("softmax", input, dim, axis)).apply(input)


def log_softmax(input: Any, dim: int | None = None, *, axis: int | None = None) -> Any:
    """Return log(softmax(input)) along ``dim``, precise also where a probability rounds to 0 or 1.

    >>> import numpy as np
    >>> log_softmax(np.array([0.0, -1000.0]), 0)
    array([    0., -1000.])
    """
    return LogSoftmax(_class_axis("log_softmax", input, dim, axis)).apply(input)


def _class_axis(op: str, input: Any, dim: int | None, axis: int | None) -> int:
    same_float(op, input=input)
    dim = either(op, dim, axis)
    if dim is None:
        raise TypeError(f"{place(op)}: say along which dim the probabilities sum to 1 (classes of (N, C): dim=1)")
    return axis_index(op, dim, len(input.shape))
