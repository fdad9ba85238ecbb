"""The convolution layer."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_cnn import functional as F
from tinygrad_cnn.kernels.geometry import Padding, Pair, padding_pairs, pair, whole
from tinygrad_cnn.nn import init
from tinygrad_cnn.nn.module import Module
from tinygrad_cnn.nn.parameter import Parameter


class Conv2d(Module):
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
        groups: in how many groups channels are convolved apart from each other; divides C and O.
        bias: False leaves the bias out.
        dtype: float32 or float64.
        generator: where the initial values come from, evenly from ±1/sqrt(C/groups * KH * KW); the default generator
            where None.

    >>> Conv2d(1, 6, (3, 5), padding="same")
    Conv2d(1, 6, kernel_size=(3, 5), stride=(1, 1), padding=same)
    """

    in_channels: int
    out_channels: int
    kernel_size: Pair
    stride: Pair
    padding: Pair | Padding | str
    dilation: Pair
    groups: int
    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: int | Pair | Padding | str = 0,
        dilation: int | Pair = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        dtype: Any = np.float32,
        generator: np.random.Generator | None = None,
    ) -> None:
        self.in_channels = whole("Conv2d", "in_channels", in_channels, 1)
        self.out_channels = whole("Conv2d", "out_channels", out_channels, 1)
        self.kernel_size = pair("Conv2d", "kernel_size", kernel_size)
        self.stride = pair("Conv2d", "stride", stride)
        self.padding = _checked_padding(padding, self.stride)
        self.dilation = pair("Conv2d", "dilation", dilation)
        self.groups = whole("Conv2d", "groups", groups, 1)
        if self.in_channels % self.groups or self.out_channels % self.groups:
            raise ValueError(
                f"Conv2d: groups must divide both channel counts, got in_channels {in_channels}, out_channels "
                f"{out_channels} and groups {groups}"
            )
        shape = self.out_channels, self.in_channels // self.groups, *self.kernel_size
        self.weight = Parameter(np.empty(shape, dtype))
        self.bias = Parameter(np.empty(self.out_channels, dtype)) if bias else None
        self.reset_parameters(generator)

    def reset_parameters(self, generator: np.random.Generator | None = None) -> None:
        """Draw new initial values."""
        bound = 1 / math.sqrt(math.prod(self.weight.shape[1:]))
        init.kaiming_uniform_(self.weight, a=math.sqrt(5), generator=generator)  # which is ±bound
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound, generator)

    def forward(self, input: Any) -> Any:
        return F.conv2d(input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        if self.padding != (0, 0):
            text += f", padding={self.padding}"
        if self.dilation != (1, 1):
            text += f", dilation={self.dilation}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        return text if self.bias is not None else f"{text}, bias=False"


def _checked_padding(padding: Any, stride: Pair) -> Pair | Padding | str:
    """Return "valid" or "same" as it is, equal sides as (height, width), others as ((top, bottom), (left, right))."""
    if isinstance(padding, str):
        if padding not in ("valid", "same", "same_tf"):
            raise ValueError(f"Conv2d: padding must be numbers, 'valid', 'same' or 'same_tf', got {padding!r}")
        if padding == "same" and stride != (1, 1):
            raise ValueError(f"Conv2d: padding='same' needs stride 1, got {stride}; give the padding in numbers")
        return padding
    (top, bottom), (left, right) = pairs = padding_pairs("Conv2d", padding)
    return (top, left) if top == bottom and left == right else pairs
