"""Batch normalisation layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from tinygrad_cnn import functional as F
from tinygrad_cnn.autograd import version
from tinygrad_cnn.kernels.geometry import number, whole
from tinygrad_cnn.nn.module import Module
from tinygrad_cnn.nn.parameter import Parameter
from tinygrad_cnn.state import place
from tinygrad_cnn.tensor import Tensor


class ChannelNorm(Module):
    """What batch and instance normalisation share: scale, shift and running statistics of every channel.

    Args:
        num_features: the number of channels C.
        eps: what keeps the root away from 0.
        momentum: how far the running statistics move: running = (1 - momentum) * running + momentum * batch. None
            makes them the average over all batches so far.
        affine: False leaves out weight and bias.
        track_running_stats: False uses the statistics of the input in evaluation mode too.
        dtype: float32 or float64.
    """

    num_features: int
    eps: float
    momentum: float | None
    affine: bool
    track_running_stats: bool
    weight: Parameter | None
    bias: Parameter | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    function: ClassVar[Callable[..., Any]]
    shapes: ClassVar[dict[int, str]]  # number of axes -> how the shape reads

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        dtype: Any = np.float32,
    ) -> None:
        name = type(self).__name__
        self.num_features = channels = whole(name, "num_features", num_features, 1)
        if not eps > 0:
            raise ValueError(f"{name}: eps must be positive, got {eps}")
        if momentum is not None and not 0 <= number(name, "momentum", momentum) <= 1:
            raise ValueError(f"{name}: momentum must be None or lie in [0, 1], got {momentum}")
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        self.weight = Parameter(np.ones(channels, dtype)) if affine else None
        self.bias = Parameter(np.zeros(channels, dtype)) if affine else None
        tracked = track_running_stats
        self.register_buffer("running_mean", Tensor(np.zeros(channels, dtype)) if tracked else None)
        self.register_buffer("running_var", Tensor(np.ones(channels, dtype)) if tracked else None)
        self.register_buffer("num_batches_tracked", Tensor(np.zeros((), np.int64)) if tracked else None)

    def reset_running_stats(self) -> None:
        """Forget the running statistics."""
        if self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def forward(self, input: Any) -> Any:
        self.check_shape(input.shape)
        updating = self.training and self.num_batches_tracked is not None
        momentum = self.momentum
        if updating and momentum is None:
            momentum = 1 / (int(self.num_batches_tracked) + 1)  # type: ignore[arg-type]
        running = self.running_mean, self.running_var
        own = self.training or self.running_mean is None  # statistics of the input
        output = type(self).function(input, *running, self.weight, self.bias, own, momentum or 0.0, self.eps)
        if updating:
            count = self.num_batches_tracked.data  # type: ignore[union-attr]
            version.before_write(count)
            version.note_write(count)
            np.add(count, 1, out=count)  # no operation of the network: a trace need not see it
        return output

    def check_shape(self, shape: tuple[int, ...]) -> None:
        """Raise ValueError unless an input has the right number of axes and channels."""
        if len(shape) not in self.shapes or shape[1] != self.num_features:
            raise ValueError(
                f"{place(type(self).__name__)}: needs an input {' or '.join(self.shapes.values())} with "
                f"C = num_features = {self.num_features}, got shape {tuple(shape)}"
            )

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"track_running_stats={self.track_running_stats}"
        )


class BatchNorm(ChannelNorm):
    """What the layers of batch normalisation share: all but the shapes that they take.

    y = (x - mean) / sqrt(var + eps) * weight + bias, for each channel. In training mode mean and (biased) variance are
    those of the batch, and the running statistics move towards them (the variance unbiased); in evaluation mode the
    running statistics are used. Arguments as in `ChannelNorm`. Ioffe and Szegedy, 2015,
    https://arxiv.org/abs/1502.03167.
    """

    function = staticmethod(F.batch_norm)


class BatchNorm1d(BatchNorm):
    """Batch normalisation of vectors (N, C) or sequences (N, C, L); arguments as in `ChannelNorm`."""

    shapes = {2: "(N, C)", 3: "(N, C, L)"}


class BatchNorm2d(BatchNorm):
    """Batch normalisation of images (N, C, H, W); arguments as in `ChannelNorm`.

    >>> BatchNorm2d(16)
    BatchNorm2d(16, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)
    """

    shapes = {4: "(N, C, H, W)"}


class BatchNorm3d(BatchNorm):
    """Batch normalisation of volumes (N, C, D, H, W); arguments as in `ChannelNorm`."""

    shapes = {5: "(N, C, D, H, W)"}
