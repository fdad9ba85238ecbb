"""The first convolutional network of a textbook: conv - relu - pool - affine - relu - affine (- softmax)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from tinygrad_cnn import nn
from tinygrad_cnn.nn import init

CONV_PARAM = MappingProxyType({"filter_num": 30, "filter_size": 5, "pad": 0, "stride": 1})


class SimpleConvNet(nn.Module):
    """One convolution and two fully connected layers, described by a dictionary of hyper-parameters.

    x (N, C, H, W)  ->  (N, output_size): scores, from which the loss takes the softmax.
    Saitoh, 2016, "Deep learning from scratch", chapter 7. With the defaults, 28 - 5 + 1 = 24 pixels become 12 by
    pooling, and 30 * 12 * 12 = 4,320 values enter the first affine layer; 433,890 parameters.

    Args:
        input_dim: (C, H, W) of the images.
        conv_param: "filter_num" filters of "filter_size", with "pad" and "stride".
        hidden_size: values between the affine layers.
        output_size: how many scores it gives for each image.
        weight_init_std: the standard deviation of the normal initial weights; biases begin at 0.
        generator: where the initial values come from; the default generator where None.

    Raises:
        ValueError: ``conv_param`` lacks a key or has another, or no window fits into the image.

    >>> model = SimpleConvNet((1, 28, 28), {"filter_num": 30, "filter_size": 5, "pad": 0, "stride": 1}, hidden_size=100)
    >>> model(np.ones((2, 1, 28, 28), np.float32)).shape
    (2, 10)
    """

    layers: nn.Sequential

    def __init__(
        self,
        input_dim: tuple[int, int, int] = (1, 28, 28),
        conv_param: Mapping[str, int] = CONV_PARAM,
        hidden_size: int = 100,
        output_size: int = 10,
        weight_init_std: float = 0.01,
        *,
        generator: np.random.Generator | None = None,
    ) -> None:
        if set(conv_param) != set(CONV_PARAM):
            raise ValueError(f"SimpleConvNet: conv_param needs the keys {list(CONV_PARAM)}, got {list(conv_param)}")
        channels, *size = input_dim
        filters, kernel_size, stride, padding = (conv_param[k] for k in ("filter_num", "filter_size", "stride", "pad"))
        height, width = ((n + 2 * padding - kernel_size) // stride + 1 for n in size)  # of the convolution's maps
        if min(height, width) < 2:
            raise ValueError(
                f"SimpleConvNet: images of {size[0]} x {size[1]} leave maps of {height} x {width} after the "
                "convolution, (n + 2*pad - filter_size)//stride + 1, too small for the 2 x 2 pooling"
            )
        pooled = filters * (height // 2) * (width // 2)
        self.layers = nn.Sequential(
            {
                "conv1": nn.Conv2d(channels, filters, kernel_size, stride, padding, generator=generator),
                "relu1": nn.ReLU(),
                "pool1": nn.MaxPool2d(2),
                "flatten": nn.Flatten(),
                "affine1": nn.Linear(pooled, hidden_size, generator=generator),
                "relu2": nn.ReLU(),
                "affine2": nn.Linear(hidden_size, output_size, generator=generator),
            }
        )
        for name, parameter in self.named_parameters():
            if name.endswith("weight"):
                init.normal_(parameter, 0.0, weight_init_std, generator)
            else:
                init.zeros_(parameter)

    def forward(self, input: Any) -> Any:
        return self.layers(input)
