"""Many small images side by side in one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_cnn.kernels.geometry import whole

PAPER = 255  # between the images


def to_bytes(images: Any, joint: bool = False) -> np.ndarray:
    """Return numbers as brightness: the least is 0, black, and the greatest 255, white.

        255 * (x - min) / (max - min)

    Args:
        images: (N, H, W), or (N, H, W, 3) where the last axis holds colours.
        joint: take the least and the greatest of all images, so that one can be compared with another. Else each image
            has its own, so that what is faint can be seen too.

    Returns:
        uint8 of the same shape. An even image is black. What is not finite does not count: NaN becomes black.

    >>> x = np.array([[[0.0, 1.0]], [[0.0, 0.2]]])
    >>> to_bytes(x).ravel().tolist(), to_bytes(x, joint=True).ravel().tolist()
    ([0, 255, 0, 255], [0, 255, 0, 51])
    """
    x = np.asarray(images, np.float64)
    least, greatest = limits(x, joint)
    span = np.where(greatest > least, greatest - least, 1)
    shape = (-1, *(1,) * (x.ndim - 1))
    with np.errstate(invalid="ignore"):
        share = (x - least.reshape(shape)) / span.reshape(shape)
    return np.rint(255 * np.clip(np.nan_to_num(share, nan=0.0), 0, 1)).astype(np.uint8)


def limits(images: np.ndarray, joint: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Return the least and the greatest finite number of each image (N, ...), or those of all of them N times.

    >>> limits(np.array([[[0.0, 1.0]], [[np.nan, 0.5]]]))
    (array([0. , 0.5]), array([1. , 0.5]))
    """
    x = images.reshape(len(images), math.prod(images.shape[1:]))
    finite = np.isfinite(x)
    least = np.where(finite, x, np.inf).min(1, initial=np.inf)
    greatest = np.where(finite, x, -np.inf).max(1, initial=-np.inf)
    if joint and len(x):
        least[:], greatest[:] = least.min(), greatest.max()
    known = np.isfinite(least)  # else no number is finite
    return np.where(known, least, 0), np.where(known, greatest, 0)


def image_grid(images: np.ndarray, columns: int | None = None, scale: int = 1, gap: int = 1) -> np.ndarray:
    """Put images into one, row by row.

    Args:
        images: (N, H, W) or (N, H, W, 3), uint8.
        columns: how many stand in a row; None chooses (`columns_for`).
        scale: how many pixels wide and high each number becomes.
        gap: white pixels between two images, after scaling.

    Returns:
        uint8 (rows, columns) or (rows, columns, 3).

    >>> image_grid(np.zeros((3, 2, 2), np.uint8), columns=2).shape
    (5, 5)
    """
    op, images = "image_grid", np.asarray(images)
    if images.ndim not in (3, 4) or not images.size:
        raise ValueError(f"{op}: expected at least one image, (N, H, W) or (N, H, W, 3), got shape {images.shape}")
    columns = columns_for(len(images)) if columns is None else whole(op, "columns", columns, 1)
    scale, gap = whole(op, "scale", scale, 1), whole(op, "gap", gap, 0)
    enlarged = images.repeat(scale, 1).repeat(scale, 2)
    height, width, *colours = enlarged.shape[1:]
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    cells = np.full((rows * columns, height + gap, width + gap, *colours), PAPER, np.uint8)
    cells[: len(images), :height, :width] = enlarged
    grid = np.moveaxis(cells.reshape(rows, columns, *cells.shape[1:]), 2, 1)  # row, line, column, place
    paper = grid.reshape(rows * (height + gap), columns * (width + gap), *colours)
    return np.ascontiguousarray(paper[: len(paper) - gap, : paper.shape[1] - gap])


def columns_for(count: int) -> int:
    """Return how many images stand in a row: up to 8 small sets in one, large ones in a broad block.

    >>> [columns_for(n) for n in (6, 16, 32, 120)]
    [6, 8, 8, 16]
    """
    return min(count, 8) if count <= 64 else 16
