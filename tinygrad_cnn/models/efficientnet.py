"""EfficientNet-Lite0: a network for phones, found by search, without the parts that quantise badly."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_cnn import nn
from tinygrad_cnn.models.blocks import conv_norm, draw_for_relu
from tinygrad_cnn.nn import init

# Each row is a stage: blocks, kernel size, stride of the first block, how many times wider inside, channels.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


def _conv(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    stride: int = 1,
    groups: int = 1,
    linear: bool = False,
    generator: np.random.Generator | None = None,
) -> nn.Sequential:
    """Return a convolution as TensorFlow trains it: its SAME padding and its settings of batch normalisation."""
    return conv_norm(
        in_channels, out_channels, kernel_size, stride, "same_tf", groups, None if linear else nn.ReLU6,
        eps=1e-3, momentum=0.01, generator=generator,
    )  # fmt: skip


class MBConv(nn.Module):
    """MobileNetV2's inverted residual with kernels of 3 or 5: wide inside, each channel convolved alone.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the result.
        kernel_size: of the depthwise convolution.
        stride: of the depthwise convolution.
        expand_ratio: how many times wider the block is inside; 1 leaves the first convolution out.
        generator: where the initial values come from; the default generator where None.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int,
        expand_ratio: int,
        *,
        generator: np.random.Generator | None = None,
    ) -> None:
        width = in_channels * expand_ratio
        self.block = nn.Sequential()
        if expand_ratio != 1:
            self.block.append(_conv(in_channels, width, 1, generator=generator))
        self.block.append(_conv(width, width, kernel_size, stride, groups=width, generator=generator))
        self.block.append(_conv(width, out_channels, 1, linear=True, generator=generator))
        self.has_shortcut = stride == 1 and in_channels == out_channels

    def forward(self, input: Any) -> Any:
        return input + self.block(input) if self.has_shortcut else self.block(input)


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0: 4,652,008 parameters, 385 million multiply-adds for an image of 224 x 224.

    x (N, 3, H, W)  ->  (N, num_classes). Tan and Le, 2019, "EfficientNet: rethinking model scaling for convolutional
    neural networks", https://arxiv.org/abs/1905.11946; the Lite form has no squeeze-and-excitation and ReLU6 in place
    of swish. Names are those of torchvision's EfficientNet. Drop connect (whole blocks dropped in training) is left
    out. `hub.efficientnet_lite0` loads weights trained on ImageNet.

    Args:
        num_classes: how many scores it gives for each image.
        dropout: the share of values that are dropped before the last layer.
        generator: where the initial values come from; the default generator where None.

    >>> EfficientNetLite0(10)(np.ones((2, 3, 64, 48), np.float32)).shape
    (2, 10)
    """

    features: nn.Sequential
    avgpool: nn.Module
    flatten: nn.Module
    classifier: nn.Sequential

    def __init__(
        self, num_classes: int = 1000, dropout: float = 0.2, *, generator: np.random.Generator | None = None
    ) -> None:
        channels = 32
        self.features = nn.Sequential(_conv(3, channels, 3, 2, generator=generator))
        for count, kernel_size, stride, expand_ratio, width in STAGES:
            stage = nn.Sequential()
            for position in range(count):
                step = stride if position == 0 else 1
                stage.append(MBConv(channels, width, kernel_size, step, expand_ratio, generator=generator))
                channels = width
            self.features.append(stage)
        self.features.append(_conv(channels, 1280, 1, generator=generator))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(1280, num_classes, generator=generator))
        draw_for_relu(self, generator)
        bound = 1 / math.sqrt(num_classes)
        init.uniform_(self.classifier[1].weight, -bound, bound, generator)
        init.zeros_(self.classifier[1].bias)

    def embed(self, input: Any) -> Any:
        """Return what the last layer sees of images: (N, 3, H, W) -> (N, 1280)."""
        return self.flatten(self.avgpool(self.features(input)))

    def forward(self, input: Any) -> Any:
        return self.classifier(self.embed(input))
