"""Images of another size, one pixel at a time."""

from __future__ import annotations

import math

import numpy as np

from tinygrad_cnn.reference.precision import in_float64


@in_float64
def resize(
    x: np.ndarray, rows: np.ndarray, row_weights: np.ndarray, columns: np.ndarray, column_weights: np.ndarray
) -> np.ndarray:
    """Multiply every plane by two sparse matrices: y = A x B'.

        y[n, i, j] = sum over k and l of row_weights[k, i] * column_weights[l, j] * x[n, rows[k, i], columns[l, j]]

    Args:
        x: (N, H, W).
        rows: (K, OH), indices from 0 to H - 1, or -1 for no tap.
        row_weights: (K, OH).
        columns: (L, OW), indices from 0 to W - 1, or -1 for no tap.
        column_weights: (L, OW).

    Returns:
        y (N, OH, OW).

    >>> resize(np.array([[[1.0, 5.0]]]), np.zeros((1, 1), int), np.ones((1, 1)), np.array([[0], [1]]), np.ones((2, 1)))
    array([[[6.]]])
    """
    (K, OH), (L, OW) = rows.shape, columns.shape
    y = np.zeros((len(x), OH, OW))
    for i, j, k, l in np.ndindex(OH, OW, K, L):
        if rows[k, i] >= 0 and columns[l, j] >= 0:
            y[:, i, j] += row_weights[k, i] * column_weights[l, j] * x[:, rows[k, i], columns[l, j]]
    return y


@in_float64
def interpolate(x: np.ndarray, size: tuple[int, int], mode: str, align_corners: bool = False) -> np.ndarray:
    """Read images at the centres of new pixels: (N, C, H, W) -> (N, C, OH, OW).

    The centre of pixel o is (o + 1/2) * in / out - 1/2, or o * (in - 1) / (out - 1) with align_corners. A pixel of the
    image contributes by its distances from the centre: 1 - d up to d = 1 ('bilinear'), a cubic up to d = 2 ('bicubic').
    Beyond the edge the edge is repeated. 'nearest' takes the pixel floor(o * in / out), 'nearest-exact' the one at the
    centre.

    >>> interpolate(np.array([[[[0.0, 4.0]]]]), (1, 4), "bilinear")
    array([[[[0., 1., 3., 4.]]]])
    """
    y = np.zeros((*x.shape[:2], *size))
    H, W = x.shape[2:]
    for i, j in np.ndindex(size):
        for p, row_weight in _taps(i, H, size[0], mode, align_corners):
            for q, weight in _taps(j, W, size[1], mode, align_corners):
                y[:, :, i, j] += row_weight * weight * x[:, :, min(max(p, 0), H - 1), min(max(q, 0), W - 1)]
    return y


def _taps(o: int, n: int, out: int, mode: str, align_corners: bool) -> list[tuple[int, float]]:
    if mode == "nearest":
        return [(o * n // out, 1.0)]
    if mode == "nearest-exact":
        return [((2 * o + 1) * n // (2 * out), 1.0)]
    centre = (o + 0.5) * n / out - 0.5
    if align_corners:
        centre = o * (n - 1) / (out - 1) if out > 1 else 0.0
    weight = _linear if mode == "bilinear" else _cubic
    return [(p, weight(abs(centre - p))) for p in range(math.floor(centre) - 1, math.floor(centre) + 3)]


def _linear(d: float) -> float:
    return max(1 - d, 0.0)


def _cubic(d: float) -> float:
    a = -0.75
    if d <= 1:
        return (a + 2) * d**3 - (a + 3) * d**2 + 1
    return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a if d < 2 else 0.0
