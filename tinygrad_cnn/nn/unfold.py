"""Layers that take images apart into patches and add patches up."""

from __future__ import annotations

from typing import Any

from tinygrad_cnn import functional as F
from tinygrad_cnn.kernels.geometry import pair
from tinygrad_cnn.nn.module import Module


class Unfold(Module):
    """The patches of images as columns: (N, C, H, W) -> (N, C*KH*KW, OH*OW); see `functional.unfold`.

    >>> Unfold((2, 3), stride=2)
    Unfold(kernel_size=(2, 3), dilation=1, padding=0, stride=2)
    """

    def __init__(self, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> None:
        pair(type(self).__name__, "kernel_size", kernel_size)
        self.kernel_size, self.dilation, self.padding, self.stride = kernel_size, dilation, padding, stride

    def forward(self, input: Any) -> Any:
        return F.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, dilation={self.dilation}, padding={self.padding}, stride={self.stride}"


class Fold(Unfold):
    """The sum of columns, each at its patch: (N, C*KH*KW, L) -> (N, C, H, W); see `functional.fold`.

    >>> Fold((4, 6), (2, 3), stride=(2, 3))
    Fold(output_size=(4, 6), kernel_size=(2, 3), dilation=1, padding=0, stride=(2, 3))
    """

    def __init__(
        self, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
    ) -> None:
        super().__init__(kernel_size, dilation, padding, stride)
        pair("Fold", "output_size", output_size)
        self.output_size = output_size

    def forward(self, input: Any) -> Any:
        return F.fold(input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}, {super().extra_repr()}"
