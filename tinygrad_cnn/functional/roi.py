"""Regions of interest: boxes of feature maps become grids of one size, as in torchvision.ops."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy import ndarray

from tinygrad_cnn.autograd import Function, Variable
from tinygrad_cnn.functional.linalg import same_float
from tinygrad_cnn.functional.shape import Shape, shape_of
from tinygrad_cnn.kernels import pool_bins as kernel
from tinygrad_cnn.kernels.geometry import Pair, check_elements, pair
from tinygrad_cnn.state import place

# Boxes may reach beyond the map, but coordinates stay whole numbers in float32, and points few.
FARTHEST = 2**16


class RoIPool(Function):
    """The maximum of each bin of each box; ``index`` remembers its place."""

    keeps = ("index",)

    def __init__(self, image: ndarray, rows: ndarray, columns: ndarray) -> None:
        self.tables = image, rows, columns

    def forward(self, x: ndarray) -> ndarray:
        self.x_shape = x.shape
        y, self.index = kernel.max_bins(x, *self.tables)
        return y

    def grad_x(self, gy: Any) -> Any:
        return RoIScatter(self.index, self.tables[0], self.x_shape).apply(gy)


class RoIScatter(Function):
    """Zeros of ``x_shape`` with each gy added at its index in its image."""

    keeps = ("index",)

    def __init__(self, index: ndarray, image: ndarray, x_shape: Shape) -> None:
        self.index, self.image, self.x_shape = index, image, x_shape

    def forward(self, gy: ndarray) -> ndarray:
        return kernel.max_bins_grad(gy, self.index, self.image, self.x_shape)

    def grad_gy(self, ggx: Any) -> Any:
        return RoIGather(self.index, self.image).apply(ggx)


class RoIGather(Function):
    """The pixel at each index, 0 for an empty bin."""

    keeps = ("index",)

    def __init__(self, index: ndarray, image: ndarray) -> None:
        self.index, self.image = index, image

    def forward(self, ggx: ndarray) -> ndarray:
        self.x_shape = ggx.shape
        return kernel.max_bins_gather(ggx, self.index, self.image)

    def grad_ggx(self, gy: Any) -> Any:
        return RoIScatter(self.index, self.image, self.x_shape).apply(gy)


class Points(NamedTuple):
    """Which pixels every bin of every box reads, and their weights; see `kernels.pool_bins.point_bins`."""

    image: ndarray
    rows: ndarray
    columns: ndarray
    down: ndarray
    across: ndarray


class RoIAlign(Function):
    """The mean of points in each bin of each box, between four pixels each: linear in x."""

    keeps = ("points",)

    def __init__(self, points: Points) -> None:
        self.points = points

    def forward(self, x: ndarray) -> ndarray:
        self.x_shape = x.shape
        return kernel.point_bins(x, *self.points)

    def grad_x(self, gy: Any) -> Any:
        return RoIAlignGrad(self.points, self.x_shape).apply(gy)


class RoIAlignGrad(Function):
    """Each gy shared among the pixels that its bin read."""

    keeps = ("points",)

    def __init__(self, points: Points, x_shape: Shape) -> None:
        self.points, self.x_shape = points, x_shape

    def forward(self, gy: ndarray) -> ndarray:
        return kernel.point_bins_grad(gy, *self.points, self.x_shape)

    def grad_gy(self, ggx: Any) -> Any:
        return RoIAlign(self.points).apply(ggx)


def roi_pool(input: Any, boxes: Any, output_size: Any, spatial_scale: float = 1.0) -> Any:
    """Return the maxima of PH x PW bins of each box: Fast R-CNN's pooling.

    Corners are rounded to pixels, half away from zero, both ends included: a box is round(x2) - round(x1) + 1 pixels
    wide, at least one. Bin i of n covers floor(i*width/n) up to ceil((i + 1)*width/n), clipped to the map; neighbours
    may overlap, and an empty bin gives 0. The boxes receive no gradient.

    Source: Girshick (2015), "Fast R-CNN", https://arxiv.org/abs/1504.08083; as in torchvision.ops.

    Args:
        input: (N, C, H, W); float32 or float64.
        boxes: (K, 5) rows (index of the image, x1, y1, x2, y2), or for each image of the batch (L, 4) boxes.
        output_size: (PH, PW), or one int for both.
        spatial_scale: from the boxes' coordinates to pixels of the input: 1/16 for a map 16 times smaller.

    Returns:
        (K, C, PH, PW).

    Raises:
        ValueError: shapes that do not fit, or corners that are not finite.
        IndexError: the index of an image that is not in the batch.

    >>> import numpy as np
    >>> x = np.arange(16.0).reshape(1, 1, 4, 4)
    >>> roi_pool(x, np.array([[0.0, 1.0, 0.0, 3.0, 3.0]]), (2, 1))
    array([[[[ 7.],
             [15.]]]])
    """
    out, image, corners = _boxes("roi_pool", input, boxes, output_size, spatial_scale)
    nearest = np.copysign(np.floor(np.abs(corners) + corners.dtype.type(0.5)), corners).astype(np.int64)
    columns = _bins(nearest[:, 0], nearest[:, 2], out[1], input.shape[3], corners.dtype)
    rows = _bins(nearest[:, 1], nearest[:, 3], out[0], input.shape[2], corners.dtype)
    return RoIPool(image, rows, columns).apply(input)


def _bins(first: ndarray, last: ndarray, out: int, length: int, dtype: np.dtype) -> ndarray:
    """Return (K, out, 2): where each bin begins and ends, in the dtype's arithmetic as torchvision does."""
    size = (np.maximum(last - first + 1, 1).astype(dtype) / dtype.type(out))[:, None]
    i = np.arange(out + 1).astype(dtype)
    begin, end = np.floor(i[:-1] * size), np.ceil(i[1:] * size)
    return np.clip(np.stack([begin, end], 2).astype(np.int64) + first[:, None, None], 0, length)


