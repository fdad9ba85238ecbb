"""The maximum of adaptive bins, regions of interest, and pyramids of bins."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_cnn.autograd import Function
from tinygrad_cnn.functional.joining import cat
from tinygrad_cnn.functional.pool import (
    MaxPoolScatter,
    adaptive_avg_pool2d,
    avg_pool2d,
    bins,
    images,
    like,
    max_pool2d,
)
from tinygrad_cnn.functional.pool_nd import along_depth, in_volume
from tinygrad_cnn.functional.shape import flatten, reshape
from tinygrad_cnn.kernels import pool_bins as kernel
from tinygrad_cnn.kernels.geometry import whole
from tinygrad_cnn.state import place


class AdaptiveMaxPool2d(Function):
    """The maximum of each of OH x OW bins; ``index`` remembers its place."""

    keeps = ("index",)

    def __init__(self, out_size: tuple[int, int]) -> None:
        self.out_size = out_size

    def forward(self, x: ndarray) -> ndarray:
        self.x_shape = x.shape
        rows, columns = (
            np.broadcast_to(_spans(length, out), (len(x), out, 2))
            for length, out in zip(x.shape[2:], self.out_size, strict=True)
        )
        tables = np.ascontiguousarray(rows), np.ascontiguousarray(columns)
        y, self.index = kernel.max_bins(x, np.arange(len(x)), *tables)
        return y

    def grad_x(self, gy: Any) -> Any:
        return MaxPoolScatter(self.index, self.x_shape).apply(gy)


def _spans(length: int, out: int) -> ndarray:
    """Return where each adaptive bin begins and ends: i*length // out, ceil((i + 1)*length / out)."""
    i = np.arange(out)
    return np.stack([i * length // out, -(-(i + 1) * length // out)], 1)


def adaptive_max_pool1d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """Return the maxima of bins that cover (N, C, L) or (C, L); see `adaptive_max_pool2d`.

    >>> import numpy as np
    >>> adaptive_max_pool1d(np.array([[3.0, 1.0, 2.0, 5.0, 4.0]]), 3)
    array([[3., 5., 5.]])
    """
    return _adaptive_max("adaptive_max_pool1d", 1, input, output_size, return_indices)


def adaptive_max_pool2d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """Return the maxima of OH x OW bins that cover an image of any size, with the bins of `adaptive_avg_pool2d`.

    Args:
        input: (N, C, H, W) or (C, H, W).
        output_size: an int or (OH, OW); None keeps the size of its axis.
        return_indices: return (y, indices) with h*W + w of the maxima; of equal ones the first.

    Returns:
        (N, C, OH, OW) or (C, OH, OW).

    >>> import numpy as np
    >>> adaptive_max_pool2d(np.arange(10.0).reshape(1, 2, 5), (None, 3))
    array([[[1., 3., 4.],
            [6., 8., 9.]]])
    """
    return _adaptive_max("adaptive_max_pool2d", 2, input, output_size, return_indices)


def adaptive_max_pool3d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """Return the maxima of bins that cover (N, C, D, H, W) or (C, D, H, W); see `adaptive_max_pool2d`.

    >>> import numpy as np
    >>> adaptive_max_pool3d(np.arange(24.0).reshape(1, 2, 3, 4), (1, 1, 2))
    array([[[[21., 23.]]]])
    """
    return _adaptive_max("adaptive_max_pool3d", 3, input, output_size, return_indices)


def _adaptive_max(op: str, axes: int, input: Any, output_size: Any, return_indices: bool) -> Any:
    x = images(op, input, axes)
    out = bins(op, x, output_size)
    n, c, *image = x.shape
    function = AdaptiveMaxPool2d((1, *out)[-2:])
    if axes == 2:  # without views, behind which a gradient would be copied
        y = function.apply(x)
    else:
        slices = image[0] if axes == 3 else 1
        y = function.apply(reshape(x, n, c * slices, *(1, *image)[-2:]))
        y = reshape(y, n, c, *image[: axes - 2], *out[-2:])
    index = function.index
    if axes == 3:
        along = AdaptiveMaxPool2d((out[0], out[1] * out[2]))
        y = along_depth(along, y, out[0])
        index = in_volume(along.index, index, x.shape)
    if not return_indices:
        return like(input, y)
    index = index.reshape(y.shape)
    return like(input, y), like(input, index if type(y) is ndarray else y.wrap(index))


def spatial_pyramid_pool(
    input: Any, levels: Sequence[int] = (1, 2, 4), mode: str = "max", rule: str = "adaptive"
) -> Any:
    """Pool an image of any size into a vector of fixed length, in grids of n x n bins.

    Source: He et al. (2014), "Spatial pyramid pooling in deep convolutional networks", https://arxiv.org/abs/1406.4729.

    Args:
        input: (N, C, H, W) or (C, H, W).
        levels: the n of each grid.
        mode: "max" or "avg".
        rule: "adaptive": the bins of `adaptive_max_pool2d`, for any size; "paper": windows of ceil(H/n) with stride
            floor(H/n), an error where that does not give n of them.

    Returns:
        (N, C * sum of n*n) or (C * sum of n*n,): level after level, each C x n x n.

    >>> import numpy as np
    >>> spatial_pyramid_pool(np.ones((2, 256, 13, 10))).shape
    (2, 5376)
    """
    op = "spatial_pyramid_pool"
    x = images(op, input)
    if mode not in ("max", "avg") or rule not in ("adaptive", "paper"):
        raise ValueError(
            f"{place(op)}: mode must be 'max' or 'avg' and rule 'adaptive' or 'paper', got {mode!r} and {rule!r}"
        )
    if not isinstance(levels, Iterable):
        raise TypeError(f"{place(op)}: levels must be a sequence such as (1, 2, 4), got {levels!r}")
    sizes = [whole(op, "each level", n, 1) for n in levels]
    if not sizes:
        raise ValueError(f"{place(op)}: needs at least one level")
    pool = {"max": (adaptive_max_pool2d, max_pool2d), "avg": (adaptive_avg_pool2d, avg_pool2d)}[mode]
    if rule == "adaptive":
        parts = [pool[0](x, n) for n in sizes]
    else:
        parts = [pool[1](x, *_paper_window(op, x.shape[2:], n)) for n in sizes]
    y = cat([flatten(part, 1) for part in parts], 1)
    return y if len(input.shape) == 4 else reshape(y, -1)


def _paper_window(op: str, image: tuple[int, ...], n: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    size, stride = tuple(-(-a // n) for a in image), tuple(a // n for a in image)
    for a, k, s in zip(image, size, stride, strict=True):
        found = (a - k) // s + 1 if s else 0
        if found != n:
            raise ValueError(
                f"{place(op)}: by the rule of the paper, size {a} and level {n} give windows of ceil({a}/{n}) = {k} "
                f"with stride floor({a}/{n}) = {s}, which are {found} and not {n}; use rule='adaptive'"
            )
    return size, stride
