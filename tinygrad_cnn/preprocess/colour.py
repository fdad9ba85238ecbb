"""Colours changed at random: brightness, contrast, saturation."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_cnn.preprocess.augment import Augmentation, draw, in_dtype, interval

GREY = np.array([0.299, 0.587, 0.114])  # the shares of red, green and blue in brightness (ITU-R BT.601)


class ColorJitter(Augmentation):
    """Change brightness, then contrast, then saturation, each by a factor of its own for each image.

    A factor v of brightness multiplies the image; of contrast, the distance of all pixels from its mean brightness; of
    saturation, the distance of each pixel's colours from its grey. Bytes are clipped to 0 to 255; floats are not
    clipped, since they may have been normalised. Hue is left alone.

    Args:
        brightness: factors from 1 - brightness (at least 0) to 1 + brightness, or a pair (low, high).
        contrast: likewise.
        saturation: likewise; needs three channels.

    >>> images = np.full((2, 3, 4, 4), 100, np.uint8)
    >>> ColorJitter(brightness=(1.5, 1.5))(images, np.random.default_rng(0))[0, 0, 0]
    array([150, 150, 150, 150], dtype=uint8)
    """

    def __init__(self, brightness: Any = 0, contrast: Any = 0, saturation: Any = 0) -> None:
        self.brightness = _factors("brightness", brightness)
        self.contrast = _factors("contrast", contrast)
        self.saturation = _factors("saturation", saturation)

    def apply(self, images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        count, channels = images.shape[:2]
        if self.saturation != (1, 1) and channels != 3:
            raise ValueError(f"ColorJitter: saturation needs images of 3 channels, got shape {images.shape}")
        brightness, contrast, saturation = (
            draw(factors, count, generator)[:, None, None, None]
            for factors in (self.brightness, self.contrast, self.saturation)
        )
        x = images * brightness
        mean = _grey(x).mean((1, 2, 3), keepdims=True)
        x = mean + contrast * (x - mean)
        grey = _grey(x)
        return in_dtype(grey + saturation * (x - grey) if channels == 3 else x, images.dtype)


def _grey(x: np.ndarray) -> np.ndarray:
    """Return the brightness of images, (N, 1, H, W)."""
    return np.einsum("nchw,c->nhw", x, GREY)[:, None] if x.shape[1] == 3 else x.mean(1, keepdims=True)


def _factors(name: str, value: Any) -> tuple[float, float]:
    pair = (max(0.0, 1 - value), 1 + value) if isinstance(value, (int, float)) and value >= 0 else value
    return interval("ColorJitter", name, pair, 0, 1e3)