def roi_align(
    input: Any,
    boxes: Any,
    output_size: Any,
    spatial_scale: float = 1.0,
    sampling_ratio: int = -1,
    aligned: bool = False,
) -> Any:
    """Return the means of points in PH x PW bins of each box: Mask R-CNN's pooling, without rounding.

    Each bin is the mean of r x r points on a regular grid in it, interpolated bilinearly. A point more than one pixel
    outside of the map counts as 0. The boxes receive no gradient.

    Source: He et al. (2017), "Mask R-CNN", https://arxiv.org/abs/1703.06870; as in torchvision.ops.

    Args:
        input: (N, C, H, W); float32 or float64.
        boxes: as in `roi_pool`.
        output_size: (PH, PW), or one int for both.
        spatial_scale: from the boxes' coordinates to pixels of the input.
        sampling_ratio: r; where it is not positive, ceil(size of the bin) of each box.
        aligned: shift the boxes by -0.5, so that pixel i is at i + 0.5; else they are at least one pixel large.

    Returns:
        (K, C, PH, PW).

    >>> import numpy as np
    >>> x = np.arange(16.0).reshape(1, 1, 4, 4)
    >>> roi_align(x, np.array([[0.0, 0.0, 0.0, 2.0, 2.0]]), 1, sampling_ratio=1)
    array([[[[5.]]]])
    """
    op = "roi_align"
    out, image, corners = _boxes(op, input, boxes, output_size, spatial_scale)
    if not isinstance(sampling_ratio, (int, np.integer)) or isinstance(sampling_ratio, bool):
        raise TypeError(f"{place(op)}: sampling_ratio must be an int, got {sampling_ratio!r}")
    start = corners[:, :2] - corners.dtype.type(0.5 if aligned else 0)
    size = corners[:, 2:] - corners.dtype.type(0.5 if aligned else 0) - start
    if not aligned:
        size = np.maximum(size, 1)
    axes = [(0, out[1], input.shape[3]), (1, out[0], input.shape[2])]
    (columns, across), (rows, down) = (
        _points(op, start[:, i], size[:, i], n, length, int(sampling_ratio)) for i, n, length in axes
    )
    return RoIAlign(Points(image, rows, columns, down, across)).apply(input)


