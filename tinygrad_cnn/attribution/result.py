"""What attribution gives: a map for each image of where the reasons lie, with the numbers that it was made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_cnn import functional as F
from tinygrad_cnn.kernels.geometry import pair


@dataclass(frozen=True, eq=False)
class Attribution:
    """The maps of a batch of images; with several targets at a time these come first, as a further axis T.

    Attributes:
        method: the name of the function that made it.
        raw: what the formula says, with its sign: (N, C, H, W) for methods that speak of pixels, (N, h, w) for those
            that speak of places.
        map: one number for each place, (N, h, w): channels are joined as the method's paper does it.
        scores: the number that was explained, of each image (N,), or of all where a function gave one.
        image_size: (H, W) of the images.
        weights: what the channels of the layer were weighted by: (N, K), or (N, K, h, w) where each place has its own;
            None for methods without.
    """

    method: str
    raw: ndarray
    map: ndarray
    scores: ndarray
    image_size: tuple[int, int]
    weights: ndarray | None = None

    @property
    def rectified(self) -> ndarray:
        """The map without what speaks against the target: max(map, 0)."""
        return np.maximum(self.map, 0)

    @property
    def normalized(self) -> ndarray:
        """The rectified maps, each scaled to 0 ... 1; one that is everywhere the same becomes 0."""
        return normalized(self.rectified)

    def upsampled(self, size: tuple[int, int] | None = None) -> ndarray:
        """Return the rectified maps at the size of the images (or another), each scaled to 0 ... 1: (N, H, W).

        Interpolation is bilinear: a unit of the map lies in the middle of its share of the image.
        """
        maps = self.rectified
        flat = maps.reshape(-1, 1, *maps.shape[-2:])
        size = self.image_size if size is None else pair("upsampled", "size", size)
        grown = F.interpolate(flat, size, mode="bilinear")
        return normalized(grown.reshape(*maps.shape[:-2], *grown.shape[-2:]))

    def __repr__(self) -> str:
        return f"<{self.method}: maps {self.map.shape} of images of {self.image_size[0]} x {self.image_size[1]}>"


def normalized(maps: Any) -> ndarray:
    """Return maps (..., h, w), each scaled so that its smallest number is 0 and its largest 1.

    >>> normalized(np.array([[[1.0, 3.0], [2.0, 5.0]], [[7.0, 7.0], [7.0, 7.0]]])).tolist()
    [[[0.0, 0.5], [0.25, 1.0]], [[0.0, 0.0], [0.0, 0.0]]]
    """
    maps = np.asarray(maps)
    low, high = (f((-2, -1), keepdims=True) for f in (maps.min, maps.max))
    return (maps - low) / np.where(high > low, high - low, 1)
