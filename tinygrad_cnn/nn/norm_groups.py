"""Layers that normalise within each image: by layers, groups, channels, and across neighbouring channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_cnn import functional as F
from tinygrad_cnn.kernels.geometry import whole
from tinygrad_cnn.nn.module import Module
from tinygrad_cnn.nn.norm import ChannelNorm
from tinygrad_cnn.nn.parameter import Parameter


class LayerNorm(Module):
    """Mean 0 and variance 1 over the last axes, then a scale and a shift for each of their elements.

    Ba, Kiros and Hinton (2016), https://arxiv.org/abs/1607.06450.

    Args:
        normalized_shape: the sizes of the last axes.
        eps: what keeps the root away from 0.
        elementwise_affine: False leaves out weight and bias.
        bias: False leaves out the bias.
        dtype: float32 or float64.

    >>> LayerNorm((3, 8))
    LayerNorm((3, 8), eps=1e-05, elementwise_affine=True, bias=True)
    """

    normalized_shape: tuple[int, ...]
    eps: float
    elementwise_affine: bool
    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        *,
        dtype: Any = np.float32,
    ) -> None:
        given = tuple(normalized_shape) if isinstance(normalized_shape, Sequence) else (normalized_shape,)
        self.normalized_shape = tuple(whole("LayerNorm", "normalized_shape", n, 1) for n in given)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self.weight = Parameter(np.ones(self.normalized_shape, dtype)) if elementwise_affine else None
        self.bias = Parameter(np.zeros(self.normalized_shape, dtype)) if elementwise_affine and bias else None

    def forward(self, input: Any) -> Any:
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, "
            f"bias={self.bias is not None}"
        )


class GroupNorm(Module):
    """Mean 0 and variance 1 in each group of channels of each image, then a scale and a shift for each channel.

    Wu and He (2018), https://arxiv.org/abs/1803.08494.

    Args:
        num_groups: how many groups, a divisor of num_channels.
        num_channels: the number of channels C.
        eps: what keeps the root away from 0.
        affine: False leaves out weight and bias.
        dtype: float32 or float64.

    >>> GroupNorm(4, 32)
    GroupNorm(4, 32, eps=1e-05, affine=True)
    """

    num_groups: int
    num_channels: int
    eps: float
    affine: bool
    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True, *, dtype: Any = np.float32
    ) -> None:
        self.num_groups = whole("GroupNorm", "num_groups", num_groups, 1)
        self.num_channels = whole("GroupNorm", "num_channels", num_channels, 1)
        if num_channels % num_groups:
            raise ValueError(f"GroupNorm: num_channels {num_channels} must be divisible by num_groups {num_groups}")
        self.eps = eps
        self.affine = affine
        self.weight = Parameter(np.ones(num_channels, dtype)) if affine else None
        self.bias = Parameter(np.zeros(num_channels, dtype)) if affine else None

    def forward(self, input: Any) -> Any:
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"


class InstanceNorm(ChannelNorm):
    """What the layers of instance normalisation share: mean 0 and variance 1 in each channel of each image.

    Arguments as in `ChannelNorm`, but without scale, shift and running statistics unless they are asked for. With
    running statistics, evaluation uses them. Ulyanov, Vedaldi and Lempitsky (2016), https://arxiv.org/abs/1607.08022.
    """

    function = staticmethod(F.instance_norm)

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        *,
        dtype: Any = np.float32,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, dtype=dtype)


class InstanceNorm1d(InstanceNorm):
    """Instance normalisation of sequences (N, C, L); arguments as in `InstanceNorm`."""

    shapes = {3: "(N, C, L)"}


class InstanceNorm2d(InstanceNorm):
    """Instance normalisation of images (N, C, H, W); arguments as in `InstanceNorm`.

    >>> InstanceNorm2d(16)
    InstanceNorm2d(16, eps=1e-05, momentum=0.1, affine=False, track_running_stats=False)
    """

    shapes = {4: "(N, C, H, W)"}


class InstanceNorm3d(InstanceNorm):
    """Instance normalisation of volumes (N, C, D, H, W); arguments as in `InstanceNorm`."""

    shapes = {5: "(N, C, D, H, W)"}


class LocalResponseNorm(Module):
    """Each number divided by a power of the squares of the neighbouring channels; see `F.local_response_norm`.

    Args:
        size: how many channels a window has.
        alpha: the weight of the squares.
        beta: the exponent.
        k: what keeps the denominator away from 0.
        average: False weighs the sum of the squares, as the paper does, instead of their average.

    >>> LocalResponseNorm(5, 1e-4, 0.75, 2.0, average=False)         # AlexNet's
    LocalResponseNorm(5, alpha=0.0001, beta=0.75, k=2.0, average=False)
    """

    size: int
    alpha: float
    beta: float
    k: float
    average: bool

    def __init__(
        self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0, *, average: bool = True
    ) -> None:
        self.size = whole("LocalResponseNorm", "size", size, 1)
        self.alpha, self.beta, self.k, self.average = alpha, beta, k, average

    def forward(self, input: Any) -> Any:
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k, average=self.average)

    def extra_repr(self) -> str:
        end = "" if self.average else ", average=False"
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}{end}"
