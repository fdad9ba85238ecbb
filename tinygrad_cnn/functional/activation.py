"""Activations: a fused kernel for the first derivative, the same formula in operators for those above it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_cnn.autograd import Function
from tinygrad_cnn.functional.elementwise import exp, where
from tinygrad_cnn.functional.linalg import same_float
from tinygrad_cnn.functional.reduce import sum
from tinygrad_cnn.functional.shape import axis_index, either
from tinygrad_cnn.kernels import activation as kernel
from tinygrad_cnn.kernels import prelu as prelu_kernel
from tinygrad_cnn.kernels import softmax as softmax_kernel
from tinygrad_cnn.kernels.geometry import number
from tinygrad_cnn.state import generator_for, place


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


class PReLU(Function):
    """x where it is positive, w * x elsewhere; w has one slope, or one for each channel (axis 1)."""

    def forward(self, x: ndarray, w: ndarray) -> ndarray:
        return prelu_kernel.prelu(*self.by_channel(x, w)).reshape(x.shape)

    def by_channel(self, x: ndarray, w: ndarray) -> tuple[ndarray, ndarray]:
        """X -> (N, C, S), and w -> (C,)"""
        shape = x.shape if x.ndim > 1 else (1, 1, x.size)
        return x.reshape(*shape[:2], math.prod(shape[2:])), np.broadcast_to(w.reshape(-1), shape[1:2])

    def backward(self, gy: Any, x: Any, w: Any) -> tuple[Any, Any]:
        if type(gy) is ndarray:
            flat, slopes = self.by_channel(x, w)
            gx, gw = prelu_kernel.prelu_grad(gy.reshape(flat.shape), flat, slopes)
            return gx.reshape(x.shape), (gw.sum() if w.size == 1 else gw).reshape(w.shape)
        slope = w.reshape(-1, *(1,) * (x.ndim - 2)) if w.size > 1 else w.reshape(())
        gw = where(x > 0, 0.0, gy * x)
        axes = tuple(axis for axis in range(x.ndim) if axis != 1 or w.size == 1)
        return where(x > 0, gy, gy * slope), sum(gw, axes).reshape(w.shape)


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


class HardChoice(Function):
    """1 at the largest along one axis, 0 elsewhere; the gradient passes as if the input had been returned."""

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, x: ndarray) -> ndarray:
        y = np.zeros_like(x)
        np.put_along_axis(y, x.argmax(self.axis, keepdims=True), 1, self.axis)
        return y

    def grad_x(self, gy: Any) -> Any:
        return gy


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
    return LeakyReLU(number("leaky_relu", "negative_slope", negative_slope)).apply(input)


def prelu(input: Any, weight: Any) -> Any:
    """Return input where it is positive and weight * input elsewhere; the derivative at 0 is the weight.

    Args:
        input: any shape; channels are axis 1, and one channel where there are fewer than two axes.
        weight: (1,), or (C,) with one slope for each channel.

    Source: He et al., "Delving Deep into Rectifiers" (2015), https://arxiv.org/abs/1502.01852.

    >>> import numpy as np
    >>> prelu(np.array([[-1.0, -1.0]]), np.array([0.1, 0.5]))
    array([[-0.1, -0.5]])
    """
    same_float("prelu", input=input, weight=weight)
    channels = input.shape[1] if len(input.shape) > 1 else 1
    if len(weight.shape) > 1 or math.prod(weight.shape) not in (1, channels):
        raise ValueError(
            f"{place('prelu')}: weight must have shape (1,) or ({channels},), one slope for each channel of input "
            f"{tuple(input.shape)}, got {tuple(weight.shape)}"
        )
    return PReLU().apply(input, weight)


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


def softmin(input: Any, dim: int | None = None, *, axis: int | None = None) -> Any:
    """Return softmax(-input) along ``dim``: the smallest input gets the largest share.

    >>> import numpy as np
    >>> softmin(np.array([0.0, 0.0, np.inf]), 0)
    array([0.5, 0.5, 0. ])
    """
    axis = _class_axis("softmin", input, dim, axis)
    return Softmax(axis).apply(-input)


def gumbel_softmax(
    logits: Any,
    tau: float = 1.0,
    hard: bool = False,
    eps: float = 1e-10,
    dim: int = -1,
    *,
    generator: np.random.Generator | None = None,
) -> Any:
    """Draw from the distribution softmax(logits) along ``dim``, softly, so that gradients flow.

    y = softmax((logits + g) / tau) with g = -log(-log(u)) and u uniform: where y is largest is a draw from the
    distribution, and the smaller tau, the closer y is to one-hot.

    Args:
        logits: any shape.
        tau: the temperature, above 0.
        hard: return one-hot vectors, with the gradient of the soft ones (straight-through).
        eps: accepted for PyTorch's sake, which ignores it too.
        dim: the axis of the classes.
        generator: draws the noise; the default one (see `manual_seed`) where None.

    Source: Jang, Gu and Poole (2016), https://arxiv.org/abs/1611.01144; Maddison, Mnih and Teh (2016),
    https://arxiv.org/abs/1611.00712.

    >>> import numpy as np
    >>> gumbel_softmax(np.array([5.0, 0.0, 0.0]), hard=True, generator=np.random.default_rng(0))
    array([1., 0., 0.])
    """
    axis = _class_axis("gumbel_softmax", logits, dim, None)
    if not tau > 0:
        raise ValueError(f"{place('gumbel_softmax')}: the temperature tau must be above 0, got {tau}")
    noise = generator_for("gumbel_softmax", generator).gumbel(size=logits.shape).astype(logits.dtype)
    y = Softmax(axis).apply((logits + noise) / float(tau))
    return HardChoice(axis).apply(y) if hard else y


def _class_axis(op: str, input: Any, dim: int | None, axis: int | None) -> int:
    same_float(op, input=input)
    dim = either(op, dim, axis)
    if dim is None:
        raise TypeError(f"{place(op)}: say along which dim the probabilities sum to 1 (classes of (N, C): dim=1)")
    return axis_index(op, dim, len(input.shape))
