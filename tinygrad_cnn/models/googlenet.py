"""GoogLeNet: nine Inception modules in a row."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_cnn import nn
from tinygrad_cnn.models.inception import ConvNorm, InceptionV1
from tinygrad_cnn.nn import init

# The channels of each module: input; 1x1; 3x3 reduced, 3x3; 5x5 reduced, 5x5; projection after pooling.
MODULES = {
    "3a": (192, 64, 96, 128, 16, 32, 32),
    "3b": (256, 128, 128, 192, 32, 96, 64),
    "4a": (480, 192, 96, 208, 16, 48, 64),
    "4b": (512, 160, 112, 224, 24, 64, 64),
    "4c": (512, 128, 128, 256, 24, 64, 64),
    "4d": (512, 112, 144, 288, 32, 64, 64),
    "4e": (528, 256, 160, 320, 32, 128, 128),
    "5a": (832, 256, 160, 320, 32, 128, 128),
    "5b": (832, 384, 192, 384, 48, 128, 128),
}


class GoogLeNet(nn.Module):
    """GoogLeNet with batch normalisation and without the auxiliary classifiers, as it predicts.

    x (N, 3, H, W), usually 224 x 224  ->  (N, num_classes).
    Szegedy et al., 2014, "Going deeper with convolutions", https://arxiv.org/abs/1409.4842. Names and values are those
    of torchvision, which has 3 x 3 filters where the paper has 5 x 5: 6,624,904 parameters with ``kernel_size`` 3, and
    7,005,832 with 5.

    Args:
        num_classes: how many scores it gives for each image.
        dropout: the share of values that are dropped before the last layer.
        kernel_size: of the branch that the paper calls 5 x 5: 3 as in torchvision, or 5.
        generator: where the initial values come from (normal, standard deviation 0.01); the default generator where
            None.

    >>> GoogLeNet(10, kernel_size=5)(np.ones((1, 3, 64, 48), np.float32)).shape
    (1, 10)
    """

    def __init__(
        self,
        num_classes: int = 1000,
        dropout: float = 0.2,
        kernel_size: int = 3,
        *,
        generator: np.random.Generator | None = None,
    ) -> None:
        if kernel_size not in (3, 5):
            raise ValueError(f"GoogLeNet: kernel_size must be 3 (torchvision) or 5 (the paper), got {kernel_size!r}")
        self.conv1 = ConvNorm(3, 64, 7, stride=2, padding=3, generator=generator)  # (N, 64, 112, 112)
        self.maxpool1 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv2 = ConvNorm(64, 64, generator=generator)
        self.conv3 = ConvNorm(64, 192, 3, padding=1, generator=generator)
        self.maxpool2 = nn.MaxPool2d(3, 2, ceil_mode=True)  # (N, 192, 28, 28)
        for name, widths in MODULES.items():
            self.add_module(f"inception{name}", InceptionV1(*widths, kernel_size=kernel_size, generator=generator))
        self.maxpool3 = nn.MaxPool2d(3, 2, ceil_mode=True)  # (N, 480, 14, 14), before 4a
        self.maxpool4 = nn.MaxPool2d(2, 2, ceil_mode=True)  # (N, 832, 7, 7), before 5a
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(1024, num_classes, generator=generator)
        for layer in self.modules():
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                init.normal_(layer.weight, 0.0, 0.01, generator)

    def forward(self, input: Any) -> Any:
        x = self.maxpool1(self.conv1(input))
        x = self.maxpool2(self.conv3(self.conv2(x)))
        for name in MODULES:
            if name == "4a":
                x = self.maxpool3(x)
            elif name == "5a":
                x = self.maxpool4(x)
            x = vars(self)[f"inception{name}"](x)
        return self.fc(self.dropout(self.flatten(self.avgpool(x))))
