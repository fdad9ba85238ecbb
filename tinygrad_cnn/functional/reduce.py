"""Reductions. Floats are summed in float64 and returned in their own dtype: a long float32 sum keeps its digits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_cnn.autograd import Function
from tinygrad_cnn.functional.arithmetic import mul
from tinygrad_cnn.functional.elementwise import astype, sqrt
from tinygrad_cnn.functional.indexing import index
from tinygrad_cnn.functional.joining import cat
from tinygrad_cnn.functional.shape import (
    Shape,
    axes_tuple,
    axis_index,
    either,
    expand,
    ndim_of,
    permute,
    reshape,
)
from tinygrad_cnn.kernels.geometry import number
from tinygrad_cnn.state import place


class Reduction(Function):
    """A function of some axes; ``restore`` brings something of the result's shape back over the input's."""

    def __init__(self, axes: tuple[int, ...], keepdims: bool) -> None:
        self.axes, self.keepdims = axes, keepdims

    def restore(self, gy: Any, x_shape: Shape) -> Any:
        """Expand a value for each result over the elements that it was reduced from."""
        kept = tuple(1 if i in self.axes else n for i, n in enumerate(x_shape))
        return expand(reshape(gy, kept), x_shape)

    def count(self, x_shape: Shape) -> int:
        """How many elements go into one result."""
        return math.prod(x_shape[i] for i in self.axes)


class Sum(Reduction):
    """The sum of x over ``axes``."""

    def forward(self, x: ndarray) -> ndarray:
        self.x_shape = x.shape
        x = np.asarray(x, order="C")  # the order of a sum, and so its last bit, must not depend on the layout
        if x.dtype.kind == "f":
            return np.asarray(x.sum(self.axes, np.float64, keepdims=self.keepdims)).astype(x.dtype)
        return x.sum(self.axes, np.int64, keepdims=self.keepdims)

    def grad_x(self, gy: Any) -> Any:
        return self.restore(gy, self.x_shape)


class Mean(Reduction):
    """The mean of x over ``axes``."""

    def forward(self, x: ndarray) -> ndarray:
        self.x_shape = x.shape
        x = np.asarray(x, order="C")
        total = np.asarray(x.sum(self.axes, np.float64, keepdims=self.keepdims))
        n = self.count(x.shape)
        return (total / n if n else np.full_like(total, np.nan)).astype(x.dtype)

    def grad_x(self, gy: Any) -> Any:
        return self.restore(gy / (self.count(self.x_shape) or 1), self.x_shape)  # over nothing, nothing receives it


class Var(Reduction):
    """The variance over ``axes``: the sum of squared distances from the mean, over n - correction."""

    def __init__(self, axes: tuple[int, ...], keepdims: bool, correction: float) -> None:
        super().__init__(axes, keepdims)
        self.correction = correction

    def forward(self, x: ndarray) -> ndarray:
        x = np.asarray(x, order="C")
        # Two passes: E[x^2] - E[x]^2 would lose all digits where the mean is large.
        distance = x - x.mean(self.axes, np.float64, keepdims=True) if x.size else x.astype(np.float64)
        squares = np.square(distance).sum(self.axes, keepdims=self.keepdims)
        n = self.count(x.shape) - self.correction
        return np.asarray(squares / n if n > 0 else np.full_like(squares, np.nan)).astype(x.dtype)

    def grad_x(self, gy: Any, x: Any) -> Any:
        # d/dx of sum (x - m)^2 is 2 (x - m): what comes through the mean m cancels
        n = self.count(x.shape) - self.correction
        return self.restore(gy * (2 / n if n > 0 else np.nan), x.shape) * (x - mean(x, self.axes, True))


def sum(input: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None, keepdims: bool = False) -> Any:
    """Return the sum over ``dim`` (an axis, several, or None for all); integers and bools give int64.

    >>> import numpy as np
    >>> sum(np.ones((2, 3), np.float32), 1)
    array([3., 3.], dtype=float32)
    """
    axes = axes_tuple("sum", either("sum", dim, axis), ndim_of("sum", input))
    return Sum(axes, keepdim or keepdims).apply(input)


def _need_float(op: str, input: Any) -> None:
    ndim_of(op, input)
    if input.dtype.kind != "f":
        raise TypeError(f"{place(op)}: needs a float tensor, got {input.dtype}; convert it with .float() or astype()")


def mean(input: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None, keepdims: bool = False) -> Any:
    """Return the mean over ``dim``; NaN where there is nothing to average. Integers raise TypeError."""
    _need_float("mean", input)
    return Mean(axes_tuple("mean", either("mean", dim, axis), ndim_of("mean", input)), keepdim or keepdims).apply(input)


def var(
    input: Any,
    dim: Any = None,
    correction: float = 1,
    keepdim: bool = False,
    *,
    axis: Any = None,
    keepdims: bool = False,
) -> Any:
    """Return the variance over ``dim``: the sum of squared distances from the mean divided by n - correction.

    The default correction 1 is PyTorch's (the unbiased estimate); NumPy's is 0. NaN where n <= correction.

    >>> import numpy as np
    >>> float(var(np.array([1.0, 3.0]))), float(var(np.array([1.0, 3.0]), correction=0))
    (2.0, 1.0)
    """
    _need_float("var", input)
    axes = axes_tuple("var", either("var", dim, axis), ndim_of("var", input))
    return Var(axes, keepdim or keepdims, number("var", "correction", correction)).apply(input)


def std(
    input: Any,
    dim: Any = None,
    correction: float = 1,
    keepdim: bool = False,
    *,
    axis: Any = None,
    keepdims: bool = False,
) -> Any:
    """Return the standard deviation, the square root of `var`; its derivative is infinite where it is 0."""
    _need_float("std", input)
    return sqrt(var(input, dim, correction, keepdim, axis=axis, keepdims=keepdims))


class Truth(Reduction):
    """Whether all (or any) elements over ``axes`` are true; it has no derivative."""

    differentiable = False

    def __init__(self, axes: tuple[int, ...], keepdims: bool, every: bool) -> None:
        super().__init__(axes, keepdims)
        self.every = every

    def forward(self, x: ndarray) -> ndarray:
        return (np.all if self.every else np.any)(x, self.axes, keepdims=self.keepdims)


def all(input: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None, keepdims: bool = False) -> Any:
    """Return whether all elements over ``dim`` are true (not zero), as bools."""
    axes = axes_tuple("all", either("all", dim, axis), ndim_of("all", input))
    return Truth(axes, keepdim or keepdims, True).apply(input)


def any(input: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None, keepdims: bool = False) -> Any:
    """Return whether any element over ``dim`` is true (not zero), as bools."""
    axes = axes_tuple("any", either("any", dim, axis), ndim_of("any", input))
    return Truth(axes, keepdim or keepdims, False).apply(input)


def prod(
    input: Any, dim: int | None = None, keepdim: bool = False, *, axis: int | None = None, keepdims: bool = False
) -> Any:
    """Return the product over one axis (or all elements); integers and bools give int64.

    It is a tree of pairwise products, so the gradient needs no division and is exact where elements are zero.

    >>> import numpy as np
    >>> float(prod(np.array([2.0, 3.0, 4.0])))
    24.0
    """
    dim, ndim = either("prod", dim, axis), ndim_of("prod", input)
    if input.dtype.kind != "f":
        input = astype(input, np.int64)  # a product of bytes would wrap at 256
    at = 0 if dim is None else axis_index("prod", dim, ndim)
    kept = tuple(1 if dim is None or i == at else n for i, n in enumerate(input.shape))
    if dim is None:
        x = reshape(input, -1)
    else:
        x = permute(input, at, *(i for i in range(ndim) if i != at))
    if not x.shape[0]:
        x = cat([x, np.ones((1, *x.shape[1:]), x.dtype)])
    while (n := x.shape[0]) > 1:
        product = mul(index(x, slice(0, n // 2)), index(x, slice(n // 2, n // 2 * 2)))
        x = product if n % 2 == 0 else cat([product, index(x, slice(n - 1, n))])
    return reshape(
        x, kept if keepdim or keepdims else tuple(n for i, n in enumerate(input.shape) if dim is not None and i != at)
    )
