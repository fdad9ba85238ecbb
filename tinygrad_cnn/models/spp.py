"""The head of SPP-net: a pyramid of poolings makes the fully connected layers accept images of any size."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_cnn import nn


class SPPHead(nn.Module):
    """Feature maps of any size to class scores, through a spatial pyramid of max poolings.

    x (N, C, H, W)  ->  (N, num_classes). Each level n pools the whole map into n x n bins, so a fixed number of
    values, C * (1 + 4 + 9 + 36) = 50 C, enters the first layer whatever H and W.
    He, Zhang, Ren and Sun, 2014, "Spatial pyramid pooling in deep convolutional networks for visual recognition",
    https://arxiv.org/abs/1406.4729.

    Args:
        in_channels: C; 256 after the last convolution of AlexNet.
        num_classes: how many scores it gives for each image.
        levels: bins along a side, for each level of the pyramid.
        hidden_size: values between the fully connected layers.
        dropout: the share of values that are dropped after each of the two hidden layers.
        generator: where the initial values come from; the default generator where None.

    >>> head = SPPHead(8, 10, hidden_size=32)
    >>> [head(np.ones((2, 8, height, width), np.float32)).shape for height, width in ((13, 13), (10, 17))]
    [(2, 10), (2, 10)]
    """

    pool: nn.Module
    classifier: nn.Sequential

    def __init__(
        self,
        in_channels: int = 256,
        num_classes: int = 1000,
        levels: tuple[int, ...] = (1, 2, 3, 6),
        hidden_size: int = 4096,
        dropout: float = 0.5,
        *,
        generator: np.random.Generator | None = None,
    ) -> None:
        self.pool = nn.SpatialPyramidPool(levels)
        values = in_channels * sum(n * n for n in levels)
        self.classifier = nn.Sequential(
            {
                "fc6": nn.Linear(values, hidden_size, generator=generator),
                "relu6": nn.ReLU(),
                "drop6": nn.Dropout(dropout),
                "fc7": nn.Linear(hidden_size, hidden_size, generator=generator),
                "relu7": nn.ReLU(),
                "drop7": nn.Dropout(dropout),
                "fc8": nn.Linear(hidden_size, num_classes, generator=generator),
            }
        )

    def forward(self, input: Any) -> Any:
        return self.classifier(self.pool(input))
