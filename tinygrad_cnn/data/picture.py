"""One's own picture of a digit, prepared as the MNIST images were."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

SIZE, BOX = 28, 20  # the image, and the square within it that the digit fits


def read_digit(path: str | os.PathLike[str]) -> np.ndarray:
    """Return a picture of one digit as MNIST would hold it: (28, 28), uint8, light on dark, centred.

    The MNIST images were made by scaling each digit to fit a square of 20 x 20 pixels, keeping its proportions, and
    placing its centre of mass in the middle of 28 x 28 (LeCun, Bottou, Bengio and Haffner, 1998). A picture that is
    dark on light (ink on paper) is inverted first, by the brightness of its border. A 28 x 28 picture that is light
    on dark already is taken as it is.

    Args:
        path: an image file that Pillow reads; colours become grey, transparency becomes the background white.

    Raises:
        FileNotFoundError: there is no such file.
        ImportError: Pillow is not installed (``pip install tinygrad-cnn[vision]``).
        ValueError: the file is not an image, is too large, or shows one even colour.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file; give the path of a picture of one digit")
    grey = _read_grey(path)
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    background = float(np.median(border))
    dark_on_light = background > 127
    ink = np.clip(background - grey if dark_on_light else grey - background, 0, None)
    if ink.max() < 16:
        raise ValueError(f"{path}: expected a digit that stands out from its background, found one even colour")
    if grey.shape == (SIZE, SIZE) and not dark_on_light:
        return grey.astype(np.uint8)
    ink *= 255 / ink.max()
    rows, columns = (np.flatnonzero((ink > 64).any(axis)) for axis in (1, 0))
    return _centred(_scaled(ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]))


def _read_grey(path: str | os.PathLike[str]) -> np.ndarray:
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise ImportError("reading pictures needs Pillow: pip install tinygrad-cnn[vision]") from error
    try:
        with Image.open(path) as image:
            if image.mode.startswith("I"):  # 16 bits a pixel, which convert() would clip at 255
                return np.asarray(image, dtype=np.float64) / 257
            colour = image.convert("RGBA")
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError) as error:
        raise ValueError(f"{path}: expected an image such as a PNG or JPEG, found something else ({error})") from None
    paper = Image.new("RGBA", colour.size, "white")
    return np.asarray(Image.alpha_composite(paper, colour).convert("L"), dtype=np.float64)


def _scaled(ink: np.ndarray) -> np.ndarray:
    """Return the ink averaged into a box whose longer side is 20 pixels."""
    scale = BOX / max(ink.shape)
    height, width = (max(1, round(n * scale)) for n in ink.shape)
    return _resample(_resample(ink, height).T, width).T


def _resample(ink: np.ndarray, size: int) -> np.ndarray:
    """Return ``size`` rows, each the mean of the stretch of old rows that it covers."""
    edges = np.linspace(0, len(ink), size + 1)
    total = np.concatenate([np.zeros((1, ink.shape[1])), ink.cumsum(0)])
    whole = np.minimum(edges.astype(int), len(ink) - 1)
    at_edges = total[whole] + (edges - whole)[:, None] * ink[whole]  # the sum up to each edge, within pixels too
    return np.diff(at_edges, axis=0) / np.diff(edges)[:, None]


def _centred(ink: np.ndarray) -> np.ndarray:
    """Return 28 x 28 with the centre of mass in the middle."""
    image = np.zeros((SIZE, SIZE))
    corner = []
    for axis in (0, 1):
        mass = ink.sum(1 - axis)
        centre = (mass * (np.arange(len(mass)) + 0.5)).sum() / mass.sum()
        corner.append(int(np.clip(round(SIZE / 2 - centre), 0, SIZE - len(mass))))
    image[corner[0] : corner[0] + ink.shape[0], corner[1] : corner[1] + ink.shape[1]] = ink
    return np.clip(np.round(image), 0, 255).astype(np.uint8)
