"""Images turned, moved and scaled at random, with bilinear interpolation."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_cnn.preprocess.augment import Augmentation, draw, in_dtype, interval


class RandomAffine(Augmentation):
    """Turn each image about its centre, scale it and move it.

    Args:
        degrees: the angle, clockwise: from -degrees to degrees, or a pair (low, high).
        translate: how far it may move, (horizontal, vertical), as shares of width and height; None: not at all.
        scale: least and largest factor; None: not at all.
        fill: what lies outside of the image.

    >>> images = np.zeros((1, 1, 5, 5)); images[0, 0, 0, 2] = 1
    >>> quarter = RandomAffine((90, 90))(images, np.random.default_rng(0))
    >>> [int(i[0]) for i in np.nonzero(quarter.round(6))]  # what was at the top is at the right
    [0, 0, 2, 4]
    """

    def __init__(
        self,
        degrees: float | tuple[float, float],
        translate: tuple[float, float] | None = None,
        scale: tuple[float, float] | None = None,
        fill: float = 0,
    ) -> None:
        both = (-degrees, degrees) if isinstance(degrees, (int, float)) else degrees
        self.degrees = interval("RandomAffine", "degrees", both, -360, 360)
        shares = [
            interval("RandomAffine", "translate", (0, share), 0, 1)[1]
            for share in _two((0, 0) if translate is None else translate)
        ]
        self.translate = shares[0], shares[1]
        self.scale = (1.0, 1.0) if scale is None else interval("RandomAffine", "scale", scale, 1e-3, 1e3)
        self.fill = fill

    def apply(self, images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        count, _, height, width = images.shape
        angle = np.radians(draw(self.degrees, count, generator))
        factor = draw(self.scale, count, generator)
        right = self.translate[0] * width * generator.uniform(-1, 1, count)
        down = self.translate[1] * height * generator.uniform(-1, 1, count)
        # Each pixel of the result looks back for where it came from: the inverse of turn, scale, move.
        y, x = np.arange(height) - (height - 1) / 2, np.arange(width) - (width - 1) / 2
        dx = x[None, None, :] - right[:, None, None]
        dy = y[None, :, None] - down[:, None, None]
        cos, sin = (f(angle)[:, None, None] / factor[:, None, None] for f in (np.cos, np.sin))
        rows, columns = cos * dy - sin * dx + (height - 1) / 2, cos * dx + sin * dy + (width - 1) / 2
        return in_dtype(bilinear(images, rows, columns, self.fill), images.dtype)


def bilinear(images: np.ndarray, rows: np.ndarray, columns: np.ndarray, fill: float = 0) -> np.ndarray:
    """Return the values of images (N, C, H, W) at places (N, OH, OW) between pixels; outside lies ``fill``.

    >>> bilinear(np.array([[[[0.0, 4.0], [8.0, 12.0]]]]), np.array([[[0.5]]]), np.array([[[0.25]]]))
    array([[[[5.]]]])
    """
    height, width = images.shape[2:]
    which = np.arange(len(images))[:, None, None]
    top, left = np.floor(rows).astype(int), np.floor(columns).astype(int)
    below, beside = rows - top, columns - left
    total: Any = 0
    for i, j in np.ndindex(2, 2):
        at, to = top + i, left + j
        weight = (below if i else 1 - below) * (beside if j else 1 - beside)
        inside = (at >= 0) & (at < height) & (to >= 0) & (to < width)
        found = images[which, :, at.clip(0, height - 1), to.clip(0, width - 1)]  # (N, OH, OW, C)
        total = total + weight[..., None] * np.where(inside[..., None], found, fill)
    return np.ascontiguousarray(np.moveaxis(total, 3, 1))


def _two(value: Any) -> tuple[Any, Any]:
    try:
        first, second = value
    except (TypeError, ValueError):
        raise TypeError(f"RandomAffine: translate must be (horizontal, vertical), got {value!r}") from None
    return first, second
