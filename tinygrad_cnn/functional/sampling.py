"""Images read at any points between their pixels: the sampler of spatial transformers.

Where a point lies decides on the taps, piecewise constant integers, and on their weights, which are smooth. The weights
are computed with differentiable operations; the sum over taps is linear in the image and in the weights.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_cnn.autograd import Function, Variable
from tinygrad_cnn.functional.elementwise import where
from tinygrad_cnn.functional.joining import stack
from tinygrad_cnn.functional.linalg import same_float
from tinygrad_cnn.functional.shape import reshape
from tinygrad_cnn.kernels import sampling as kernel
from tinygrad_cnn.state import place


class Sample(Function):
    """One face of T(x, w, u) = sum of u[n, c, p] w[n, k, p] x[n, c, index[n, k, p]]; its gradients are the others."""

    def __init__(self, index: ndarray) -> None:
        self.index = index

    def forward(self, x: ndarray, w: ndarray) -> ndarray:
        self.size = x.shape[2]
        return kernel.sample(x, self.index, w)

    def grad_x(self, gy: Any, w: Any) -> Any:
        return SampleInputGrad(self.index, self.size).apply(gy, w)

    def grad_w(self, gy: Any, x: Any) -> Any:
        return SampleWeightGrad(self.index).apply(gy, x)


class SampleInputGrad(Function):
    """Each gradient added where its pixel was read."""

    def __init__(self, index: ndarray, size: int) -> None:
        self.index, self.size = index, size

    def forward(self, gy: ndarray, w: ndarray) -> ndarray:
        return kernel.sample_input_grad(gy, self.index, w, self.size)

    def grad_gy(self, ggx: Any, w: Any) -> Any:
        return Sample(self.index).apply(ggx, w)

    def grad_w(self, ggx: Any, gy: Any) -> Any:
        return SampleWeightGrad(self.index).apply(gy, ggx)


class SampleWeightGrad(Function):
    """Products of gradients with the pixels read, summed over the channels."""

    def __init__(self, index: ndarray) -> None:
        self.index = index

    def forward(self, gy: ndarray, x: ndarray) -> ndarray:
        self.size = x.shape[2]
        return kernel.sample_weight_grad(gy, x, self.index)

    def grad_gy(self, ggw: Any, x: Any) -> Any:
        return Sample(self.index).apply(x, ggw)

    def grad_x(self, ggw: Any, gy: Any) -> Any:
        return SampleInputGrad(self.index, self.size).apply(gy, ggw)


def grid_sample(
    input: Any, grid: Any, mode: str = "bilinear", padding_mode: str = "zeros", align_corners: bool | None = None
) -> Any:
    """Read images at the points of a grid; Jaderberg et al. (2015), https://arxiv.org/abs/1506.02025.

    A point (x, y) of the grid goes from (-1, -1), the upper left corner of the image, to (1, 1), the lower right one.
    Corners are the outer edges of the corner pixels, or their centres with ``align_corners``.

    A NaN in a point gives NaN, and no gradient for the image; an infinity lies outside. (PyTorch's 'bilinear' with
    'zeros' gives NaN for both; elsewhere its NaN is a 0 or the upper left edge of the image.)

    Args:
        input: images (N, C, H, W).
        grid: points (N, OH, OW, 2), x before y, of the dtype of the input.
        mode: 'bilinear' or 'nearest' (half a pixel goes to the even one; no gradient for the grid).
        padding_mode: what lies outside: 'zeros', or 'border', the nearest pixel (no gradient for the grid there).
        align_corners: see above; None means False.

    Returns:
        (N, C, OH, OW).

    >>> import numpy as np
    >>> image, middle = np.array([[[[1.0, 2.0], [3.0, 6.0]]]]), np.zeros((1, 1, 1, 2))
    >>> grid_sample(image, middle)
    array([[[[3.]]]])
    """
    op = "grid_sample"
    same_float(op, input=input, grid=grid)
    if len(input.shape) != 4 or len(grid.shape) != 4 or grid.shape[3] != 2 or grid.shape[0] != input.shape[0]:
        raise ValueError(
            f"{place(op)}: needs images (N, C, H, W) and a grid (N, OH, OW, 2), got {input.shape} and {grid.shape}"
        )
    if mode not in ("bilinear", "nearest") or padding_mode not in ("zeros", "border"):
        raise NotImplementedError(
            f"{place(op)}: mode must be 'bilinear' or 'nearest' and padding_mode 'zeros' or 'border', got {mode!r} and "
            f"{padding_mode!r}"
        )
    N, C, H, W = input.shape
    if not H * W:
        raise ValueError(f"{place(op)}: images of shape {input.shape} have no pixels to read")
    points = reshape(grid, (N, math.prod(grid.shape[1:3]), 2))
    x, y = (_pixels(points[:, :, i], n, bool(align_corners), padding_mode) for i, n in enumerate((W, H)))
    if mode == "nearest":
        a, b = _array(x), _array(y)
        index = _index(_whole(np.rint(a), W), _whole(np.rint(b), H), H, W)[:, None]
        weight = where(np.isnan(a) | np.isnan(b), x + y, 1.0)[:, None]  # on the graph: the grid's gradient is 0
    else:
        left, top = np.floor(_array(x)), np.floor(_array(y))
        right_share, lower_share = x - left, y - top
        corners = [(i, j) for i in (0, 1) for j in (0, 1)]
        column, row = _whole(left, W), _whole(top, H)
        index = np.stack([_index(column + j, row + i, H, W) for i, j in corners], 1)
        shares = (1 - lower_share, lower_share), (1 - right_share, right_share)
        weight = stack([shares[0][i] * shares[1][j] for i, j in corners], 1)
    sampled = Sample(index).apply(reshape(input, (N, C, H * W)), weight)
    return reshape(sampled, (N, C, *grid.shape[1:3]))


def _array(v: Any) -> ndarray:
    return v._data if isinstance(v, Variable) else v


def _pixels(v: Any, n: int, align_corners: bool, padding_mode: str) -> Any:
    """Return coordinates from -1 to 1 in pixels."""
    v = (v + 1) * ((n - 1) / 2) if align_corners else ((v + 1) * n - 1) / 2
    a = _array(v)
    if padding_mode == "border":
        return where((a > 0) & (a < n - 1), v, np.clip(a, 0, n - 1))
    return where(np.isinf(a), np.clip(a, -2, n + 1), v)  # infinity minus infinity would be a NaN


def _whole(v: ndarray, n: int) -> ndarray:
    """Return whole coordinates as integers; far outside of 0..n, and at NaN, some that are outside, too."""
    return np.fmin(np.fmax(v, -2), n).astype(np.int64)


def _index(x: ndarray, y: ndarray, H: int, W: int) -> ndarray:
    """Return the flat index of pixels, -1 outside of the image."""
    inside = (x.view(np.uint64) < W) & (y.view(np.uint64) < H)  # seen unsigned, negatives are large
    return np.where(inside, y * W + x, -1)
