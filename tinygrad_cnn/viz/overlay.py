"""Heat maps as pictures: numbers as colours, alone or over the image that they speak of."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_cnn import functional as F
from tinygrad_cnn.kernels.geometry import number
from tinygrad_cnn.viz.grid import to_bytes

# Nine colours from cold to hot (matplotlib's inferno, by Smith and van der Walt, 2015, CC0), between which colours are
# mixed: brightness grows evenly, so that the map can also be read in grey and by the colour-blind.
HEAT = np.array([
    (0, 0, 4), (31, 12, 72), (85, 15, 109), (136, 34, 106), (186, 54, 85), (227, 89, 51), (249, 140, 10),
    (249, 201, 50), (252, 255, 164),
])  # fmt: skip
# From what speaks against (blue) over nothing (white) to what speaks for (red): RdBu of ColorBrewer (Apache 2.0).
SIGNED = np.array([
    (5, 48, 97), (33, 102, 172), (67, 147, 195), (146, 197, 222), (247, 247, 247), (244, 165, 130), (214, 96, 77),
    (178, 24, 43), (103, 0, 31),
])  # fmt: skip

BRIGHTNESS = np.array([0.299, 0.587, 0.114])  # what red, green and blue add to it (ITU-R BT.601)


def heat_colours(values: Any) -> ndarray:
    """Return numbers from 0 (cold, black) to 1 (hot, yellow) as colours, uint8 (..., 3); what lies outside is clipped.

    NaN is cold.

    >>> heat_colours([0.0, 0.5, 1.0]).tolist()
    [[0, 0, 4], [186, 54, 85], [252, 255, 164]]
    """
    return _mixed(np.nan_to_num(_floats("heat_colours", values)), HEAT)


def signed_colours(values: Any) -> ndarray:
    """Return numbers with a sign as colours, uint8 (..., 3): blue below 0, white at 0, red above.

    The colours reach as far as the largest |value|.

    >>> signed_colours([-2.0, 0.0, 1.0]).tolist()
    [[5, 48, 97], [247, 247, 247], [214, 96, 77]]
    """
    values = np.nan_to_num(_floats("signed_colours", values))
    largest = abs(values).max(initial=0)
    return _mixed(0.5 + 0.5 * values / (largest or 1), SIGNED)


def _floats(op: str, values: Any) -> ndarray:
    array = np.asarray(values)
    if array.dtype.kind not in "bfiu":
        raise TypeError(f"{op}: colours are of numbers, got {values!r:.80}")
    return array.astype(np.float64)


def _mixed(values: ndarray, colours: ndarray) -> ndarray:
    at = np.linspace(0, 1, len(colours))
    return np.stack([np.interp(values, at, channel) for channel in colours.T], -1).round().astype(np.uint8)


def overlay(image: Any, heat: Any, opacity: float = 0.75) -> ndarray:
    """Return an image in grey under a heat map in colours, uint8 (H, W, 3): a picture for `save_png` or matplotlib.

        pixel = (1 - a) * grey + a * colour of the heat,  a = opacity * heat

    All colour is heat, and where nothing is hot the image can be seen as it is.

    Args:
        image: uint8, (H, W) or (H, W, 3), shown as it is; or floats as a network sees them, (H, W), (1, H, W) or
            (3, H, W), shown with their smallest number as 0 and their largest as 255.
        heat: a map (h, w) of numbers from 0 to 1; one of another size than the image is resized (bilinear).
        opacity: of the heat map where it is hottest, 0 to 1.

    Raises:
        ValueError: a shape does not fit.

    >>> image = np.full((4, 6), 100, np.uint8)
    >>> overlay(image, [[0.0, 1.0]], opacity=0.5).shape
    (4, 6, 3)
    """
    picture, heat = rgb(image), np.nan_to_num(_floats("overlay", heat))
    if heat.ndim != 2 or not heat.size:
        raise ValueError(f"overlay: heat must be one map (h, w), got shape {heat.shape}; of a batch take one: heat[0]")
    if not 0 <= number("overlay", "opacity", opacity) <= 1:
        raise ValueError(f"overlay: opacity must lie between 0 and 1, got {opacity}")
    if heat.shape != picture.shape[:2]:
        heat = F.interpolate(heat[None, None], picture.shape[:2], mode="bilinear")[0, 0]
    grey, cover = (picture @ BRIGHTNESS)[..., None], opacity * heat.clip(0, 1)[..., None]
    return ((1 - cover) * grey + cover * heat_colours(heat)).round().astype(np.uint8)


def rgb(image: Any) -> ndarray:
    """Return an image as uint8 (H, W, 3); what it may be is told by `overlay`.

    >>> rgb(np.array([[[-1.0, 1.0]]])).tolist()
    [[[0, 0, 0], [255, 255, 255]]]
    """
    image = np.asarray(getattr(image, "detach", lambda: image)())
    if image.dtype.kind == "f":
        if image.ndim == 3 and image.shape[0] in (1, 3):
            image = image.transpose(1, 2, 0)  # (C, H, W) -> (H, W, C)
        image = to_bytes(image[None])[0]
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or image.shape[2:] not in ((), (1,), (3,)) or not image.size:
        raise ValueError(
            "overlay: image must be uint8 (H, W) or (H, W, 3), or floats (H, W), (1, H, W) or (3, H, W), got "
            f"{image.dtype} of shape {image.shape}"
        )
    return np.broadcast_to(image.reshape(*image.shape[:2], -1), (*image.shape[:2], 3))
