"""LeNet-5, the network that read handwritten digits."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_cnn import nn


class LeNet5(nn.Module):
    """LeNet-5 as it is built today: ReLU and max pooling, for images of 28 x 28 padded by 2 pixels; 61,706 parameters.

    LeCun, Bottou, Bengio and Haffner, 1998, "Gradient-based learning applied to document recognition". The original
    has tanh, trained subsampling, partial connections and a radial-basis output.

    Args:
        num_classes: how many scores it gives for each image.
        generator: where the initial values come from; the default generator where None.

    >>> model = LeNet5()
    >>> sum(p.size for p in model.parameters())
    61706
    """

    features: nn.Sequential
    classifier: nn.Sequential

    def __init__(self, num_classes: int = 10, *, generator: np.random.Generator | None = None) -> None:
        self.features = nn.Sequential(
            {
                "conv1": nn.Conv2d(1, 6, 5, padding=2, generator=generator),  # (N, 6, 28, 28)
                "relu1": nn.ReLU(),
                "pool1": nn.MaxPool2d(2),  # (N, 6, 14, 14)
                "conv2": nn.Conv2d(6, 16, 5, generator=generator),  # (N, 16, 10, 10)
                "relu2": nn.ReLU(),
                "pool2": nn.MaxPool2d(2),  # (N, 16, 5, 5)
            }
        )
        self.classifier = nn.Sequential(
            {
                "flatten": nn.Flatten(),
                "fc1": nn.Linear(400, 120, generator=generator),
                "relu1": nn.ReLU(),
                "fc2": nn.Linear(120, 84, generator=generator),
                "relu2": nn.ReLU(),
                "fc3": nn.Linear(84, num_classes, generator=generator),
            }
        )

    def forward(self, input: Any) -> Any:
        """Return the scores (N, num_classes) of images (N, 1, 28, 28)."""
        return self.classifier(self.features(input))
