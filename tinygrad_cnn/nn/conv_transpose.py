"""The transposed convolution layers: they make images larger."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_cnn import functional as F
from tinygrad_cnn.kernels.geometry import for_axes
from tinygrad_cnn.nn.conv import ConvNd
from tinygrad_cnn.state import place


class ConvTransposeNd(ConvNd):
    """What transposed convolutions along 1, 2 or 3 axes share."""

    output_padding: tuple[int, ...]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        *,
        dtype: Any = np.float32,
        generator: np.random.Generator | None = None,
    ) -> None:
        op = type(self).__name__
        if isinstance(padding, str):
            raise ValueError(f"{op}: padding must be numbers, got {padding!r}")
        self.output_padding = for_axes(op, "output_padding", output_padding, self.axes, 0)
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias,
            dtype=dtype, generator=generator,
        )  # fmt: skip

    def weight_channels(self) -> tuple[int, int]:
        """Return the first two sizes of the weight: those of a convolution back to the input."""
        return self.in_channels, self.out_channels // self.groups

    def forward(self, input: Any, output_size: Any = None) -> Any:
        extra = self.output_padding if output_size is None else self._extra(input, output_size)
        function = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[self.axes - 1]
        return function(
            input, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation
        )  # fmt: skip

    def _extra(self, input: Any, output_size: Any) -> tuple[int, ...]:
        """Return the output_padding that gives this size."""
        op, asked = type(self).__name__, tuple(output_size)
        size = for_axes(op, "output_size", asked[-self.axes :] if len(asked) > self.axes else asked, self.axes)
        extra = []
        image = input.shape[-self.axes :]
        for n, out, k, s, p, d in zip(
            image, size, self.kernel_size, self.stride, self.padding, self.dilation, strict=True
        ):
            least = (n - 1) * s - (2 * p if isinstance(p, int) else sum(p)) + d * (k - 1) + 1
            if not 0 <= out - least < max(s, d):
                raise ValueError(
                    f"{place(op)}: output_size {size} cannot be reached from {tuple(image)}: {out} must be "
                    f"from {least} to {least + max(s, d) - 1}"
                )
            extra.append(out - least)
        return tuple(extra)


class ConvTranspose1d(ConvTransposeNd):
    """Transposed convolution of signals: (N, C, L) -> (N, O, OL); see `ConvTranspose2d`.

    >>> ConvTranspose1d(8, 3, 4, stride=2, padding=1)
    ConvTranspose1d(8, 3, kernel_size=(4,), stride=(2,), padding=(1,))
    """

    axes = 1


class ConvTranspose2d(ConvTransposeNd):
    """Transposed convolution of images, which makes them ``stride`` times larger.

    x (N, C, H, W)  ->  (N, O, OH, OW), with weight (C, O/groups, KH, KW) and bias (O,); see
    `functional.conv_transpose2d`. ``layer(x, output_size)`` chooses the output_padding that gives (OH, OW).

    Args:
        in_channels: C.
        out_channels: O.
        kernel_size: (KH, KW), or one int for both.
        stride: the step in the result for one step in the input, an int or (height, width).
        padding: rows and columns of the result that are cut off.
        output_padding: more rows at the bottom and columns on the right.
        groups: divides C and O.
        bias: False leaves the bias out.
        dilation: the distance between taps.
        dtype: float32 or float64.
        generator: where the initial values come from, evenly from ±1/sqrt(O/groups * KH * KW).

    >>> up = ConvTranspose2d(16, 6, 3, stride=2, padding=1)
    >>> up(np.ones((1, 16, 7, 7), np.float32), output_size=(14, 13)).shape
    (1, 6, 14, 13)
    """

    axes = 2


class ConvTranspose3d(ConvTransposeNd):
    """Transposed convolution of volumes: (N, C, D, H, W) -> (N, O, OD, OH, OW); see `ConvTranspose2d`.

    >>> ConvTranspose3d(8, 3, 2, stride=2).weight.shape
    (8, 3, 2, 2, 2)
    """

    axes = 3
