"""The convolution layers of signals, images and volumes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_cnn import functional as F
from tinygrad_cnn.kernels.geometry import for_axes, padding_for_axes, whole
from tinygrad_cnn.nn import init
from tinygrad_cnn.nn.module import Module
from tinygrad_cnn.nn.parameter import Parameter


class ConvNd(Module):
    """What convolutions along 1, 2 or 3 axes share: settings, parameters and their initial values."""

    axes: int

    in_channels: int
    out_channels: int
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: Any
    dilation: tuple[int, ...]
    groups: int
    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        dtype: Any = np.float32,
        generator: np.random.Generator | None = None,
    ) -> None:
        op = type(self).__name__
        self.in_channels = whole(op, "in_channels", in_channels, 1)
        self.out_channels = whole(op, "out_channels", out_channels, 1)
        self.kernel_size = for_axes(op, "kernel_size", kernel_size, self.axes)
        self.stride = for_axes(op, "stride", stride, self.axes)
        self.padding = self._checked_padding(op, padding)
        self.dilation = for_axes(op, "dilation", dilation, self.axes)
        self.groups = whole(op, "groups", groups, 1)
        if self.in_channels % self.groups or self.out_channels % self.groups:
            raise ValueError(
                f"{op}: groups must divide both channel counts, got in_channels {in_channels}, out_channels "
                f"{out_channels} and groups {groups}"
            )
        self.weight = Parameter(np.empty((*self.weight_channels(), *self.kernel_size), dtype))
        self.bias = Parameter(np.empty(self.out_channels, dtype)) if bias else None
        self.reset_parameters(generator)

    def weight_channels(self) -> tuple[int, int]:
        """Return the first two sizes of the weight."""
        return self.out_channels, self.in_channels // self.groups

    def reset_parameters(self, generator: np.random.Generator | None = None) -> None:
        """Draw new initial values."""
        bound = 1 / math.sqrt(math.prod(self.weight.shape[1:]))
        init.kaiming_uniform_(self.weight, a=math.sqrt(5), generator=generator)  # which is ±bound
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound, generator)

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        if self.padding != (0,) * self.axes:
            text += f", padding={self.padding}"
        if self.dilation != (1,) * self.axes:
            text += f", dilation={self.dilation}"
        if any(extra := getattr(self, "output_padding", ())):
            text += f", output_padding={extra}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        return text if self.bias is not None else f"{text}, bias=False"

    def _checked_padding(self, op: str, padding: Any) -> Any:
        """Return a name as it is, equal sides as one int for each axis, others as pairs (before, after)."""
        if not isinstance(padding, str):
            pairs = padding_for_axes(op, padding, self.axes)
            return tuple(before for before, _ in pairs) if all(a == b for a, b in pairs) else pairs
        if padding not in ("valid", "same", "same_tf"):
            raise ValueError(f"{op}: padding must be numbers, 'valid', 'same' or 'same_tf', got {padding!r}")
        if padding == "same" and any(step != 1 for step in self.stride):
            raise ValueError(f"{op}: padding='same' needs stride 1, got {self.stride}; give the padding in numbers")
        return padding


class Conv1d(ConvNd):
    """Cross-correlate signals with learned filters: (N, C, L) -> (N, O, OL); see `functional.conv1d` and `Conv2d`.

    >>> Conv1d(3, 8, 5, padding=2)
    Conv1d(3, 8, kernel_size=(5,), stride=(1,), padding=(2,))
    """

    axes = 1

    def forward(self, input: Any) -> Any:
        return F.conv1d(input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class Conv2d(ConvNd):
    """Cross-correlate images with learned filters.

    x (N, C, H, W)  ->  (N, O, OH, OW), with weight (O, C/groups, KH, KW) and bias (O,); see `functional.conv2d`.

    Args:
        in_channels: C.
        out_channels: O.
        kernel_size: (KH, KW), or one int for both.
        stride: the step of the filter, an int or (height, width).
        padding: zeros around the image: an int, (height, width), ((top, bottom), (left, right)), "valid", "same" or
            "same_tf" (see `functional.conv2d`).
        dilation: the distance between taps, an int or (height, width).
        groups: in how many groups channels are convolved apart from each other; divides C and O. With groups = C it is
            depthwise; a 1x1 convolution after it makes it a separable one.
        bias: False leaves the bias out.
        dtype: float32 or float64.
        generator: where the initial values come from, evenly from ±1/sqrt(C/groups * KH * KW); the default generator
            where None.

    >>> Conv2d(1, 6, (3, 5), padding="same")
    Conv2d(1, 6, kernel_size=(3, 5), stride=(1, 1), padding=same)
    """

    axes = 2

    def forward(self, input: Any) -> Any:
        return F.conv2d(input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class Conv3d(ConvNd):
    """Cross-correlate volumes with learned filters: (N, C, D, H, W) -> (N, O, OD, OH, OW); see `functional.conv3d`.

    >>> Conv3d(1, 4, (3, 5, 5), stride=(1, 2, 2))
    Conv3d(1, 4, kernel_size=(3, 5, 5), stride=(1, 2, 2))
    """

    axes = 3

    def forward(self, input: Any) -> Any:
        return F.conv3d(input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)
