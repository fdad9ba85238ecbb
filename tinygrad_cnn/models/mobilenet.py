"""MobileNetV2: depthwise convolutions in wide blocks, shortcuts between narrow ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_cnn import nn
from tinygrad_cnn.models.blocks import conv_norm, draw_for_relu

# Each row is a stage: how many times wider inside, channels of the result, blocks, stride of the first block.
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


class InvertedResidual(nn.Module):
    """1 x 1 to many channels, 3 x 3 on each channel alone, 1 x 1 back to few; a shortcut where the shape stays.

    The last convolution has no activation: ReLU would destroy information in few channels.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the result.
        stride: of the 3 x 3 convolution.
        expand_ratio: how many times wider the block is inside; 1 leaves the first convolution out.
        generator: where the initial values come from; the default generator where None.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        expand_ratio: int,
        *,
        generator: np.random.Generator | None = None,
    ) -> None:
        width = in_channels * expand_ratio
        layers: list[nn.Module] = []
        if expand_ratio != 1:
            layers.append(conv_norm(in_channels, width, 1, activation=nn.ReLU6, generator=generator))
        layers.append(conv_norm(width, width, 3, stride, groups=width, activation=nn.ReLU6, generator=generator))
        layers += conv_norm(width, out_channels, 1, activation=None, generator=generator)
        self.conv = nn.Sequential(*layers)
        self.has_shortcut = stride == 1 and in_channels == out_channels

    def forward(self, input: Any) -> Any:
        return input + self.conv(input) if self.has_shortcut else self.conv(input)


class MobileNetV2(nn.Module):
    """MobileNetV2: 3,504,872 parameters, 300 million multiply-adds for an image of 224 x 224.

    x (N, 3, H, W)  ->  (N, num_classes).
    Sandler et al., 2018, "MobileNetV2: inverted residuals and linear bottlenecks", https://arxiv.org/abs/1801.04381.
    Parameter names, counts and initial values are those of torchvision.

    Args:
        num_classes: how many scores it gives for each image.
        dropout: the share of values that are dropped before the last layer.
        generator: where the initial values come from; the default generator where None.

    >>> MobileNetV2(10)(np.ones((2, 3, 64, 48), np.float32)).shape
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
        self.features = nn.Sequential(conv_norm(3, channels, 3, 2, activation=nn.ReLU6, generator=generator))
        for expand_ratio, width, count, stride in STAGES:
            for position in range(count):
                step = stride if position == 0 else 1
                self.features.append(InvertedResidual(channels, width, step, expand_ratio, generator=generator))
                channels = width
        self.features.append(conv_norm(channels, 1280, 1, activation=nn.ReLU6, generator=generator))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(1280, num_classes, generator=generator))
        draw_for_relu(self, generator, linear_std=0.01)

    def forward(self, input: Any) -> Any:
        return self.classifier(self.flatten(self.avgpool(self.features(input))))
