"""LeNet-5 as it was published in 1998, down to its table of connections."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_cnn import functional as F
from tinygrad_cnn import nn
from tinygrad_cnn.nn import init

# Table I of the paper: which of the 6 maps of S2 each of the 16 maps of C3 looks at, 60 connections in all.
CONNECTIONS = (
    (0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (4, 5, 0), (5, 0, 1),
    (0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (3, 4, 5, 0), (4, 5, 0, 1), (5, 0, 1, 2),
    (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5),
    (0, 1, 2, 3, 4, 5),
)  # fmt: skip


class Squash(nn.Module):
    """1.7159 tanh(2x/3): through (1, 1) and (-1, -1), where its curvature is largest."""

    def forward(self, input: Any) -> Any:
        return 1.7159 * F.tanh(input * (2 / 3))


class Subsampling(nn.Module):
    """The sum of 2 x 2 pixels, times a trained coefficient, plus a trained bias, for each map.

    x (N, C, H, W)  ->  (N, C, H/2, W/2), with weight (C,) and bias (C,).
    """

    def __init__(self, channels: int) -> None:
        self.weight = nn.Parameter(np.empty(channels, np.float32))
        self.bias = nn.Parameter(np.empty(channels, np.float32))

    def forward(self, input: Any) -> Any:
        sums = F.avg_pool2d(input, 2, divisor_override=1)
        return sums * self.weight.reshape(-1, 1, 1) + self.bias.reshape(-1, 1, 1)


class PartialConv2d(nn.Module):
    """A convolution in which each map looks at some of the input's maps only: C3, which so breaks the symmetry.

    x (N, C, H, W)  ->  (N, O, H-4, W-4), with weight (connections, 5, 5), one filter for each pair of maps, and bias
    (O,): 60 * 25 + 16 = 1,516 parameters.
    """

    def __init__(self, in_channels: int, connections: tuple[tuple[int, ...], ...]) -> None:
        count = sum(map(len, connections))
        self.weight = nn.Parameter(np.empty((count, 5, 5), np.float32))
        self.bias = nn.Parameter(np.empty(len(connections), np.float32))
        # Which filter stands at (output map, input map); the last one, all zeros, where there is no connection.
        self.table = np.full((len(connections), in_channels), count)
        self.table[[o for o, maps in enumerate(connections) for _ in maps], np.concatenate(connections)] = range(count)

    def forward(self, input: Any) -> Any:
        none = np.zeros((1, 5, 5), self.weight.dtype)
        return F.conv2d(input, F.cat([self.weight, none], 0)[self.table], self.bias)


class RadialBasis(nn.Module):
    """Minus the squared distance of x to the code of each class: the largest score belongs to the nearest code.

    x (N, I)  ->  (N, O). The codes, ±1, are fixed (a buffer). In the paper they are pictures of the characters; codes
    drawn at random, which it names as the other choice, are taken here.
    """

    codes: Any

    def __init__(self, in_features: int, num_classes: int, *, generator: np.random.Generator | None = None) -> None:
        codes = init.uniform_(nn.Parameter(np.empty((num_classes, in_features), np.float32)), -1, 1, generator)
        self.register_buffer("codes", (codes.detach() >= 0) * 2.0 - 1.0)

    def forward(self, input: Any) -> Any:
        return -((F.unsqueeze(input, 1) - self.codes) ** 2).sum(2)


class LeNet5_1998(nn.Module):
    """LeNet-5 of 1998: trained subsampling, a table of connections, tanh, 60,000 parameters before the output.

    x (N, 1, 32, 32), white paper -0.1 and black ink 1.175, which makes mean and variance about 0 and 1
    ->  (N, num_classes), minus the distances to the codes of the classes, so that cross-entropy is the paper's
    criterion (its equation 9) without the constant j.

    LeCun, Bottou, Bengio and Haffner, 1998, "Gradient-based learning applied to document recognition". C1, S2, C3, S4,
    C5 and F6 have 156, 12, 1,516, 32, 48,120 and 10,164 parameters, drawn evenly from ±2.4/fan-in (its appendix A).

    Args:
        num_classes: how many scores it gives for each image.
        generator: where the initial values come from; the default generator where None.

    >>> model = LeNet5_1998()
    >>> sum(p.size for p in model.parameters())
    60000
    >>> model(np.ones((2, 1, 32, 32), np.float32)).shape
    (2, 10)
    """

    layers: nn.Sequential

    def __init__(self, num_classes: int = 10, *, generator: np.random.Generator | None = None) -> None:
        self.layers = nn.Sequential(
            {
                "c1": nn.Conv2d(1, 6, 5, generator=generator),  # (N, 6, 28, 28)
                "squash1": Squash(),
                "s2": Subsampling(6),  # (N, 6, 14, 14)
                "squash2": Squash(),
                "c3": PartialConv2d(6, CONNECTIONS),  # (N, 16, 10, 10)
                "squash3": Squash(),
                "s4": Subsampling(16),  # (N, 16, 5, 5)
                "squash4": Squash(),
                "c5": nn.Conv2d(16, 120, 5, generator=generator),  # (N, 120, 1, 1)
                "squash5": Squash(),
                "flatten": nn.Flatten(),
                "f6": nn.Linear(120, 84, generator=generator),
                "squash6": Squash(),
                "output": RadialBasis(84, num_classes, generator=generator),
            }
        )
        fan_in = {"c1": 25, "s2": 4, "c3": 25 * 60 / 16, "s4": 4, "c5": 16 * 25, "f6": 120}  # C3's is a mean
        for name, fan in fan_in.items():
            for parameter in vars(self.layers)[name].parameters():
                init.uniform_(parameter, -2.4 / fan, 2.4 / fan, generator)

    def forward(self, input: Any) -> Any:
        return self.layers(input)
