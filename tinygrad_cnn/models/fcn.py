"""FCN: a network without fully connected layers gives a score map, enlarged to a class for every pixel."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_cnn import nn
from tinygrad_cnn.models.blocks import conv_norm, draw_for_relu


def bilinear_upsampling(channels: int, factor: int) -> nn.ConvTranspose2d:
    """Return a transposed convolution, trainable, that begins as bilinear interpolation by a whole even factor.

    x (N, C, H, W)  ->  (N, C, factor*H, factor*W). Each pixel is spread by a tent of 2*factor x 2*factor, and
    neighbouring tents add up to 1; channels do not mix.

    Raises:
        ValueError: ``factor`` is odd or less than 2.

    >>> layer = bilinear_upsampling(1, 2)
    >>> layer(np.array([[[[0, 4, 8]] * 2]], np.float32)).tolist()[0][0][1]  # beyond the border lie zeros
    [0.0, 1.0, 3.0, 5.0, 7.0, 6.0]
    """
    if factor < 2 or factor % 2:
        raise ValueError(f"bilinear_upsampling: factor must be an even whole number, got {factor!r}")
    layer = nn.ConvTranspose2d(
        channels, channels, 2 * factor, stride=factor, padding=factor // 2, groups=channels, bias=False,
        generator=np.random.default_rng(0),  # what it draws is overwritten
    )  # fmt: skip
    tent = 1 - abs(np.arange(2 * factor) + 0.5 - factor) / factor
    layer.weight = nn.Parameter(np.tile(np.outer(tent, tent).astype(np.float32), (channels, 1, 1, 1)))
    return layer


class FCN(nn.Module):
    """A class for every pixel: a backbone of five blocks, a score map of each scale, joined from coarse to fine.

    x (N, C, H, W), H and W multiples of 32  ->  (N, num_classes, H, W). With ``stride`` 32 the coarsest score map is
    enlarged 32 times at once; with 16 and 8 it is enlarged twice, added to the scores of the finer blocks, and so on.
    Long, Shelhamer and Darrell, 2014, "Fully convolutional networks for semantic segmentation",
    https://arxiv.org/abs/1411.4038, where the backbone is VGG-16; here each block is one convolution.

    Args:
        num_classes: how many scores it gives for each pixel.
        stride: 32, 16 or 8: FCN-32s, FCN-16s or FCN-8s.
        in_channels: C.
        widths: channels of the five blocks; each halves height and width.
        generator: where the initial values come from; the default generator where None.

    Raises:
        ValueError: ``stride`` is another number, or an image is no multiple of 32.

    >>> FCN(4, stride=16)(np.ones((1, 3, 64, 96), np.float32)).shape
    (1, 4, 64, 96)
    """

    blocks: nn.ModuleList
    scores: nn.ModuleList
    upsamplings: nn.ModuleList

    def __init__(
        self,
        num_classes: int = 21,
        stride: int = 8,
        in_channels: int = 3,
        widths: tuple[int, int, int, int, int] = (16, 32, 64, 128, 256),
        *,
        generator: np.random.Generator | None = None,
    ) -> None:
        if stride not in (8, 16, 32):
            raise ValueError(f"FCN: stride must be 8, 16 or 32, got {stride!r}")
        channels = (in_channels, *widths)
        self.blocks = nn.ModuleList(
            nn.Sequential(*conv_norm(channels[i], channels[i + 1], generator=generator), nn.MaxPool2d(2))
            for i in range(5)
        )
        joined = {32: 1, 16: 2, 8: 3}[stride]  # how many scales have a score map
        self.scores = nn.ModuleList(
            nn.Conv2d(width, num_classes, 1, generator=generator) for width in widths[: -joined - 1 : -1]
        )
        factors = [2] * (joined - 1) + [stride]
        self.upsamplings = nn.ModuleList(bilinear_upsampling(num_classes, factor) for factor in factors)
        draw_for_relu(self, generator)

    def forward(self, input: Any) -> Any:
        if input.shape[2] % 32 or input.shape[3] % 32:
            raise ValueError(f"FCN: height and width must be multiples of 32, got shape {tuple(input.shape)}; pad it")
        maps = []
        for block in self.blocks:
            input = block(input)
            maps.append(input)
        total = None
        for score, upsample, features in zip(self.scores, self.upsamplings, reversed(maps), strict=False):
            total = score(features) if total is None else total + score(features)
            total = upsample(total)  # to the scale of the next finer map, at last to that of the image
        return total
