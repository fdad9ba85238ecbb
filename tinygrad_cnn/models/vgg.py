"""VGG: nothing but 3 x 3 convolutions, deeper and deeper."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_cnn import nn
from tinygrad_cnn.models.blocks import draw_for_relu

# Channels of the convolutions, block by block; a 2 x 2 max pooling ends each block.
CONFIGURATIONS = {
    11: ((64,), (128,), (256,) * 2, (512,) * 2, (512,) * 2),  # A of the paper
    13: ((64,) * 2, (128,) * 2, (256,) * 2, (512,) * 2, (512,) * 2),  # B
    16: ((64,) * 2, (128,) * 2, (256,) * 3, (512,) * 3, (512,) * 3),  # D
    19: ((64,) * 2, (128,) * 2, (256,) * 4, (512,) * 4, (512,) * 4),  # E
}


class VGG(nn.Module):
    """VGG with 11, 13, 16 or 19 layers of weights, with or without batch normalisation.

    x (N, 3, H, W), H and W at least 32, usually 224  ->  (N, num_classes). Two 3 x 3 convolutions see as far as one of
    5 x 5, three as far as one of 7 x 7, with fewer weights and more ReLUs.
    Simonyan and Zisserman, 2014, https://arxiv.org/abs/1409.1556. Parameter names, counts and initial values are those
    of torchvision: VGG-16 has 138,357,544 parameters.

    Args:
        depth: 11, 13, 16 or 19; `vgg16` and its like choose it.
        num_classes: how many scores it gives for each image.
        batch_norm: normalise after each convolution.
        dropout: the share of values that are dropped after each of the two hidden layers.
        generator: where the initial values come from; the default generator where None.

    Raises:
        ValueError: no VGG has this depth.
    """

    features: nn.Sequential
    avgpool: nn.Module
    flatten: nn.Module
    classifier: nn.Sequential

    def __init__(
        self,
        depth: int,
        num_classes: int = 1000,
        batch_norm: bool = False,
        dropout: float = 0.5,
        *,
        generator: np.random.Generator | None = None,
    ) -> None:
        if depth not in CONFIGURATIONS:
            raise ValueError(f"VGG: depth must be one of {sorted(CONFIGURATIONS)}, got {depth!r}")
        self.features = nn.Sequential()
        channels = 3
        for block in CONFIGURATIONS[depth]:
            for width in block:
                self.features.append(nn.Conv2d(channels, width, 3, padding=1, generator=generator))
                if batch_norm:
                    self.features.append(nn.BatchNorm2d(width))
                self.features.append(nn.ReLU())
                channels = width
            self.features.append(nn.MaxPool2d(2))
        self.avgpool = nn.AdaptiveAvgPool2d(7)  # other sizes than 224 come to 7 x 7 here
        self.flatten = nn.Flatten()
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096, generator=generator),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(4096, 4096, generator=generator),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(4096, num_classes, generator=generator),
        )
        draw_for_relu(self, generator, linear_std=0.01)

    def forward(self, input: Any) -> Any:
        return self.classifier(self.flatten(self.avgpool(self.features(input))))


def vgg11(num_classes: int = 1000, *, generator: np.random.Generator | None = None) -> VGG:
    """Return VGG-11 (132,863,336 parameters with 1,000 classes); see `VGG`."""
    return VGG(11, num_classes, generator=generator)


def vgg11_bn(num_classes: int = 1000, *, generator: np.random.Generator | None = None) -> VGG:
    """Return VGG-11 with batch normalisation (132,868,840 parameters); see `VGG`."""
    return VGG(11, num_classes, batch_norm=True, generator=generator)


def vgg13(num_classes: int = 1000, *, generator: np.random.Generator | None = None) -> VGG:
    """Return VGG-13 (133,047,848 parameters); see `VGG`."""
    return VGG(13, num_classes, generator=generator)


def vgg13_bn(num_classes: int = 1000, *, generator: np.random.Generator | None = None) -> VGG:
    """Return VGG-13 with batch normalisation (133,053,736 parameters); see `VGG`."""
    return VGG(13, num_classes, batch_norm=True, generator=generator)


def vgg16(num_classes: int = 1000, *, generator: np.random.Generator | None = None) -> VGG:
    """Return VGG-16 (138,357,544 parameters); see `VGG`."""
    return VGG(16, num_classes, generator=generator)


def vgg16_bn(num_classes: int = 1000, *, generator: np.random.Generator | None = None) -> VGG:
    """Return VGG-16 with batch normalisation (138,365,992 parameters); see `VGG`."""
    return VGG(16, num_classes, batch_norm=True, generator=generator)


def vgg19(num_classes: int = 1000, *, generator: np.random.Generator | None = None) -> VGG:
    """Return VGG-19 (143,667,240 parameters); see `VGG`."""
    return VGG(19, num_classes, generator=generator)


def vgg19_bn(num_classes: int = 1000, *, generator: np.random.Generator | None = None) -> VGG:
    """Return VGG-19 with batch normalisation (143,678,248 parameters); see `VGG`."""
    return VGG(19, num_classes, batch_norm=True, generator=generator)
