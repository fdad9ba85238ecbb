"""The Inception modules: windows of several sizes side by side, and three ways to make the large ones cheap."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_cnn import functional as F
from tinygrad_cnn import nn
from tinygrad_cnn.kernels.geometry import Pair
from tinygrad_cnn.nn.fusion import call_in_turn


class ConvNorm(nn.Module):
    """Convolution without bias, batch normalisation (eps 0.001), ReLU: torchvision's BasicConv2d, with its names.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the result.
        kernel_size: the filter, an int or (height, width).
        stride: its step.
        padding: zeros around the image, an int or (height, width).
        generator: where the initial values come from; the default generator where None.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair = 1,
        stride: int = 1,
        padding: int | Pair = 0,
        *,
        generator: np.random.Generator | None = None,
    ) -> None:
        self.conv = nn.Conv2d(
            in_channels, out_channels, kernel_size, stride, padding, bias=False, generator=generator
        )  # fmt: skip
        self.bn = nn.BatchNorm2d(out_channels, eps=0.001)
        self.relu = nn.ReLU()

    def forward(self, input: Any) -> Any:
        return call_in_turn([self.conv, self.bn, self.relu], input)


class InceptionV1(nn.Module):
    """1 x 1, 3 x 3 and 5 x 5 convolutions and a max pooling side by side, joined channel by channel.

    x (N, C, H, W)  ->  (N, ch1x1 + ch3x3 + ch5x5 + pool_proj, H, W). 1 x 1 convolutions first reduce the channels that
    the larger ones see: GoogLeNet's module 3a has 157,184 weights that way (163,328 with the pool projection) and
    would have 387,072 without. Szegedy et al., 2014, "Going deeper with convolutions",
    https://arxiv.org/abs/1409.4842; with batch normalisation, and torchvision's names.

    Args:
        in_channels: C.
        ch1x1: channels of the 1 x 1 branch.
        ch3x3red: channels that the 3 x 3 convolution sees.
        ch3x3: channels of the 3 x 3 branch.
        ch5x5red: channels that the 5 x 5 convolution sees.
        ch5x5: channels of the 5 x 5 branch.
        pool_proj: channels of the branch that pools.
        kernel_size: 5 as in the paper, or 3, which torchvision has in the place of 5.
        generator: where the initial values come from; the default generator where None.

    >>> module = InceptionV1(192, 64, 96, 128, 16, 32, 32)
    >>> module(np.ones((1, 192, 6, 8), np.float32)).shape
    (1, 256, 6, 8)
    >>> sum(p.size for name, p in module.named_parameters() if "conv" in name)
    163328
    """

    def __init__(
        self,
        in_channels: int,
        ch1x1: int,
        ch3x3red: int,
        ch3x3: int,
        ch5x5red: int,
        ch5x5: int,
        pool_proj: int,
        kernel_size: int = 5,
        *,
        generator: np.random.Generator | None = None,
    ) -> None:
        self.branch1 = ConvNorm(in_channels, ch1x1, generator=generator)
        self.branch2 = nn.Sequential(
            ConvNorm(in_channels, ch3x3red, generator=generator),
            ConvNorm(ch3x3red, ch3x3, 3, padding=1, generator=generator),
        )
        self.branch3 = nn.Sequential(
            ConvNorm(in_channels, ch5x5red, generator=generator),
            ConvNorm(ch5x5red, ch5x5, kernel_size, padding=kernel_size // 2, generator=generator),
        )
        self.branch4 = nn.Sequential(
            nn.MaxPool2d(3, stride=1, padding=1), ConvNorm(in_channels, pool_proj, generator=generator)
        )

    def forward(self, input: Any) -> Any:
        return F.cat([branch(input) for branch in (self.branch1, self.branch2, self.branch3, self.branch4)], 1)


class InceptionV2(InceptionV1):
    """`InceptionV1` whose 5 x 5 convolution is two of 3 x 3: the same view, 18 weights instead of 25.

    Szegedy et al., 2015, "Rethinking the Inception architecture for computer vision", figure 5,
    https://arxiv.org/abs/1512.00567. Arguments as in `InceptionV1`.

    >>> module = InceptionV2(192, 64, 96, 128, 16, 32, 32)
    >>> module(np.ones((1, 192, 6, 8), np.float32)).shape
    (1, 256, 6, 8)
    """

    def __init__(
        self,
        in_channels: int,
        ch1x1: int,
        ch3x3red: int,
        ch3x3: int,
        ch5x5red: int,
        ch5x5: int,
        pool_proj: int,
        *,
        generator: np.random.Generator | None = None,
    ) -> None:
        widths = ch1x1, ch3x3red, ch3x3, ch5x5red, ch5x5, pool_proj
        super().__init__(in_channels, *widths, kernel_size=3, generator=generator)
        self.branch3.append(ConvNorm(ch5x5, ch5x5, 3, padding=1, generator=generator))


class InceptionV3(nn.Module):
    """An n x n convolution is 1 x n and n x 1: 7 x 7 costs 14 weights instead of 49.

    x (N, C, H, W)  ->  (N, 768, H, W), from four branches of 192 channels: 1 x 1; 1 x 7 and 7 x 1; these two twice;
    average pooling. "Rethinking the Inception architecture", figure 6; torchvision's InceptionC, with its names.

    Args:
        in_channels: C; 768 in the network.
        channels_7x7: channels between the long convolutions; 128, 160, 160 and 192 in the network.
        generator: where the initial values come from; the default generator where None.

    >>> InceptionV3(64, channels_7x7=16)(np.ones((1, 64, 6, 8), np.float32)).shape
    (1, 768, 6, 8)
    """

    def __init__(self, in_channels: int, channels_7x7: int, *, generator: np.random.Generator | None = None) -> None:
        def conv(inputs: int, outputs: int, height: int = 1, width: int = 1) -> ConvNorm:
            padding = height // 2, width // 2
            return ConvNorm(inputs, outputs, (height, width), padding=padding, generator=generator)

        c7 = channels_7x7
        self.branch1x1 = conv(in_channels, 192)
        self.branch7x7_1 = conv(in_channels, c7)
        self.branch7x7_2 = conv(c7, c7, 1, 7)
        self.branch7x7_3 = conv(c7, 192, 7, 1)
        self.branch7x7dbl_1 = conv(in_channels, c7)
        self.branch7x7dbl_2 = conv(c7, c7, 7, 1)
        self.branch7x7dbl_3 = conv(c7, c7, 1, 7)
        self.branch7x7dbl_4 = conv(c7, c7, 7, 1)
        self.branch7x7dbl_5 = conv(c7, 192, 1, 7)
        self.branch_pool = conv(in_channels, 192)

    def forward(self, input: Any) -> Any:
        once = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(input)))
        twice = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(input)))
        twice = self.branch7x7dbl_5(self.branch7x7dbl_4(twice))
        pooled = self.branch_pool(F.avg_pool2d(input, 3, stride=1, padding=1))
        return F.cat([self.branch1x1(input), once, twice, pooled], 1)
