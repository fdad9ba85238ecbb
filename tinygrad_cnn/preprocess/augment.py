"""Images changed at random, in ways that do not change what they show: more training images for nothing.

Each augmentation is called with a batch (N, C, H, W) of bytes or floats and a generator, and returns a new batch of the
same dtype; each image has its own luck. Names and defaults are torchvision's.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from tinygrad_cnn.kernels.geometry import Pair, pair
from tinygrad_cnn.state import generator_for


class Augmentation(ABC):
    """The base: checks a batch and a generator, and calls `apply`."""

    def __call__(self, images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Return a changed copy of images (N, C, H, W)."""
        name = type(self).__name__
        if not isinstance(images, np.ndarray) or images.ndim != 4:
            found = f"shape {images.shape}" if isinstance(images, np.ndarray) else type(images).__name__
            raise ValueError(f"{name}: needs an array of images (N, C, H, W), got {found}")
        if images.dtype not in (np.uint8, np.float32, np.float64):
            raise TypeError(f"{name}: needs images in uint8, float32 or float64, got {images.dtype}")
        return self.apply(images, generator_for(name, generator))

    @abstractmethod
    def apply(self, images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Return changed images; the batch and the generator have been checked."""


class Compose(Augmentation):
    """Several augmentations, one after the other.

    >>> augment = Compose(RandomCrop(28, padding=2), RandomHorizontalFlip())
    >>> augment(np.zeros((8, 1, 28, 28), np.uint8), np.random.default_rng(0)).shape
    (8, 1, 28, 28)
    """

    def __init__(self, *steps: Augmentation) -> None:
        for step in steps:
            if not callable(step) or isinstance(step, type):
                raise TypeError(f"Compose: needs augmentations, called as step(images, generator), got {step!r}")
        self.steps = steps

    def apply(self, images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        for step in self.steps:
            images = step(images, generator)
        return images


class RandomCrop(Augmentation):
    """Cut a piece out of each image, anywhere, after padding it.

    Args:
        size: of the piece, an int or (height, width).
        padding: pixels added on all sides first, an int or (height, width).
        fill: their value.

    Raises:
        ValueError: when called, where the padded images are smaller than the piece.
    """

    def __init__(self, size: int | Pair, padding: int | Pair = 0, fill: float = 0) -> None:
        self.size = pair("RandomCrop", "size", size)
        self.padding = pair("RandomCrop", "padding", padding, 0)
        self.fill = fill

    def apply(self, images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        (height, width), (ph, pw) = self.size, self.padding
        padded = np.pad(images, ((0, 0), (0, 0), (ph, ph), (pw, pw)), constant_values=self.fill)
        if padded.shape[2] < height or padded.shape[3] < width:
            raise ValueError(
                f"RandomCrop: images of {images.shape[2]} x {images.shape[3]} with padding {ph} and {pw} are smaller "
                f"than the piece, {height} x {width}"
            )
        pieces = sliding_window_view(padded, self.size, (2, 3))  # (N, C, tops, lefts, height, width), a view
        top, left = (generator.integers(0, pieces.shape[axis], len(images)) for axis in (2, 3))
        return pieces[np.arange(len(images)), :, top, left]


class RandomHorizontalFlip(Augmentation):
    """Mirror images left to right. Not for digits.

    Args:
        p: the share of images that are mirrored.
    """

    def __init__(self, p: float = 0.5) -> None:
        self.p = probability("RandomHorizontalFlip", p)

    def apply(self, images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        chosen = generator.random(len(images)) < self.p
        return np.where(chosen[:, None, None, None], images[..., ::-1], images)


class RandomErasing(Augmentation):
    """Cover a rectangle of images: the network must not rely on one part alone.

    Zhong et al., 2017, https://arxiv.org/abs/1708.04896. A rectangle higher or wider than the image is cut to it.

    Args:
        p: the share of images that lose a rectangle.
        scale: least and largest area, as shares of the image.
        ratio: least and largest height over width.
        value: what covers it.
    """

    def __init__(
        self,
        p: float = 0.5,
        scale: tuple[float, float] = (0.02, 0.33),
        ratio: tuple[float, float] = (0.3, 3.3),
        value: float = 0,
    ) -> None:
        self.p = probability("RandomErasing", p)
        self.scale = interval("RandomErasing", "scale", scale, 0, 1)
        self.ratio = interval("RandomErasing", "ratio", ratio, 1e-3, 1e3)
        self.value = value

    def apply(self, images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        count, _, height, width = images.shape
        chosen = np.asarray(generator.random(count) < self.p)
        area = draw(self.scale, count, generator) * height * width
        ratio = np.exp(draw((math.log(self.ratio[0]), math.log(self.ratio[1])), count, generator))
        h, w = np.minimum(np.rint(np.sqrt(area * ratio)), height), np.minimum(np.rint(np.sqrt(area / ratio)), width)
        top, left = (np.floor(generator.random(count) * (room + 1)) for room in (height - h, width - w))
        rows, columns = _inside(height, top, h), _inside(width, left, w)
        covered = (rows[:, :, None] & columns[:, None, :] & chosen[:, None, None])[:, None]  # (N, 1, H, W)
        return np.where(covered, np.asarray(self.value, images.dtype), images)


def _inside(size: int, start: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Return for each image which of ``size`` places lie in its interval, (N, size)."""
    at = np.arange(size)
    return np.logical_and(at >= start[:, None], at < (start + length)[:, None])


def probability(name: str, p: Any) -> float:
    """Return p, or raise an error that names the augmentation."""
    if isinstance(p, bool) or not isinstance(p, (int, float, np.number)):
        raise TypeError(f"{name}: p must be a number from 0 to 1, got {p!r}")
    if not 0 <= p <= 1:
        raise ValueError(f"{name}: p must lie between 0 and 1, got {p}")
    return float(p)


def interval(name: str, what: str, value: Any, least: float, largest: float) -> tuple[float, float]:
    """Return (low, high), or raise an error that names the argument."""
    try:
        low, high = (float(v) for v in value)
    except (TypeError, ValueError):
        raise TypeError(f"{name}: {what} must be a pair of numbers, got {value!r}") from None
    if not least <= low <= high <= largest:
        raise ValueError(f"{name}: {what} must be (low, high) between {least:g} and {largest:g}, got {value}")
    return low, high


def draw(limits: tuple[float, float], count: int, generator: np.random.Generator) -> np.ndarray:
    """Return a number between the limits for each image."""
    return generator.uniform(limits[0], limits[1], count)


def in_dtype(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return computed values in the dtype of the images: bytes are rounded and clipped, floats are not."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8) if dtype == np.uint8 else values.astype(dtype)
