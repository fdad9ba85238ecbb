"""Local response normalisation: a channel is damped where its neighbours are strong."""

from __future__ import annotations

from typing import Any

from numpy import ndarray

from tinygrad_cnn.autograd import Function
from tinygrad_cnn.functional.joining import pad
from tinygrad_cnn.functional.linalg import same_float
from tinygrad_cnn.functional.norm import flat
from tinygrad_cnn.functional.shape import shape_of
from tinygrad_cnn.kernels import lrn as kernel
from tinygrad_cnn.kernels.geometry import number, whole
from tinygrad_cnn.state import place


class LocalResponseNorm(Function):
    """x * d**-beta, where d = k + scale * (sum of x**2 over the channels from ``before`` to ``after`` this one)."""

    keeps = ("d",)  # used by the fused kernel only; the formula computes it from x

    def __init__(self, before: int, after: int, scale: float, beta: float, k: float) -> None:
        self.before, self.after, self.scale, self.beta, self.k = before, after, scale, beta, k

    def forward(self, x: ndarray) -> ndarray:
        y, self.d = kernel.local_response_norm(flat(x), self.before, self.after, self.scale, self.beta, self.k)
        return y.reshape(x.shape)

    def grad_x(self, gy: Any, x: Any) -> Any:
        before, after, scale, beta = self.before, self.after, self.scale, self.beta
        if type(gy) is ndarray:
            return kernel.local_response_norm_grad(flat(gy), flat(x), self.d, before, after, scale, beta).reshape(
                x.shape
            )
        d = _window_sum(x * x, before, after) * scale + self.k
        shares = gy * x * d ** (-beta - 1)
        # Channel c lies in the windows of the channels c - after to c + before.
        return gy * d**-beta - x * _window_sum(shares, after, before) * (2 * scale * beta)


def _window_sum(x: Any, before: int, after: int) -> Any:
    """Sum over the channels from ``before`` to ``after`` each one, as many as there are."""
    channels = x.shape[1]
    padded = pad(x, (0, 0) * (x.ndim - 2) + (before, after))
    total = padded[:, :channels]
    for j in range(1, before + after + 1):
        total = total + padded[:, j : j + channels]
    return total


def local_response_norm(
    input: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0, *, average: bool = True
) -> Any:
    """Divide each number by a power of the squares of the ``size`` channels around it, at the same position.

        y[c] = x[c] / (k + alpha/size * (sum of x[j]**2 over the window of c))**beta

    The window holds the channels c - size//2 to c + (size - 1)//2, those that exist; size divides at the borders too.

    Args:
        input: (N, C, L), (N, C, H, W) or more axes.
        size: how many channels a window has.
        alpha: the weight of the squares: of their average, as in PyTorch.
        beta: the exponent.
        k: what keeps the denominator away from 0.
        average: False multiplies their sum by alpha, without dividing by size, as the paper and TensorFlow do. So the
            paper's alpha = 1e-4 with size 5 is 5e-4 where average is True.

    Source: Krizhevsky, Sutskever and Hinton, "ImageNet Classification with Deep Convolutional Neural Networks" (2012),
    section 3.3: ``local_response_norm(x, 5, 1e-4, 0.75, 2.0, average=False)``.

    >>> import numpy as np
    >>> x = np.ones((1, 5, 1))
    >>> local_response_norm(x, 5, 1.0, 1.0, 0.0).ravel()      # 1 / (3/5), 1 / (4/5), 1 / (5/5), ...
    array([1.66666667, 1.25      , 1.        , 1.25      , 1.66666667])
    >>> local_response_norm(x, 5, 1.0, 1.0, 0.0, average=False)[0, 2]
    array([0.2])
    """
    same_float("local_response_norm", input=input)
    if len(shape_of(input)) < 3:
        raise ValueError(f"{place('local_response_norm')}: needs shape (N, C, L) or more axes, got {shape_of(input)}")
    size = whole("local_response_norm", "size", size, 1)
    alpha, beta = number("local_response_norm", "alpha", alpha), number("local_response_norm", "beta", beta)
    scale, k = alpha / size if average else alpha, number("local_response_norm", "k", k, 0)
    return LocalResponseNorm(size // 2, (size - 1) // 2, scale, beta, k).apply(input)
