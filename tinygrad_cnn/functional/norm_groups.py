"""Layer, group and instance normalisation: each image by its own statistics, in training and later alike."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_cnn.autograd import Function
from tinygrad_cnn.functional.elementwise import astype, sqrt
from tinygrad_cnn.functional.linalg import same_float
from tinygrad_cnn.functional.norm import BatchNormFixed, update_running
from tinygrad_cnn.functional.reduce import mean, sum
from tinygrad_cnn.functional.shape import reshape, shape_of, sizes
from tinygrad_cnn.kernels import norm_groups as kernel
from tinygrad_cnn.kernels.geometry import whole
from tinygrad_cnn.state import place


class GroupNorm(Function):
    """gamma * xhat + beta, where xhat is x with mean 0 and variance 1 in each group of each image.

    x is seen as (N, G, K, S): N images with G groups of K channels of S positions.
    """

    keeps = ("mean", "deviation")  # used by the fused kernel only; the formula computes them from x

    def __init__(self, layout: tuple[int, ...], eps: float) -> None:
        self.layout, self.eps = layout, eps

    def rows(self, x: ndarray) -> ndarray:
        """X -> (N*G, K, S)"""
        N, G, K, S = self.layout
        return x.reshape(N * G, K, S)

    def forward(self, x: ndarray, gamma: ndarray, beta: ndarray) -> ndarray:
        channels = self.layout[1:3]
        rows = self.rows(x), gamma.reshape(channels), beta.reshape(channels)
        y, self.mean, self.deviation = kernel.group_norm(*rows, self.eps)
        return y.reshape(x.shape)

    def backward(self, gy: Any, x: Any, gamma: Any) -> tuple[Any, Any, Any]:
        if type(gy) is ndarray:
            arrays = self.rows(gy), self.rows(x), gamma.reshape(self.layout[1:3]), self.mean, self.deviation
            gx, ggamma, gbeta = kernel.group_norm_grad(*arrays)
            return gx.reshape(x.shape), ggamma.reshape(gamma.shape), gbeta.reshape(gamma.shape)
        # In float64, as the kernel: each gradient returns in the dtype of its input.
        gy, x4 = (reshape(astype(v, np.float64), self.layout) for v in (gy, x))
        centred = x4 - mean(x4, (2, 3), True)
        deviation = sqrt(mean(centred * centred, (2, 3), True) + self.eps)
        xhat = centred / deviation
        g = gy * reshape(gamma, 1, *self.layout[1:3], 1)
        gx = (g - mean(g, (2, 3), True) - xhat * mean(g * xhat, (2, 3), True)) / deviation
        ggamma, gbeta = sum(gy * xhat, (0, 3)), sum(gy, (0, 3))
        return reshape(gx, x.shape), reshape(ggamma, gamma.shape), reshape(gbeta, gamma.shape)


class InstanceNorm(GroupNorm):
    """`GroupNorm` with one channel in each group."""


class LayerNorm(GroupNorm):
    """`GroupNorm` with one group, whose channels are single numbers."""


def _affine(op: str, shape: tuple[int, ...], eps: float, input: Any, weight: Any, bias: Any) -> tuple[Any, Any]:
    """Check scale and shift, and return ones and zeros for None."""
    for name, values in (("weight", weight), ("bias", bias)):
        if values is not None and shape_of(values) != shape:
            raise ValueError(
                f"{place(op)}: {name} must have shape {shape} for input {shape_of(input)}, got {shape_of(values)}"
            )
    same_float(op, input=input, weight=weight, bias=bias)
    if not eps >= 0:
        raise ValueError(f"{place(op)}: eps is added to a variance and must be at least 0, got {eps}")
    weight = np.ones(shape, input.dtype) if weight is None else weight
    return weight, np.zeros(shape, input.dtype) if bias is None else bias


def layer_norm(
    input: Any, normalized_shape: int | Sequence[int], weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """Normalise over the last axes to mean 0 and variance 1, then scale by ``weight`` and shift by ``bias``.

    Args:
        input: (..., *normalized_shape).
        normalized_shape: the sizes of the axes that share statistics.
        weight: of shape normalized_shape, or None for ones.
        bias: of shape normalized_shape, or None for zeros.
        eps: added to the (biased) variance.

    Source: Ba, Kiros and Hinton (2016), https://arxiv.org/abs/1607.06450.

    >>> layer_norm(np.array([[1.0, 3.0], [5.0, 9.0]]), (2,), eps=0.0)
    array([[-1.,  1.],
           [-1.,  1.]])
    """
    shape = shape_of(input)
    last = sizes("layer_norm", (normalized_shape,))
    if not last or shape[-len(last) :] != last:
        raise ValueError(
            f"{place('layer_norm')}: the input must end in normalized_shape {last}, at least one axis; got {shape}"
        )
    weight, bias = _affine("layer_norm", last, eps, input, weight, bias)
    layout = math.prod(shape[: -len(last)]), 1, math.prod(last), 1
    return LayerNorm(layout, eps).apply(input, weight, bias)


def group_norm(input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """Normalise every group of C / num_groups neighbouring channels of every image to mean 0 and variance 1.

    Args:
        input: (N, C, ...).
        num_groups: a divisor of C; 1 normalises over everything but N, C gives `instance_norm`.
        weight: the scale of each channel (C,), or None for ones.
        bias: the shift of each channel (C,), or None for zeros.
        eps: added to the (biased) variance.

    Source: Wu and He, "Group Normalization" (2018), https://arxiv.org/abs/1803.08494.

    >>> group_norm(np.array([[1.0, 3.0, 5.0, 9.0]]), 2, eps=0.0)
    array([[-1.,  1., -1.,  1.]])
    """
    shape, groups = shape_of(input), whole("group_norm", "num_groups", num_groups, 1)
    if len(shape) < 2 or shape[1] % groups:
        raise ValueError(
            f"{place('group_norm')}: needs an input (N, C, ...) with C divisible by num_groups = {groups}, got {shape}"
        )
    weight, bias = _affine("group_norm", shape[1:2], eps, input, weight, bias)
    per_group = shape[1] // groups
    if shape[0] * per_group * math.prod(shape[2:]) == 1:
        raise ValueError(
            f"{place('group_norm')}: a group needs more than one value, or its variance is 0; input {shape} with "
            f"{groups} groups has one. Use fewer groups"
        )
    return GroupNorm((shape[0], groups, per_group, math.prod(shape[2:])), eps).apply(input, weight, bias)


def instance_norm(
    input: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Normalise every channel of every image to mean 0 and variance 1.

    Args:
        input: (N, C, ...) with at least one more axis.
        running_mean: (C,) or None; with use_input_stats it moves towards the mean over the images, in place.
        running_var: (C,) or None; likewise, towards the mean of the unbiased variances.
        weight: the scale of each channel (C,), or None for ones.
        bias: the shift of each channel (C,), or None for zeros.
        use_input_stats: False normalises by the running statistics, as constants.
        momentum: the share of this input in the running statistics.
        eps: added to the (biased) variance.

    Source: Ulyanov, Vedaldi and Lempitsky (2016), https://arxiv.org/abs/1607.08022.

    >>> instance_norm(np.array([[[1.0, 3.0], [5.0, 9.0]]]), eps=0.0)
    array([[[-1.,  1.],
            [-1.,  1.]]])
    """
    shape = shape_of(input)
    if len(shape) < 3:
        raise ValueError(f"{place('instance_norm')}: needs shape (N, C, L), (N, C, H, W) or more axes, got {shape}")
    running = {"running_mean": running_mean, "running_var": running_var}
    for name, values in running.items():
        if values is not None and shape_of(values) != shape[1:2]:
            raise ValueError(
                f"{place('instance_norm')}: {name} must have shape {shape[1:2]} for input {shape}, got "
                f"{shape_of(values)}"
            )
    weight, bias = _affine("instance_norm", shape[1:2], eps, input, weight, bias)
    same_float("instance_norm", input=input, **running)
    if not use_input_stats:
        if running_mean is None or running_var is None:
            raise ValueError(f"{place('instance_norm')}: without use_input_stats, the running statistics are needed")
        return BatchNormFixed(eps).apply(input, running_mean, running_var, weight, bias)
    count = math.prod(shape[2:])
    if count == 1:
        raise ValueError(
            f"{place('instance_norm')}: each channel of an image needs more than one value, or its variance is 0; "
            f"input {shape} has one"
        )
    function = InstanceNorm((*shape[:2], 1, count), eps)
    y = function.apply(input, weight, bias)
    if math.prod(shape):
        if running_mean is not None:
            update_running(running_mean, function.mean.reshape(shape[:2]).mean(0), momentum)
        if running_var is not None:
            var = function.deviation.reshape(shape[:2]) ** 2 - eps
            update_running(running_var, var.mean(0) * (count / (count - 1)), momentum)
    return y
