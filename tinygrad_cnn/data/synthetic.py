"""Synthetic digits: pictures of the ten digits drawn from strokes, no file and no network needed.

Each digit is a few line segments; an image moves, turns, slants and scales them, draws them with a pen of random width,
and adds noise. Networks learn them within seconds, which is what tests and first steps want. They are not MNIST.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from tinygrad_cnn.data.dataset import ArrayDataset
from tinygrad_cnn.kernels.geometry import whole

_SIZE = 28  # pixels
_CHUNK = 512  # images drawn at a time: their distance maps stay in the processor's cache

Point = tuple[float, float]


def _arc(x: float, y: float, rx: float, ry: float, start: float, stop: float) -> list[Point]:
    """Return points on an ellipse around (x, y), from angle ``start`` to ``stop``; degrees, 0 right, 90 down."""
    angles = np.radians(np.linspace(start, stop, 2 + round(abs(stop - start) / 40)))
    return [(x + rx * float(np.cos(a)), y + ry * float(np.sin(a))) for a in angles]


# The strokes of each digit in a box of -1 to 1 in x (right) and y (down).
_STROKES: list[list[list[Point]]] = [
    [_arc(0, 0, 0.6, 0.95, 0, 360)],
    [[(-0.35, -0.6), (0.1, -0.95), (0.1, 0.95)]],
    [[*_arc(0, -0.45, 0.55, 0.5, 190, 390), (-0.6, 0.95), (0.65, 0.95)]],
    [_arc(0, -0.48, 0.5, 0.47, 200, 450), _arc(0, 0.45, 0.58, 0.5, 270, 520)],
    [[(0.3, 0.95), (0.3, -0.95), (-0.6, 0.35), (0.65, 0.35)]],
    [[(0.55, -0.95), (-0.4, -0.95), (-0.48, -0.1), *_arc(0, 0.35, 0.58, 0.6, 230, 510)]],
    [[(0.4, -0.95), (-0.25, -0.4), *_arc(0, 0.4, 0.55, 0.55, 200, 560)]],
    [[(-0.6, -0.95), (0.6, -0.95), (-0.15, 0.95)]],
    [_arc(0, -0.47, 0.45, 0.46, 90, 450), _arc(0, 0.47, 0.55, 0.48, -90, 270)],
    [[*_arc(0, -0.4, 0.5, 0.53, 20, 380), (0.3, 0.95)]],
]
_SEGMENTS = [
    np.array([pair for stroke in digit for pair in pairwise(stroke)]) for digit in _STROKES
]  # per digit (segments, 2 ends, 2 coordinates)


def synthetic_digits(count: int, seed: int = 0) -> ArrayDataset:
    """Draw ``count`` digits, 28 x 28, as many of each class as of any other (plus or minus one).

    Args:
        count: How many.
        seed: Images of different seeds are independent: one for training, another for testing.

    Returns:
        The images (uint8 until a batch is taken, then normalised) with int64 labels 0 to 9, called "synthetic digits".

    Raises:
        ValueError: A negative ``count``.

    >>> digits = synthetic_digits(100)
    >>> digits
    synthetic digits: 100 images of 1 x 28 x 28, 10 classes
    >>> np.bincount(digits.labels)
    array([10, 10, 10, 10, 10, 10, 10, 10, 10, 10])
    """
    count = whole("synthetic_digits", "count", count, 0)
    generator = np.random.default_rng(seed)
    labels = generator.permutation(np.arange(count) % 10)
    images = np.empty((count, _SIZE, _SIZE), np.uint8)
    for digit, segments in enumerate(_SEGMENTS):
        chosen = np.flatnonzero(labels == digit)
        for start in range(0, len(chosen), _CHUNK):
            part = chosen[start : start + _CHUNK]
            images[part] = _draw(segments, len(part), generator)
    return ArrayDataset(images, labels, name="synthetic digits", classes=tuple("0123456789"), mean=0.116, std=0.245)


def _draw(segments: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    """Draw ``count`` variants of one digit: (count, H, W) uint8."""
    ends = _vary(segments, count, generator)
    grid = np.arange(_SIZE, dtype=np.float32)
    px, py = grid[None, None, :], grid[None, :, None]  # (1, 1, W), (1, H, 1)
    nearest = np.full((count, _SIZE, _SIZE), np.inf, np.float32)  # squared distance to the digit
    for (ax, ay), (bx, by) in ends.transpose(1, 2, 3, 0)[..., None, None]:  # each coordinate (count, 1, 1)
        ux, uy = bx - ax, by - ay
        along = np.clip(((px - ax) * ux + (py - ay) * uy) / (ux * ux + uy * uy), 0, 1)  # where on the segment
        np.minimum(nearest, (ax + along * ux - px) ** 2 + (ay + along * uy - py) ** 2, out=nearest)
    pen = generator.uniform(0.7, 1.6, (count, 1, 1)).astype(np.float32)  # half the stroke's width in pixels
    ink = np.clip(pen + 0.5 - np.sqrt(nearest), 0, 1)  # an edge one pixel soft
    ink *= generator.uniform(0.75, 1, (count, 1, 1)).astype(np.float32)
    ink += 0.06 * generator.standard_normal(ink.shape, np.float32)
    return np.rint(255 * np.clip(ink, 0, 1)).astype(np.uint8)


def _vary(segments: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    """Move a digit's ends at random: (segments, 2, 2) -> (count, segments, 2, 2) float32, in pixels."""
    angle = generator.uniform(-0.26, 0.26, count)  # 15 degrees either way
    slant = generator.uniform(-0.25, 0.25, count)
    width, height = generator.uniform(6.5, 10, (2, count))  # half of them, in pixels
    cos, sin = np.cos(angle), np.sin(angle)
    # rotation @ slant @ scale, one 2 x 2 matrix per image
    matrix = np.array([[cos * width, (cos * slant - sin) * height], [sin * width, (sin * slant + cos) * height]])
    centre = (_SIZE - 1) / 2 + generator.uniform(-2, 2, (count, 1, 1, 2))
    wobble = generator.normal(0, 0.03, (count, *segments.shape))
    return (np.einsum("xyn,nsey->nsex", matrix, segments + wobble) + centre).astype(np.float32)