def _points(op: str, start: ndarray, size: ndarray, out: int, length: int, ratio: int) -> tuple[ndarray, ndarray]:
    """Return for each bin along one axis the pixels that its points lie between, and their weights: (K, out, 2*r)."""
    dtype = start.dtype
    step = size / dtype.type(out)
    count = np.full(len(start), ratio) if ratio > 0 else np.ceil(step).astype(np.int64)
    most = int(count.max(initial=1))
    check_elements(op, (len(start), out, out, most, most))
    i, point = np.arange(out)[:, None], np.arange(most)
    each = np.maximum(count, 1)[:, None, None]
    at = start[:, None, None] + i.astype(dtype) * step[:, None, None]
    at = at + (point + 0.5).astype(dtype) * step[:, None, None] / each.astype(dtype)
    counted = (point < count[:, None, None]) & (at >= -1) & (at <= length)
    at = np.clip(at, 0, length - 1)
    low = np.floor(at).astype(np.int64)
    after = at - low
    pixels = np.concatenate([low, np.minimum(low + 1, length - 1)], 2)
    weights = np.concatenate([1 - after, after], 2) * np.concatenate([counted, counted], 2) / each
    return pixels, weights.astype(dtype)


def _boxes(op: str, input: Any, boxes: Any, output_size: Any, spatial_scale: Any) -> tuple[Pair, ndarray, ndarray]:
    """Return (PH, PW), the index of each box's image and its corners (K, 4) in pixels, in the dtype of the input."""
    same_float(op, input=input)
    numeric = isinstance(spatial_scale, (int, float, np.number)) and not isinstance(spatial_scale, bool)
    if not numeric or not 0 < spatial_scale < np.inf:
        raise ValueError(f"{place(op)}: spatial_scale must be a positive number, such as 1 / 16, got {spatial_scale!r}")
    shape = shape_of(input)
    if len(shape) != 4 or 0 in shape[2:]:
        raise ValueError(f"{place(op)}: input must be (N, C, H, W) with at least one pixel, got shape {shape}")
    out = pair(op, "output_size", output_size)
    if isinstance(boxes, (list, tuple)):
        parts = [_array(part).reshape(-1, 4) if not np.size(_array(part)) else _array(part) for part in boxes]
        wrong = [part.shape for part in parts if part.ndim != 2 or part.shape[1] != 4]
        if len(parts) != shape[0] or wrong:
            raise ValueError(
                f"{place(op)}: a list of boxes must hold one array (L, 4) for each of the {shape[0]} images, got "
                f"{len(parts)} of shapes {[part.shape for part in parts]}"
            )
        image = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        corners = np.concatenate(parts)
    else:
        table = _array(boxes)
        if table.ndim != 2 or table.shape[1] != 5:
            raise ValueError(
                f"{place(op)}: boxes must be (K, 5) rows (image, x1, y1, x2, y2) or a list of (L, 4), got shape "
                f"{table.shape}"
            )
        image, corners = table[:, 0], table[:, 1:]
    for n in image[~((image >= 0) & (image < shape[0]) & (image == np.floor(image)))]:
        raise IndexError(f"{place(op)}: a box lies in image {n}, the batch has images 0 to {shape[0] - 1}")
    if not np.isfinite(corners).all():
        raise ValueError(f"{place(op)}: the corners of boxes must be finite numbers")
    if np.abs(corners).max(initial=0) * spatial_scale > FARTHEST:
        raise ValueError(
            f"{place(op)}: a corner lies at {np.abs(corners).max():g} * spatial_scale {spatial_scale:g} pixels, beyond "
            f"the limit of {FARTHEST:,}; the map has {shape[2]} x {shape[3]}"
        )
    check_elements(op, (len(image), shape[1], *out))
    return out, image.astype(np.int64), corners.astype(input.dtype) * input.dtype.type(spatial_scale)


def _array(x: Any) -> ndarray:
    return x._data if isinstance(x, Variable) else np.asarray(x)
