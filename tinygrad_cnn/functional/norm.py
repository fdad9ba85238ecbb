"""Batch normalisation: every channel shifted and scaled, by its own statistics in training, by running ones later."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_cnn.autograd import Function, Variable, no_derivative, version
from tinygrad_cnn.functional.elementwise import astype, sqrt
from tinygrad_cnn.functional.linalg import same_float
from tinygrad_cnn.functional.reduce import mean, sum
from tinygrad_cnn.functional.shape import reshape, shape_of
from tinygrad_cnn.kernels import norm as kernel
from tinygrad_cnn.kernels.geometry import number
from tinygrad_cnn.state import place


def flat(x: ndarray) -> ndarray:
    """(N, C, ...) -> (N, C, S)"""
    return x.reshape(*x.shape[:2], math.prod(x.shape[2:]))


def over_channels(ndim: int) -> tuple[int, ...]:
    """Return the axes that share a channel: all but axis 1."""
    return (0, *range(2, ndim))


def by_channel(v: Any, ndim: int) -> Any:
    """(C,) -> (1, C, 1, ...)"""
    return reshape(v, 1, -1, *(1,) * (ndim - 2))


class BatchNorm(Function):
    """gamma * xhat + beta, where xhat is x with mean 0 and variance 1 in each channel."""

    keeps = ("mean", "var")  # used by the fused kernel only; the formula computes them from x

    def __init__(self, eps: float) -> None:
        self.eps = float(eps)  # in the dtype of another scalar the kernel could not compute

    def forward(self, x: ndarray, gamma: ndarray, beta: ndarray) -> ndarray:
        self.mean, self.var = kernel.batch_norm_statistics(flat(x))
        return kernel.batch_norm(flat(x), gamma, beta, self.mean, self.var, self.eps).reshape(x.shape)

    def backward(self, gy: Any, x: Any, gamma: Any) -> tuple[Any, Any, Any]:
        if type(gy) is ndarray:
            gx, ggamma, gbeta = kernel.batch_norm_grad(flat(gy), flat(x), gamma, self.mean, self.var, self.eps)
            return gx.reshape(x.shape), ggamma, gbeta
        # In float64, as the kernel: each gradient returns in the dtype of its input.
        gy, x, axes = astype(gy, np.float64), astype(x, np.float64), over_channels(x.ndim)
        centred = x - mean(x, axes, True)
        deviation = sqrt(mean(centred * centred, axes, True) + self.eps)
        xhat = centred / deviation
        # What flows through mean and variance leaves no mean in gx, and nothing along xhat.
        gx = (gy - mean(gy, axes, True) - xhat * mean(gy * xhat, axes, True)) / deviation
        return gx * by_channel(gamma, x.ndim), sum(gy * xhat, axes), sum(gy, axes)


class BatchNormFixed(Function):
    """gamma * (x - mean) / sqrt(var + eps) + beta with statistics that do not depend on x."""

    def __init__(self, eps: float) -> None:
        self.eps = float(eps)

    def forward(self, x: ndarray, mean: ndarray, var: ndarray, gamma: ndarray, beta: ndarray) -> ndarray:
        return kernel.batch_norm(flat(x), gamma, beta, mean, var, self.eps).reshape(x.shape)

    def grad_x(self, gy: Any, var: Any, gamma: Any) -> Any:
        return gy * by_channel(gamma / sqrt(var + self.eps), gy.ndim)

    def grad_gamma(self, gy: Any, x: Any, mean: Any, var: Any) -> Any:
        xhat = (x - by_channel(mean, x.ndim)) / by_channel(sqrt(var + self.eps), x.ndim)
        return sum(gy * xhat, over_channels(x.ndim))

    def grad_beta(self, gy: Any) -> Any:
        return sum(gy, over_channels(gy.ndim))

    grad_mean = grad_var = no_derivative


def batch_norm(
    input: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Normalise every channel to mean 0 and variance 1, then scale by ``weight`` and shift by ``bias``.

        y = weight * (x - mean) / sqrt(var + eps) + bias

    In training, mean and (biased) variance are those of the batch over all axes but 1, and gradients flow through them.
    The running statistics are then updated in place, the variance with its unbiased estimate n / (n - 1) * var:
    running = (1 - momentum) * running + momentum * batch. Else the running statistics are used, as constants.

    Args:
        input: (N, C), (N, C, L), (N, C, H, W) or with more axes.
        running_mean: (C,), needed unless training.
        running_var: (C,), likewise.
        weight: (C,), or None for ones.
        bias: (C,), or None for zeros.
        training: whether to use the statistics of the batch.
        momentum: the share of the batch in the running statistics.
        eps: added to the variance.

    Raises:
        ValueError: a channel holds only one value in training, or a shape does not fit.

    Source: Ioffe and Szegedy, "Batch Normalization" (2015), https://arxiv.org/abs/1502.03167.

    >>> import numpy as np
    >>> mean, var = np.zeros(1), np.ones(1)
    >>> batch_norm(np.array([[1.0], [3.0]]), mean, var, training=True, eps=0.0)
    array([[-1.],
           [ 1.]])
    >>> mean, var                       # a tenth of the way to 2, and to the unbiased variance 2
    (array([0.2]), array([1.1]))
    """
    shape = shape_of(input)
    if len(shape) < 2:
        raise ValueError(f"{place('batch_norm')}: needs shape (N, C) or (N, C, ...), got {shape}")
    channels = {"running_mean": running_mean, "running_var": running_var, "weight": weight, "bias": bias}
    for name, values in channels.items():
        if values is not None and shape_of(values) != shape[1:2]:
            raise ValueError(
                f"{place('batch_norm')}: {name} must have shape ({shape[1]},), one number for each channel of "
                f"input {shape}, got {shape_of(values)}"
            )
    same_float("batch_norm", input=input, **channels)
    if not eps >= 0:
        raise ValueError(f"{place('batch_norm')}: eps is added to a variance and must be at least 0, got {eps}")
    weight = np.ones(shape[1], input.dtype) if weight is None else weight
    bias = np.zeros(shape[1], input.dtype) if bias is None else bias
    if not training:
        if running_mean is None or running_var is None:
            raise ValueError(f"{place('batch_norm')}: outside of training, running_mean and running_var are needed")
        return BatchNormFixed(eps).apply(input, running_mean, running_var, weight, bias)
    momentum, count = number("batch_norm", "momentum", momentum), shape[0] * math.prod(shape[2:])
    if count == 1:
        raise ValueError(
            f"{place('batch_norm')}: in training each channel needs more than one value, or its variance is 0; input "
            f"{shape} has one. Use a larger batch, or eval()"
        )
    if count == 0:  # nothing to average: the statistics stay as they are
        zeros, ones = np.zeros(shape[1], input.dtype), np.ones(shape[1], input.dtype)
        return BatchNormFixed(eps).apply(input, zeros, ones, weight, bias)
    function = BatchNorm(eps)
    y = function.apply(input, weight, bias)
    if running_mean is not None:
        update_running(running_mean, function.mean, momentum)
    if running_var is not None:
        update_running(running_var, function.var * (count / (count - 1)), momentum)
    return y


def update_running(running: Any, batch: ndarray, momentum: float) -> None:
    """Move a running statistic towards that of the batch: a write to memory, which the graph must know of."""
    array = running._data if isinstance(running, Variable) else running
    version.before_write(array)
    version.note_write(array)
    array[...] = (1 - momentum) * array + momentum * batch
