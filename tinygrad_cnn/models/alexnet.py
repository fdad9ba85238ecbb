"""AlexNet, the network that won ImageNet in 2012, and the form in which it is used today."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_cnn import nn
from tinygrad_cnn.nn import init


class AlexNet(nn.Module):
    """AlexNet on one machine, torchvision's form: narrower, without normalisation; 61,100,840 parameters.

    x (N, 3, H, W), H and W at least 63, usually 224  ->  (N, num_classes).
    Krizhevsky, 2014, "One weird trick for parallelizing convolutional neural networks",
    https://arxiv.org/abs/1404.5997. Parameter names are those of ``torchvision.models.alexnet``.

    Args:
        num_classes: how many scores it gives for each image.
        dropout: the share of values that are dropped before each of the two hidden layers.
        generator: where the initial values come from; the default generator where None.

    >>> AlexNet(10).classifier[-1]  # doctest: +SKIP
    Linear(in_features=4096, out_features=10, bias=True)
    """

    features: nn.Sequential
    avgpool: nn.Module
    flatten: nn.Module
    classifier: nn.Sequential

    def __init__(
        self, num_classes: int = 1000, dropout: float = 0.5, *, generator: np.random.Generator | None = None
    ) -> None:
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 11, stride=4, padding=2, generator=generator),  # (N, 64, 55, 55) of 224 x 224
            nn.ReLU(),
            nn.MaxPool2d(3, 2),  # (N, 64, 27, 27)
            nn.Conv2d(64, 192, 5, padding=2, generator=generator),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),  # (N, 192, 13, 13)
            nn.Conv2d(192, 384, 3, padding=1, generator=generator),
            nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1, generator=generator),
            nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1, generator=generator),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),  # (N, 256, 6, 6)
        )
        self.avgpool = nn.AdaptiveAvgPool2d(6)  # other sizes come to 6 x 6 here
        self.flatten = nn.Flatten()
        self.classifier = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(256 * 6 * 6, 4096, generator=generator),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(4096, 4096, generator=generator),
            nn.ReLU(),
            nn.Linear(4096, num_classes, generator=generator),
        )

    def forward(self, input: Any) -> Any:
        return self.classifier(self.flatten(self.avgpool(self.features(input))))


class AlexNet2012(nn.Module):
    """AlexNet as it won: channels in two groups (a GPU each), local response normalisation; 60,965,224 parameters.

    x (N, 3, 227, 227)  ->  (N, num_classes). The paper says 224, which leaves no whole number of windows; 227 does.
    Krizhevsky, Sutskever and Hinton, 2012, "ImageNet classification with deep convolutional neural networks".
    Weights begin as in its section 5: normal with standard deviation 0.01, biases 1 where that feeds ReLUs early on
    (the second, fourth and fifth convolution and the hidden layers), else 0.

    Args:
        num_classes: how many scores it gives for each image.
        dropout: the share of values that are dropped before each of the two hidden layers.
        generator: where the initial values come from; the default generator where None.

    >>> AlexNet2012(10).features.conv2  # doctest: +SKIP
    Conv2d(96, 256, kernel_size=(5, 5), stride=(1, 1), padding=(2, 2), groups=2)
    """

    features: nn.Sequential
    classifier: nn.Sequential

    def __init__(
        self, num_classes: int = 1000, dropout: float = 0.5, *, generator: np.random.Generator | None = None
    ) -> None:
        def response_norm() -> nn.Module:
            return nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=2.0, average=False)  # the paper's sum of squares

        self.features = nn.Sequential(
            {
                "conv1": nn.Conv2d(3, 96, 11, stride=4, generator=generator),  # (N, 96, 55, 55)
                "relu1": nn.ReLU(),
                "norm1": response_norm(),
                "pool1": nn.MaxPool2d(3, 2),  # (N, 96, 27, 27): windows overlap
                "conv2": nn.Conv2d(96, 256, 5, padding=2, groups=2, generator=generator),
                "relu2": nn.ReLU(),
                "norm2": response_norm(),
                "pool2": nn.MaxPool2d(3, 2),  # (N, 256, 13, 13)
                "conv3": nn.Conv2d(256, 384, 3, padding=1, generator=generator),  # the GPUs exchange their maps
                "relu3": nn.ReLU(),
                "conv4": nn.Conv2d(384, 384, 3, padding=1, groups=2, generator=generator),
                "relu4": nn.ReLU(),
                "conv5": nn.Conv2d(384, 256, 3, padding=1, groups=2, generator=generator),
                "relu5": nn.ReLU(),
                "pool5": nn.MaxPool2d(3, 2),  # (N, 256, 6, 6)
            }
        )
        self.classifier = nn.Sequential(
            {
                "flatten": nn.Flatten(),
                "drop6": nn.Dropout(dropout),
                "fc6": nn.Linear(256 * 6 * 6, 4096, generator=generator),
                "relu6": nn.ReLU(),
                "drop7": nn.Dropout(dropout),
                "fc7": nn.Linear(4096, 4096, generator=generator),
                "relu7": nn.ReLU(),
                "fc8": nn.Linear(4096, num_classes, generator=generator),
            }
        )
        for name, parameter in self.named_parameters():
            if name.endswith("weight"):
                init.normal_(parameter, 0.0, 0.01, generator)
            else:
                layer = name.split(".")[1]
                init.constant_(parameter, float(layer in ("conv2", "conv4", "conv5", "fc6", "fc7")))

    def forward(self, input: Any) -> Any:
        return self.classifier(self.features(input))
