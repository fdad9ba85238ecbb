"""Images read at any points, one pixel at a time."""

from __future__ import annotations

import math

import numpy as np

from tinygrad_cnn.reference.precision import in_float64


@in_float64
def sample(x: np.ndarray, index: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Sum chosen pixels: x (N, C, S), index and weight (N, K, P) -> y (N, C, P); an index of -1 reads a 0.

        y[n, c, p] = sum over k of weight[n, k, p] * x[n, c, index[n, k, p]]

    >>> sample(np.array([[[10.0, 20.0]]]), np.array([[[1]]]), np.array([[[0.5]]]))
    array([[[10.]]])
    """
    y = np.zeros((*x.shape[:2], index.shape[2]))
    for n, k, p in np.ndindex(index.shape):
        y[n, :, p] += weight[n, k, p] * (x[n, :, index[n, k, p]] if index[n, k, p] >= 0 else 0)
    return y


@in_float64
def sample_input_grad(gy: np.ndarray, index: np.ndarray, weight: np.ndarray, size: int) -> np.ndarray:
    """Add each gradient where its pixel was read: gy (N, C, P) -> gx (N, C, size).

    >>> sample_input_grad(np.array([[[1.0]]]), np.array([[[1]]]), np.array([[[0.5]]]), 2)
    array([[[0. , 0.5]]])
    """
    gx = np.zeros((*gy.shape[:2], size))
    for n, k, p in np.ndindex(index.shape):
        if index[n, k, p] >= 0:
            gx[n, :, index[n, k, p]] += weight[n, k, p] * gy[n, :, p]
    return gx


@in_float64
def sample_weight_grad(gy: np.ndarray, x: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Multiply gradients with the pixels read and sum over the channels: (N, K, P).

    >>> sample_weight_grad(np.array([[[2.0]]]), np.array([[[10.0, 20.0]]]), np.array([[[1]]]))
    array([[[40.]]])
    """
    gw = np.zeros(index.shape)
    for n, k, p in np.ndindex(index.shape):
        if index[n, k, p] >= 0:
            gw[n, k, p] = (gy[n, :, p] * x[n, :, index[n, k, p]]).sum()
    return gw


@in_float64
def grid_sample(x: np.ndarray, grid: np.ndarray, mode: str, padding_mode: str, align_corners: bool) -> np.ndarray:
    """Read images (N, C, H, W) at the points (x, y) of a grid (N, OH, OW, 2): (N, C, OH, OW).

    -1 and 1 are the outer edges of the image, or the centres of its outer pixels with align_corners. A pixel
    contributes (1 - dx) * (1 - dy) by its distances, in 'nearest' the one nearest to the point contributes alone.
    Points outside are moved to the 'border', or find 'zeros' there. A NaN gives NaN.

    >>> grid_sample(np.array([[[[1.0, 2.0], [3.0, 6.0]]]]), np.zeros((1, 1, 1, 2)), "bilinear", "zeros", False)
    array([[[[3.]]]])
    """
    N, C, H, W = x.shape
    y = np.zeros((N, C, *grid.shape[1:3]))
    for n, i, j in np.ndindex(grid.shape[:3]):
        point = []
        for v, size in zip(grid[n, i, j], (W, H), strict=True):
            v = (v + 1) / 2 * (size - 1) if align_corners else ((v + 1) * size - 1) / 2
            point.append(min(max(v, 0.0), size - 1.0) if padding_mode == "border" and v == v else v)
        if not np.isfinite(point).all():
            y[n, :, i, j] = np.nan if np.isnan(point).any() else 0
            continue
        column, row = map(round, point) if mode == "nearest" else map(math.floor, point)
        for p in (row, row + 1):
            for q in (column, column + 1):
                weight = max(1 - abs(point[0] - q), 0) * max(1 - abs(point[1] - p), 0)
                if mode == "nearest":
                    weight = float((p, q) == (row, column))
                if 0 <= p < H and 0 <= q < W:
                    y[n, :, i, j] += weight * x[n, :, p, q]
    return y
