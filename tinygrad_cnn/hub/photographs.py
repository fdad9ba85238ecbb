"""Photographs to try a network on."""

from __future__ import annotations

import io

import numpy as np

from tinygrad_cnn.hub.imagenet import read_photograph
from tinygrad_cnn.hub.packaged import PackagedFile

PHOTOGRAPHS = {
    name: PackagedFile("scikit-image==0.26.0", f"skimage/data/{name}.png", sha256)
    for name, sha256 in {
        "astronaut": "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
        "chelsea": "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb",
        "coffee": "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7",
    }.items()
}


def photograph(name: str) -> np.ndarray:
    """Return one of scikit-image's photographs as (H, W, 3), uint8.

    They come from the package ``scikit-image``, downloaded once by pip (14 MB); only the picture is kept.

    Args:
        name: "astronaut", "chelsea" (a cat) or "coffee".

    Raises:
        ValueError: there is no photograph of this name.
        OSError: it is not in the cache and cannot be downloaded.
        ImportError: Pillow is not installed (``pip install tinygrad-cnn[vision]``).

    >>> photograph("coffee").shape  # doctest: +SKIP
    (400, 600, 3)
    """
    if name not in PHOTOGRAPHS:
        raise ValueError(f"photograph: the name must be one of {sorted(PHOTOGRAPHS)}, got {name!r}")
    return read_photograph(io.BytesIO(PHOTOGRAPHS[name].read()))
