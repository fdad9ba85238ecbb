"""Reductions. Floats are summed in float64 and returned in their own dtype: a long float32 sum keeps its digits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_cnn.autograd import Function
from tinygrad_cnn.functional.arithmetic import mul
from tinygrad_cnn.functional.elementwise import sqrt, where
from tinygrad_cnn.functional.indexing import index
from tinygrad_cnn.functional.joining import cat
from tinygrad_cnn.functional.shape import Shape, axes_tuple, axis_index, either, expand, permute, reshape, shape_of
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


class Extremum(Reduction):
    """The largest (or smallest) value over ``axes``; equal ones share the gradient evenly."""

    def __init__(self, axes: tuple[int, ...], keepdims: bool, largest: bool) -> None:
        super().__init__(axes, keepdims)
        self.largest = largest

    def forward(self, x: ndarray) -> ndarray:
        return (np.max if self.largest else np.min)(x, self.axes, keepdims=self.keepdims)

    def grad_x(self, gy: Any, x: Any, y: Any) -> Any:
        ties = x == self.restore(y, x.shape)
        share = gy / where(gy == gy, sum(ties, self.axes, self.keepdims), 1)
        return where(ties, self.restore(share, x.shape), 0.0)


class ExtremumAlong(Reduction):
    """The largest (or smallest) value along one axis; the gradient goes to the index that is returned."""

    keeps = ("index",)

    def __init__(self, axis: int, keepdims: bool, largest: bool) -> None:
        super().__init__((axis,), keepdims)
        self.largest = largest

    def forward(self, x: ndarray) -> ndarray:
        self.x_shape = x.shape
        self.index = np.asarray((np.argmax if self.largest else np.argmin)(x, self.axes[0], keepdims=True))
        return np.take_along_axis(x, self.index, self.axes[0]).reshape(self.result(x.shape))

    def result(self, x_shape: Shape) -> Shape:
        """Return the shape of values and indices."""
        return tuple(1 if i in self.axes else n for i, n in enumerate(x_shape) if self.keepdims or i not in self.axes)

    def grad_x(self, gy: Any) -> Any:
        kept = tuple(1 if i in self.axes else n for i, n in enumerate(self.x_shape))
        return PutAlong(self.index, self.axes[0], self.x_shape).apply(reshape(gy, kept))


class PutAlong(Function):
    """Zeros with one value put at ``index`` along an axis."""

    def __init__(self, index: ndarray, axis: int, x_shape: Shape) -> None:
        self.index, self.axis, self.x_shape = index, axis, x_shape

    def forward(self, gy: ndarray) -> ndarray:
        gx = np.zeros(self.x_shape, gy.dtype)
        np.put_along_axis(gx, self.index, gy, self.axis)
        return gx

    def grad_gy(self, ggx: Any) -> Any:
        return TakeAlong(self.index, self.axis).apply(ggx)


class TakeAlong(Function):
    """The value at ``index`` along an axis; each index is its own."""

    def __init__(self, index: ndarray, axis: int) -> None:
        self.index, self.axis = index, axis

    def forward(self, x: ndarray) -> ndarray:
        self.x_shape = x.shape
        return np.take_along_axis(x, self.index, self.axis)

    def grad_x(self, gy: Any) -> Any:
        return PutAlong(self.index, self.axis, self.x_shape).apply(gy)


def sum(input: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None, keepdims: bool = False) -> Any:
    """Return the sum over ``dim`` (an axis, several, or None for all); integers and bools give int64.

    >>> import numpy as np
    >>> sum(np.ones((2, 3), np.float32), 1)
    array([3., 3.], dtype=float32)
    """
    axes = axes_tuple("sum", either("sum", dim, axis), len(shape_of(input)))
    return Sum(axes, keepdim or keepdims).apply(input)


def _need_float(op: str, input: Any) -> None:
    if input.dtype.kind != "f":
        raise TypeError(f"{place(op)}: needs a float tensor, got {input.dtype}; convert it with .float() or astype()")


def _need_elements(op: str, input: Any, axes: tuple[int, ...]) -> None:
    if not math.prod(input.shape[i] for i in axes):
        raise ValueError(f"{place(op)}: nothing to choose from: shape {input.shape} is empty along dim {axes}")


def mean(input: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None, keepdims: bool = False) -> Any:
    """Return the mean over ``dim``; NaN where there is nothing to average. Integers raise TypeError."""
    _need_float("mean", input)
    return Mean(axes_tuple("mean", either("mean", dim, axis), len(input.shape)), keepdim or keepdims).apply(input)


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
    axes = axes_tuple("var", either("var", dim, axis), len(input.shape))
    return Var(axes, keepdim or keepdims, correction).apply(input)


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
    return sqrt(var(input, dim, correction, keepdim, axis=axis, keepdims=keepdims))


def amax(input: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None, keepdims: bool = False) -> Any:
    """Return the largest values over ``dim``; equal maxima share the gradient evenly. NaN propagates."""
    axes = axes_tuple("amax", either("amax", dim, axis), len(input.shape))
    _need_elements("amax", input, axes)
    return Extremum(axes, keepdim or keepdims, True).apply(input)


def amin(input: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None, keepdims: bool = False) -> Any:
    """Return the smallest values over ``dim``; equal minima share the gradient evenly. NaN propagates."""
    axes = axes_tuple("amin", either("amin", dim, axis), len(input.shape))
    _need_elements("amin", input, axes)
    return Extremum(axes, keepdim or keepdims, False).apply(input)


def _along(op: str, input: Any, dim: int, keepdim: bool, largest: bool) -> Any:
    at = axis_index(op, dim, len(input.shape))
    _need_elements(op, input, (at,))
    function = ExtremumAlong(at, keepdim, largest)
    values = function.apply(input)
    indices = function.index.reshape(function.result(input.shape))
    return values, indices if isinstance(values, ndarray) else values.wrap(indices)


def max(input: Any, dim: int | None = None, keepdim: bool = False, *, axis: int | None = None) -> Any:
    """Return the largest value, or (values, indices) along ``dim``.

    Without ``dim`` equal maxima share the gradient; with it all goes to the index returned, the first of them.

    >>> import numpy as np
    >>> max(np.array([[1.0, 5.0, 5.0], [7.0, 2.0, 3.0]]), 1)
    (array([5., 7.]), array([1, 0]))
    """
    dim = either("max", dim, axis)
    return amax(input) if dim is None else _along("max", input, dim, keepdim, True)


def min(input: Any, dim: int | None = None, keepdim: bool = False, *, axis: int | None = None) -> Any:
    """Return the smallest value, or (values, indices) along ``dim``, with the rules of `max`."""
    dim = either("min", dim, axis)
    return amin(input) if dim is None else _along("min", input, dim, keepdim, False)


class ArgExtremum(Function):
    """The index of the largest (or smallest) value, which has no derivative."""

    differentiable = False

    def __init__(self, axis: int | None, keepdims: bool, largest: bool) -> None:
        self.axis, self.keepdims, self.largest = axis, keepdims, largest

    def forward(self, x: ndarray) -> ndarray:
        return (np.argmax if self.largest else np.argmin)(x, self.axis, keepdims=self.keepdims)


def _arg(op: str, input: Any, dim: int | None, keepdim: bool, largest: bool) -> Any:
    at = None if dim is None else axis_index(op, dim, len(input.shape))
    _need_elements(op, input, tuple(range(len(input.shape))) if at is None else (at,))
    return ArgExtremum(at, keepdim, largest).apply(input)


def argmax(input: Any, dim: int | None = None, keepdim: bool = False, *, axis: int | None = None) -> Any:
    """Return the index (int64) of the first largest value, of the flattened input where ``dim`` is None."""
    return _arg("argmax", input, either("argmax", dim, axis), keepdim, True)


def argmin(input: Any, dim: int | None = None, keepdim: bool = False, *, axis: int | None = None) -> Any:
    """Return the index (int64) of the first smallest value, of the flattened input where ``dim`` is None."""
    return _arg("argmin", input, either("argmin", dim, axis), keepdim, False)


def prod(input: Any, dim: int | None = None, keepdim: bool = False, *, axis: int | None = None) -> Any:
    """Return the product over one axis (or all elements).

    It is a tree of pairwise products, so the gradient needs no division and is exact where elements are zero.

    >>> import numpy as np
    >>> float(prod(np.array([2.0, 3.0, 4.0])))
    24.0
    """
    dim, ndim = either("prod", dim, axis), len(input.shape)
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
    return reshape(x, kept if keepdim else tuple(n for i, n in enumerate(input.shape) if dim is not None and i != at))
