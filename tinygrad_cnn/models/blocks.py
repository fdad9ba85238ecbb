"""What several networks are built of: a convolution with its batch normalisation, and how their weights begin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_cnn import nn
from tinygrad_cnn.nn import init


def conv_norm(
    in_channels: int,
    out_channels: int,
    kernel_size: int = 3,
    stride: int = 1,
    padding: Any = None,
    groups: int = 1,
    activation: Callable[[], nn.Module] | None = nn.ReLU,
    *,
    eps: float = 1e-5,
    momentum: float = 0.1,
    generator: np.random.Generator | None = None,
) -> nn.Sequential:
    """Return convolution, batch normalisation and activation in a row, named "0", "1", "2".

    The convolution has no bias: the normalisation would take it away again. ``padding`` None is (kernel_size - 1)/2.

    >>> [type(layer).__name__ for layer in conv_norm(3, 8, stride=2)]
    ['Conv2d', 'BatchNorm2d', 'ReLU']
    """
    padding = (kernel_size - 1) // 2 if padding is None else padding
    conv = nn.Conv2d(
        in_channels, out_channels, kernel_size, stride, padding, groups=groups, bias=False, generator=generator
    )
    norm = nn.BatchNorm2d(out_channels, eps, momentum)
    return nn.Sequential(conv, norm, *([activation()] if activation else []))


def draw_for_relu(
    model: nn.Module, generator: np.random.Generator | None = None, *, linear_std: float | None = None
) -> None:
    """Draw the weights of a network of ReLUs anew: He's normal numbers, fan-out, for convolutions, and zero biases.

    ``linear_std`` is the standard deviation of normal weights for fully connected layers; None leaves those as they
    are. He et al., 2015, "Delving deep into rectifiers", https://arxiv.org/abs/1502.01852.
    """
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu", generator=generator)
        elif isinstance(layer, nn.Linear) and linear_std is not None:
            init.normal_(layer.weight, 0.0, linear_std, generator)
        else:
            continue
        if layer.bias is not None:
            init.zeros_(layer.bias)
