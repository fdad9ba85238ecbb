"""ResNet: each block computes what has to be added to its input."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_cnn import nn
from tinygrad_cnn.models.blocks import conv_norm, draw_for_relu
from tinygrad_cnn.nn.fusion import call_in_turn


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut: y = relu(shortcut(x) + f(x)).

    Args:
        in_channels: channels of the input.
        width: channels of both convolutions and of the result.
        stride: of the first convolution; where shapes differ, a 1 x 1 convolution is the shortcut.
        generator: where the initial values come from; the default generator where None.
    """

    expansion = 1

    def __init__(
        self, in_channels: int, width: int, stride: int = 1, *, generator: np.random.Generator | None = None
    ) -> None:
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, padding=1, bias=False, generator=generator)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False, generator=generator)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(in_channels, width, stride, generator)

    def forward(self, input: Any) -> Any:
        y = call_in_turn([self.conv1, self.bn1, self.relu, self.conv2, self.bn2], input)
        return self.relu(y + (input if self.downsample is None else self.downsample(input)))


class Bottleneck(nn.Module):
    """A 3 x 3 convolution of few channels, between 1 x 1 convolutions that lead there and back, beside a shortcut.

    With 256 channels and a width of 64 it costs 69,632 multiply-adds a pixel; one 3 x 3 convolution of 256 channels
    costs 589,824. The stride is in the 3 x 3 convolution, as in torchvision (the paper has it in the first).

    Args:
        in_channels: channels of the input.
        width: channels of the 3 x 3 convolution; the result has four times as many.
        stride: of the 3 x 3 convolution; where shapes differ, a 1 x 1 convolution is the shortcut.
        generator: where the initial values come from; the default generator where None.
    """

    expansion = 4

    def __init__(
        self, in_channels: int, width: int, stride: int = 1, *, generator: np.random.Generator | None = None
    ) -> None:
        channels = self.expansion * width
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False, generator=generator)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False, generator=generator)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, channels, 1, bias=False, generator=generator)
        self.bn3 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU()
        self.downsample = _shortcut(in_channels, channels, stride, generator)

    def forward(self, input: Any) -> Any:
        narrow = [self.conv1, self.bn1, self.relu, self.conv2, self.bn2, self.relu]
        y = call_in_turn([*narrow, self.conv3, self.bn3], input)
        return self.relu(y + (input if self.downsample is None else self.downsample(input)))


def _shortcut(
    in_channels: int, out_channels: int, stride: int, generator: np.random.Generator | None
) -> nn.Sequential | None:
    """Return what brings the input to the shape of the result, None where it has it already."""
    if stride == 1 and in_channels == out_channels:
        return None
    return conv_norm(in_channels, out_channels, 1, stride, activation=None, generator=generator)


class ResNet(nn.Module):
    """ResNet: a stem, four stages of blocks with shortcuts, global average pooling, one linear layer.

    x (N, 3, H, W), usually 224 x 224  ->  (N, num_classes); each stage but the first halves height and width.
    He, Zhang, Ren and Sun, 2015, "Deep residual learning for image recognition", https://arxiv.org/abs/1512.03385.
    Parameter names, counts and initial values are those of torchvision.

    Args:
        block: `BasicBlock` or `Bottleneck`.
        layers: how many blocks each of the four stages has.
        num_classes: how many scores it gives for each image.
        generator: where the initial values come from; the default generator where None.

    >>> model = ResNet(BasicBlock, (1, 1, 1, 1), 10)
    >>> model(np.ones((2, 3, 64, 48), np.float32)).shape
    (2, 10)
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        layers: tuple[int, int, int, int],
        num_classes: int = 1000,
        *,
        generator: np.random.Generator | None = None,
    ) -> None:
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False, generator=generator)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        channels = 64

        def stage(width: int, count: int, stride: int) -> nn.Sequential:
            nonlocal channels
            blocks = nn.Sequential()
            for position in range(count):
                blocks.append(block(channels, width, stride if position == 0 else 1, generator=generator))
                channels = width * block.expansion
            return blocks

        self.layer1 = stage(64, layers[0], 1)
        self.layer2 = stage(128, layers[1], 2)
        self.layer3 = stage(256, layers[2], 2)
        self.layer4 = stage(512, layers[3], 2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(channels, num_classes, generator=generator)
        draw_for_relu(self, generator)

    def forward(self, input: Any) -> Any:
        x = call_in_turn([self.conv1, self.bn1, self.relu, self.maxpool], input)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(self.flatten(self.avgpool(x)))


def resnet18(num_classes: int = 1000, *, generator: np.random.Generator | None = None) -> ResNet:
    """Return ResNet-18 (11,689,512 parameters with 1,000 classes); see `ResNet`."""
    return ResNet(BasicBlock, (2, 2, 2, 2), num_classes, generator=generator)


def resnet34(num_classes: int = 1000, *, generator: np.random.Generator | None = None) -> ResNet:
    """Return ResNet-34 (21,797,672 parameters); see `ResNet`."""
    return ResNet(BasicBlock, (3, 4, 6, 3), num_classes, generator=generator)


def resnet50(num_classes: int = 1000, *, generator: np.random.Generator | None = None) -> ResNet:
    """Return ResNet-50 (25,557,032 parameters); see `ResNet`."""
    return ResNet(Bottleneck, (3, 4, 6, 3), num_classes, generator=generator)


def resnet101(num_classes: int = 1000, *, generator: np.random.Generator | None = None) -> ResNet:
    """Return ResNet-101 (44,549,160 parameters); see `ResNet`."""
    return ResNet(Bottleneck, (3, 4, 23, 3), num_classes, generator=generator)


def resnet152(num_classes: int = 1000, *, generator: np.random.Generator | None = None) -> ResNet:
    """Return ResNet-152 (60,192,808 parameters); see `ResNet`."""
    return ResNet(Bottleneck, (3, 8, 36, 3), num_classes, generator=generator)
