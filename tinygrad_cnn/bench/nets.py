"""The networks of the rows, built from whichever ``nn`` they are given: the same text on both sides.

This file imports nothing: PyTorch's process reads it too.
"""

from __future__ import annotations

from typing import Any

IMAGES = {"lenet": (1, 28, 28), "mnist_net": (1, 28, 28), "vgg": (3, 32, 32), "resnet": (3, 32, 32)}


def lenet(nn: Any) -> Any:
    """LeNet-5 with ReLU and max pooling, padded by 2 pixels; 61,706 parameters."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


def mnist_net(nn: Any) -> Any:
    """The network of PyTorch's MNIST example, https://github.com/pytorch/examples/tree/main/mnist."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25),
        nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10),
    )  # fmt: skip


def vgg(nn: Any) -> Any:
    """Pairs of 3x3 convolutions and max pooling, as Simonyan and Zisserman, 2015, https://arxiv.org/abs/1409.1556."""
    layers, channels = [], 3
    for width in (64, 128, 256):
        for _ in range(2):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(4096, 256), nn.ReLU(), nn.Linear(256, 10))


def resnet(nn: Any) -> Any:
    """ResNet-18 for small images: no pooling before its stages. He and others, 2016, https://arxiv.org/abs/1512.03385."""

    class Block(nn.Module):
        def __init__(self, channels: int, width: int, stride: int) -> None:
            super().__init__()
            self.body = nn.Sequential(
                nn.Conv2d(channels, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
                nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width),
            )  # fmt: skip
            self.shortcut = nn.Identity()
            if stride > 1 or channels != width:
                self.shortcut = nn.Sequential(nn.Conv2d(channels, width, 1, stride, bias=False), nn.BatchNorm2d(width))
            self.relu = nn.ReLU()

        def forward(self, x: Any) -> Any:
            return self.relu(self.body(x) + self.shortcut(x))

    layers, channels = [nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.ReLU()], 64
    for width in (64, 128, 256, 512):
        layers += [Block(channels, width, 1 if width == 64 else 2), Block(width, width, 1)]
        channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10))


def inception(nn: Any, cat: Any) -> Any:
    """GoogLeNet's module 3a, with batch normalisation. Szegedy and others, 2014, https://arxiv.org/abs/1409.4842."""

    def branch(*sizes: tuple[int, int, int]) -> list[Any]:
        layers = []
        for channels, width, k in sizes:
            layers += [nn.Conv2d(channels, width, k, padding=k // 2, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        return layers

    class Inception(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = nn.Sequential(*branch((192, 64, 1)))
            self.three = nn.Sequential(*branch((192, 96, 1), (96, 128, 3)))
            self.five = nn.Sequential(*branch((192, 16, 1), (16, 32, 5)))
            self.pool = nn.Sequential(nn.MaxPool2d(3, 1, 1), *branch((192, 32, 1)))

        def forward(self, x: Any) -> Any:
            return cat([self.one(x), self.three(x), self.five(x), self.pool(x)], 1)

    return Inception()
