"""Pictures as PNG files from arrays alone: nothing but the standard library is needed."""

from __future__ import annotations

import os
import struct
import zlib
from typing import Any

import numpy as np

from tinygrad_cnn.files import atomic_write

_KINDS = {1: 0, 3: 2, 4: 6}  # channels -> what the format calls them: grey, RGB, RGBA


def png_bytes(image: Any) -> bytes:
    r"""Return an image as the bytes of a PNG file; the same image always gives the same bytes.

    Every row is told as its difference from the row above (filter 2), which packs smooth pictures well.

    Args:
        image: uint8, grey (H, W), or (H, W, 3) of red, green and blue, or (H, W, 4) with opacity.

    Raises:
        TypeError: it is not of uint8.
        ValueError: it has another shape, or no pixels.

    Source: PNG Specification, third edition, https://www.w3.org/TR/png-3/.

    >>> png_bytes(np.zeros((2, 3), np.uint8))[:8]
    b'\x89PNG\r\n\x1a\n'
    """
    image = np.asarray(image)
    if image.dtype != np.uint8:
        raise TypeError(f"png_bytes: image must be of uint8 (0 to 255), got {image.dtype}")
    if not image.size or image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (3, 4)):
        raise ValueError(f"png_bytes: image must be (H, W), (H, W, 3) or (H, W, 4), got shape {image.shape}")
    height, width, channels = (*image.shape, 1)[:3]
    rows = image.reshape(height, width * channels)
    above = np.concatenate([np.zeros_like(rows[:1]), rows[:-1]])
    filtered = np.concatenate([np.full((height, 1), 2, np.uint8), rows - above], axis=1)  # modulo 256
    header = struct.pack(">IIBBBBB", width, height, 8, _KINDS[channels], 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(filtered.tobytes(), 9)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks)


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def save_png(image: Any, path: str | os.PathLike[str]) -> None:
    """Write an image as a PNG file, atomically; arguments and errors are those of `png_bytes`.

    >>> import tempfile
    >>> save_png(np.zeros((2, 3), np.uint8), tempfile.mkdtemp() + "/black.png")
    """
    content = png_bytes(image)
    with atomic_write(path) as file:
        file.write(content)
