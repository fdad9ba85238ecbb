"""Pooling of boxes, as torchvision defines it, and the table-driven sums and maxima that compute it."""

from __future__ import annotations

from math import ceil, floor

import numpy as np

from tinygrad_cnn.reference.precision import in_float64

Pair = tuple[int, int]
Shape = tuple[int, ...]


@in_float64
def max_bins(x: np.ndarray, image: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Take the largest pixel of each bin of each region; an empty bin gives 0 and the index -1.

    Args:
        x: (N, C, H, W).
        image: (K,): the image of each region.
        rows: (K, PH, 2): where bins begin and end; columns (K, PW, 2) alike.
        columns: the same for the columns.

    >>> span = np.array([[[0, 2], [1, 3]]])
    >>> max_bins(np.array([[[[1.0, 5.0, 2.0]]]]), np.array([0]), np.array([[[0, 1]]]), span)
    (array([[[[5., 5.]]]]), array([[[[1, 1]]]]))
    """
    y = np.zeros((len(image), x.shape[1], rows.shape[1], columns.shape[1]))
    index = np.full(y.shape, -1)
    for k, c, i, j in np.ndindex(y.shape):
        for h in range(*rows[k, i]):
            for w in range(*columns[k, j]):
                pixel = x[image[k], c, h, w]
                if index[k, c, i, j] < 0 or pixel > y[k, c, i, j] or np.isnan(pixel):
                    y[k, c, i, j], index[k, c, i, j] = pixel, h * x.shape[3] + w
    return y, index


@in_float64
def max_bins_grad(gy: np.ndarray, index: np.ndarray, image: np.ndarray, x_shape: Shape) -> np.ndarray:
    """Give each gy to the pixel that was the maximum.

    >>> max_bins_grad(np.array([[[[2.0, 3.0]]]]), np.array([[[[1, 1]]]]), np.array([0]), (1, 1, 1, 2))
    array([[[[0., 5.]]]])
    """
    gx = np.zeros(x_shape)
    for k, c, i, j in np.ndindex(gy.shape):
        if index[k, c, i, j] >= 0:
            gx[image[k], c].reshape(-1)[index[k, c, i, j]] += gy[k, c, i, j]
    return gx


@in_float64
def point_bins(
    x: np.ndarray, image: np.ndarray, rows: np.ndarray, columns: np.ndarray, down: np.ndarray, across: np.ndarray
) -> np.ndarray:
    """Sum weighted pixels: y[k, c, i, j] = down[k, i] @ x[image[k], c][rows[k, i], columns[k, j]] @ across[k, j].

    >>> rows, half = np.array([[[0]]]), np.array([[[0.5, 0.5]]])
    >>> point_bins(np.array([[[[1.0, 5.0]]]]), np.array([0]), rows, np.array([[[0, 1]]]), np.ones((1, 1, 1)), half)
    array([[[[3.]]]])
    """
    y = np.zeros((len(image), x.shape[1], rows.shape[1], columns.shape[1]))
    for k, c, i, j in np.ndindex(y.shape):
        y[k, c, i, j] = down[k, i] @ x[image[k], c][np.ix_(rows[k, i], columns[k, j])] @ across[k, j]
    return y


@in_float64
def point_bins_grad(
    gy: np.ndarray,
    image: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    down: np.ndarray,
    across: np.ndarray,
    x_shape: Shape,
) -> np.ndarray:
    """Return the gradient of `point_bins`: each gy, weighted, added to the pixels that its bin reads.

    >>> rows, half = np.array([[[0]]]), np.array([[[0.5, 0.5]]])
    >>> tables = np.array([0]), rows, np.array([[[0, 1]]]), np.ones((1, 1, 1)), half
    >>> point_bins_grad(np.array([[[[4.0]]]]), *tables, (1, 1, 1, 2))
    array([[[[2., 2.]]]])
    """
    gx = np.zeros(x_shape)
    for k, c, i, j in np.ndindex(gy.shape):
        for a, h in enumerate(rows[k, i]):
            for b, w in enumerate(columns[k, j]):
                gx[image[k], c, h, w] += gy[k, c, i, j] * down[k, i, a] * across[k, j, b]
    return gx


@in_float64
def roi_pool(x: np.ndarray, boxes: np.ndarray, out_size: Pair, scale: float) -> np.ndarray:
    """Take the largest pixel of each bin of each box (image, x1, y1, x2, y2), rounded to pixels.

    >>> roi_pool(np.arange(16.0).reshape(1, 1, 4, 4), np.array([[0.0, 1, 0, 3, 3]]), (2, 1), 1.0)
    array([[[[ 7.],
             [15.]]]])
    """
    _, C, H, W = x.shape
    (PH, PW), y = out_size, np.zeros((len(boxes), C, *out_size))
    for k, box in enumerate(boxes):
        x1, y1, x2, y2 = (int(np.copysign(floor(abs(v) + 0.5), v)) for v in box[1:] * scale)  # half away from zero
        height, width = max(y2 - y1 + 1, 1), max(x2 - x1 + 1, 1)
        for i, j in np.ndindex(PH, PW):
            top, bottom = (min(max(y1 + at, 0), H) for at in (floor(i * height / PH), ceil((i + 1) * height / PH)))
            left, right = (min(max(x1 + at, 0), W) for at in (floor(j * width / PW), ceil((j + 1) * width / PW)))
            if top < bottom and left < right:
                y[k, :, i, j] = x[int(box[0]), :, top:bottom, left:right].max((1, 2))
    return y


@in_float64
def roi_align(
    x: np.ndarray, boxes: np.ndarray, out_size: Pair, scale: float, sampling_ratio: int, aligned: bool
) -> np.ndarray:
    """Average points in each bin of each box (image, x1, y1, x2, y2), interpolated between four pixels.

    >>> roi_align(np.arange(16.0).reshape(1, 1, 4, 4), np.array([[0.0, 0, 0, 2, 2]]), (1, 1), 1.0, 1, False)
    array([[[[5.]]]])
    """
    (PH, PW), y = out_size, np.zeros((len(boxes), x.shape[1], *out_size))
    for k, box in enumerate(boxes):
        x1, y1, x2, y2 = box[1:] * scale - (0.5 if aligned else 0)
        height, width = (y2 - y1, x2 - x1) if aligned else (max(y2 - y1, 1), max(x2 - x1, 1))
        rows, columns = (sampling_ratio if sampling_ratio > 0 else max(ceil(n), 0) for n in (height / PH, width / PW))
        for i, j, a, b in np.ndindex(PH, PW, rows, columns):
            h = y1 + (i + (a + 0.5) / rows) * height / PH
            w = x1 + (j + (b + 0.5) / columns) * width / PW
            y[k, :, i, j] += _between(x[int(box[0])], h, w) / (rows * columns)
    return y


def _between(x: np.ndarray, h: float, w: float) -> np.ndarray:
    """Interpolate (C, H, W) at one point: beyond the border like the border, further than a pixel outside 0."""
    _, H, W = x.shape
    if not (-1 <= h <= H and -1 <= w <= W):
        return np.zeros(len(x))
    h, w = min(max(h, 0), H - 1), min(max(w, 0), W - 1)
    top, left = int(h), int(w)
    bottom, right = min(top + 1, H - 1), min(left + 1, W - 1)
    dh, dw = h - top, w - left
    upper = (1 - dw) * x[:, top, left] + dw * x[:, top, right]
    lower = (1 - dw) * x[:, bottom, left] + dw * x[:, bottom, right]
    return (1 - dh) * upper + dh * lower
