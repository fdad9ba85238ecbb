"""Sums of other kinds: running sums, sums of exponentials and of powers. All accumulate in float64."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_cnn.autograd import Function
from tinygrad_cnn.functional.arithmetic import ne, pow
from tinygrad_cnn.functional.elementwise import FLOATS, abs, astype, exp, sign, where
from tinygrad_cnn.functional.extremum import amax, amin
from tinygrad_cnn.functional.linalg import same_float
from tinygrad_cnn.functional.reduce import Reduction, sum
from tinygrad_cnn.functional.shape import axes_tuple, axis_index, either, ndim_of
from tinygrad_cnn.kernels import along as kernel
from tinygrad_cnn.state import place


class CumSum(Function):
    """The sum of all elements up to each one; the adjoint sums from each one on."""

    def __init__(self, axis: int, backward: bool = False) -> None:
        self.axis, self.from_the_end = axis, backward

    def forward(self, x: ndarray) -> ndarray:
        if x.dtype in FLOATS:
            return kernel.cumsum(x, self.axis, self.from_the_end)
        return np.cumsum(x, self.axis, np.int64 if x.dtype.kind in "biu" else x.dtype)

    def grad_x(self, gy: Any) -> Any:
        return CumSum(self.axis, not self.from_the_end).apply(gy)


class LogSumExp(Reduction):
    """log(sum of e**x) over ``axes``, shifted by the largest so that nothing overflows."""

    def forward(self, x: ndarray) -> ndarray:
        x = np.asarray(x, order="C")  # the last bit of a sum must not depend on the layout
        largest = np.array(x.max(self.axes, keepdims=True), np.float64)
        largest[np.isinf(largest)] = 0
        with np.errstate(divide="ignore", over="ignore"):  # the sum is 0 where all are -inf, infinite where one is inf
            y = np.log(np.exp(x - largest).sum(self.axes, keepdims=True)) + largest
        return (y if self.keepdims else y.squeeze(self.axes)).astype(x.dtype)

    def grad_x(self, gy: Any, x: Any, y: Any) -> Any:
        shift = where(y == -math.inf, 0.0, y)  # where all are -inf the gradients are 0, not NaN
        return self.restore(gy, x.shape) * exp(x - self.restore(shift, x.shape))


class VectorNorm(Reduction):
    """(sum of |x|**p) ** (1/p) over ``axes``; its derivative is 0 where an element, or the norm, is 0."""

    def __init__(self, axes: tuple[int, ...], keepdims: bool, p: float) -> None:
        super().__init__(axes, keepdims)
        self.p = p

    def forward(self, x: ndarray) -> ndarray:
        powers = np.abs(np.asarray(x, np.float64, order="C")) ** self.p
        return np.asarray(powers.sum(self.axes, keepdims=self.keepdims) ** (1 / self.p)).astype(x.dtype)

    def grad_x(self, gy: Any, x: Any, y: Any) -> Any:
        share = x / self.restore(where(y == 0, 1.0, y), x.shape)
        if self.p == 1:
            share = sign(x)
        elif self.p != 2:
            share = sign(x) * where(x == 0, 0.0, pow(abs(where(x == 0, 1.0, share)), self.p - 1))
        return self.restore(gy, x.shape) * share


def cumsum(input: Any, dim: int | None = None, *, axis: int | None = None) -> Any:
    """Return the running sums along ``dim``; integers and bools give int64.

    >>> import numpy as np
    >>> cumsum(np.array([1.0, 2.0, 4.0]), 0)
    array([1., 3., 7.])
    """
    return CumSum(axis_index("cumsum", either("cumsum", dim, axis), ndim_of("cumsum", input))).apply(input)


def logsumexp(input: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None, keepdims: bool = False) -> Any:
    """Return log(sum(exp(input))) over ``dim`` without overflow; -inf where all elements are.

    >>> import numpy as np
    >>> float(logsumexp(np.array([1000.0, 1000.0]), 0) - 1000)        # log 2
    0.693147...
    """
    same_float("logsumexp", input=input)
    axes = axes_tuple("logsumexp", either("logsumexp", dim, axis), len(input.shape))
    if not math.prod(input.shape[i] for i in axes):
        raise ValueError(f"{place('logsumexp')}: shape {input.shape} is empty along dim {axes}")
    return LogSumExp(axes, keepdim or keepdims).apply(input)


def norm(
    input: Any, p: Any = "fro", dim: Any = None, keepdim: bool = False, *, axis: Any = None, keepdims: bool = False
) -> Any:
    """Return the p-norm of the vectors along ``dim`` (of all elements where None): (sum of |x|**p) ** (1/p).

    ``p`` is a number; 'fro' means 2; inf and -inf give the largest and the smallest |x|, 0 counts what is not 0.
    The derivative at 0 is 0. Norms of matrices (p='nuc') are not offered.

    >>> import numpy as np
    >>> norm(np.array([[3.0, 4.0], [0.0, -2.0]]), dim=1)
    array([5., 2.])
    """
    same_float("norm", input=input)
    keep, dim = keepdim or keepdims, either("norm", dim, axis)
    p = 2 if p in ("fro", None) else p
    if isinstance(p, str) or not isinstance(p, (int, float, np.number)) or math.isnan(p):
        raise NotImplementedError(f"{place('norm')}: p must be a number or 'fro', got {p!r}; there are no matrix norms")
    if math.isinf(p):
        return (amax if p > 0 else amin)(abs(input), dim, keep)
    axes = axes_tuple("norm", dim, len(input.shape))
    if p == 0:
        return astype(sum(ne(input, 0), axes, keep), input.dtype)
    return VectorNorm(axes, keep, float(p)).apply(input)
