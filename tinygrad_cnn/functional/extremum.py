"""The largest and the smallest: who wins a tie, and where the gradient goes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_cnn.autograd import Function
from tinygrad_cnn.functional.elementwise import FLOATS, where
from tinygrad_cnn.functional.reduce import Reduction, sum
from tinygrad_cnn.functional.shape import Shape, axes_tuple, axis_index, either, ndim_of, reshape
from tinygrad_cnn.kernels import along as kernel
from tinygrad_cnn.state import place


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
        return kernel.gather_grad(gy, self.index, self.axis, self.x_shape[self.axis])

    def grad_gy(self, ggx: Any) -> Any:
        return TakeAlong(self.index, self.axis).apply(ggx)


class TakeAlong(Function):
    """The value at ``index`` along an axis; each index is its own."""

    def __init__(self, index: ndarray, axis: int) -> None:
        self.index, self.axis = index, axis

    def forward(self, x: ndarray) -> ndarray:
        self.x_shape = x.shape
        return (kernel.gather if x.dtype in FLOATS else np.take_along_axis)(x, self.index, self.axis)

    def grad_x(self, gy: Any) -> Any:
        return PutAlong(self.index, self.axis, self.x_shape).apply(gy)


class ArgExtremum(Function):
    """The index of the largest (or smallest) value, which has no derivative."""

    differentiable = False

    def __init__(self, axis: int | None, keepdims: bool, largest: bool) -> None:
        self.axis, self.keepdims, self.largest = axis, keepdims, largest

    def forward(self, x: ndarray) -> ndarray:
        return (np.argmax if self.largest else np.argmin)(x, self.axis, keepdims=self.keepdims)


def _need_elements(op: str, input: Any, axes: tuple[int, ...]) -> None:
    if not math.prod(input.shape[i] for i in axes):
        raise ValueError(f"{place(op)}: nothing to choose from: shape {input.shape} is empty along dim {axes}")


def _over(op: str, input: Any, dim: Any, keepdim: bool, largest: bool) -> Any:
    axes = axes_tuple(op, dim, ndim_of(op, input))
    _need_elements(op, input, axes)
    return Extremum(axes, keepdim, largest).apply(input)


def amax(input: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None, keepdims: bool = False) -> Any:
    """Return the largest values over ``dim``; equal maxima share the gradient evenly. NaN propagates."""
    return _over("amax", input, either("amax", dim, axis), keepdim or keepdims, True)


def amin(input: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None, keepdims: bool = False) -> Any:
    """Return the smallest values over ``dim``; equal minima share the gradient evenly. NaN propagates."""
    return _over("amin", input, either("amin", dim, axis), keepdim or keepdims, False)


def _along(op: str, input: Any, dim: int, keepdim: bool, largest: bool) -> Any:
    at = axis_index(op, dim, ndim_of(op, input))
    _need_elements(op, input, (at,))
    function = ExtremumAlong(at, keepdim, largest)
    values = function.apply(input)
    indices = function.index.reshape(function.result(input.shape))
    return values, indices if isinstance(values, ndarray) else values.wrap(indices)


def max(
    input: Any, dim: int | None = None, keepdim: bool = False, *, axis: int | None = None, keepdims: bool = False
) -> Any:
    """Return the largest value, or (values, indices) along ``dim``.

    Without ``dim`` equal maxima share the gradient; with it all goes to the index returned, the first of them.

    >>> import numpy as np
    >>> max(np.array([[1.0, 5.0, 5.0], [7.0, 2.0, 3.0]]), 1)
    (array([5., 7.]), array([1, 0]))
    """
    dim = either("max", dim, axis)
    return (_over if dim is None else _along)("max", input, dim, keepdim or keepdims, True)


def min(
    input: Any, dim: int | None = None, keepdim: bool = False, *, axis: int | None = None, keepdims: bool = False
) -> Any:
    """Return the smallest value, or (values, indices) along ``dim``, with the rules of `max`."""
    dim = either("min", dim, axis)
    return (_over if dim is None else _along)("min", input, dim, keepdim or keepdims, False)


def _arg(op: str, input: Any, dim: int | None, keepdim: bool, largest: bool) -> Any:
    at = None if dim is None else axis_index(op, dim, ndim_of(op, input))
    _need_elements(op, input, tuple(range(ndim_of(op, input))) if at is None else (at,))
    return ArgExtremum(at, keepdim, largest).apply(input)


def argmax(
    input: Any, dim: int | None = None, keepdim: bool = False, *, axis: int | None = None, keepdims: bool = False
) -> Any:
    """Return the index (int64) of the first largest value, of the flattened input where ``dim`` is None."""
    return _arg("argmax", input, either("argmax", dim, axis), keepdim or keepdims, True)


def argmin(
    input: Any, dim: int | None = None, keepdim: bool = False, *, axis: int | None = None, keepdims: bool = False
) -> Any:
    """Return the index (int64) of the first smallest value, of the flattened input where ``dim`` is None."""
    return _arg("argmin", input, either("argmin", dim, axis), keepdim or keepdims, False)
