"""Pooling by a norm: between the sum (p = 1) and the maximum (p towards infinity) of magnitudes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_cnn.functional.elementwise import Elementwise, abs, sqrt, where
from tinygrad_cnn.functional.pool import avg_pool2d, images, like, windows
from tinygrad_cnn.functional.shape import reshape
from tinygrad_cnn.kernels import buffers
from tinygrad_cnn.kernels.geometry import for_axes, number
from tinygrad_cnn.state import place


class Square(Elementwise):
    """x * x, in memory that was used before."""

    def forward(self, x: ndarray) -> ndarray:
        return np.multiply(x, x, out=buffers.empty(x.shape, x.dtype))

    def grad_x(self, gy: Any, x: Any) -> Any:
        if type(gy) is ndarray:
            gx = np.multiply(gy, x, out=buffers.empty(x.shape, x.dtype))
            return np.add(gx, gx, out=gx)
        return gy * x * 2


def lp_pool1d(input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Any:
    """Return the p-norm of each window of (N, C, L) or (C, L); see `lp_pool2d`.

    >>> import numpy as np
    >>> lp_pool1d(np.array([[3.0, -4.0, 0.0, 0.0]]), 2, 2)
    array([[5., 0.]])
    """
    x = images("lp_pool1d", input, 1)
    size = for_axes("lp_pool1d", "kernel_size", kernel_size, 1)
    step = size if stride is None else for_axes("lp_pool1d", "stride", stride, 1)
    y = _norm("lp_pool1d", reshape(x, *x.shape[:2], 1, x.shape[2]), norm_type, (1, *size), (1, *step), ceil_mode)
    return like(input, reshape(y, *y.shape[:2], y.shape[3]))


def lp_pool2d(input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Any:
    """Return the p-norm of each window: (sum of abs(x)**p) ** (1/p) over its pixels inside the image.

    It is a sum, not a mean. Equal to PyTorch for even p without overhang; for others PyTorch drops abs() and rescales
    windows that hang over the edge. The gradient is 0 where all pixels of a window are 0.

    Args:
        input: (N, C, H, W) or (C, H, W).
        norm_type: p, a finite number above 0.
        kernel_size: an int or (KH, KW).
        stride: the step from window to window; ``kernel_size`` where None.
        ceil_mode: as in `max_pool2d`.

    Returns:
        (N, C, OH, OW) or (C, OH, OW).

    >>> import numpy as np
    >>> lp_pool2d(np.array([[[3.0, 0.0], [0.0, -4.0]]]), 2, 2)
    array([[[5.]]])
    """
    return like(input, _norm("lp_pool2d", images("lp_pool2d", input), norm_type, kernel_size, stride, ceil_mode))


def _norm(op: str, x: Any, p: float, size: Any, stride: Any, ceil_mode: bool) -> Any:
    p = number(op, "norm_type", p)
    if not 0 < p < math.inf:
        raise ValueError(f"{place(op)}: norm_type must be finite and above 0, got {p}; max_pool2d is the limit")
    windows(op, x.shape[2:], size, stride, 0, 1, ceil_mode)  # raises in the name of this operation
    powers = Square().apply(x) if p == 2 else abs(x) ** p
    total = avg_pool2d(powers, size, stride, ceil_mode=ceil_mode, divisor_override=1)
    positive = where(total == 0, 1.0, total)  # the root has no slope at 0
    return where(total == 0, 0.0, sqrt(positive) if p == 2 else positive ** (1 / p))
