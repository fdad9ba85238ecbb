"""Element-wise operations: NumPy computes them, broadcasting included; the base class undoes it in backward.

Here is the base, functions of one input, and `where`; two inputs are in arithmetic.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy import ndarray

from tinygrad_cnn.autograd import Function, no_derivative, zero_derivative
from tinygrad_cnn.functional.shape import sum_to
from tinygrad_cnn.state import place

FLOATS = FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)  # kernels are compiled for these


class Elementwise(Function):
    """The ceremony of every element-wise operation; a subclass holds a ufunc and its calculus."""

    ufunc: ClassVar[Callable[..., ndarray]]

    def fit(self, g: Any, shape: tuple[int, ...]) -> Any:
        """Sum a gradient over the axes along which its input was broadcast."""
        return sum_to(g, shape)


def result_type(*values: Any) -> np.dtype:
    """Return PyTorch's result dtype: arrays with dimensions decide; 0-d arrays and numbers only raise the kind."""
    arrays = [v for v in values if isinstance(v, ndarray)]
    strong = [v.dtype for v in arrays if v.ndim] or [v.dtype for v in arrays]
    floats = [dtype for dtype in strong if dtype.kind == "f"]
    if floats:
        return np.result_type(*floats)
    return FLOAT32  # asked only where the result is a float: integers meet a float number, or are divided


class Where(Elementwise):
    """x1 where the condition holds, x2 elsewhere."""

    def forward(self, condition: Any, x1: Any, x2: Any) -> ndarray:
        if np.asarray(condition).dtype != bool:
            raise TypeError(f"{place('where')}: the condition must be of dtype bool, got {np.asarray(condition).dtype}")
        try:
            y = np.where(condition, x1, x2)
        except ValueError:
            shapes = [np.shape(a) for a in (condition, x1, x2)]
            raise ValueError(f"{place('where')}: shapes {shapes} do not broadcast") from None
        return y.astype(result_type(x1, x2), copy=False) if y.dtype == FLOAT64 else y

    grad_condition = no_derivative

    def grad_x1(self, gy: Any, condition: Any) -> Any:
        return where(condition, gy, 0.0)  # not gy * condition: 0 * inf is NaN

    def grad_x2(self, gy: Any, condition: Any) -> Any:
        return where(condition, 0.0, gy)


def where(condition: Any, input: Any, other: Any) -> Any:
    """Return ``input`` where ``condition`` (bools) holds and ``other`` elsewhere.

    The branch that is not taken receives the gradient 0, but what was computed *before* it still runs backward: in
    ``where(x > 0, sqrt(x), 0)`` the derivative of sqrt at 0 is infinite and 0 * inf is NaN, as in PyTorch. Make the
    argument safe first: ``sqrt(where(x > 0, x, 1))``.

    >>> import numpy as np
    >>> where(np.array([True, False]), np.array([1.0, 2.0]), 0.0)
    array([1., 0.])
    """
    return Where().apply(condition, input, other)


class Unary(Elementwise):
    """y = ufunc(x), in the dtype of x."""

    def forward(self, x: ndarray) -> ndarray:
        try:
            return self.ufunc(x)
        except TypeError:
            kind = getattr(x, "dtype", type(x).__name__)
            raise TypeError(f"{place(self.name)}: takes numbers, got {kind}; convert bools with .astype()") from None

    grad_x: Callable[..., Any] = zero_derivative


class FloatUnary(Unary):
    """y = ufunc(x) for a function of real numbers: integers become float32 first."""

    def forward(self, x: ndarray) -> ndarray:
        if not hasattr(x, "dtype"):
            raise TypeError(f"{place(self.name)}: needs a Tensor or an ndarray, got {type(x).__name__}")
        return self.ufunc(x if x.dtype.kind == "f" else x.astype(np.float32))


class Neg(Unary):
    """-x."""

    ufunc = np.negative

    def grad_x(self, gy: Any) -> Any:
        return -gy


class Exp(FloatUnary):
    """e ** x."""

    ufunc = np.exp

    def grad_x(self, gy: Any, y: Any) -> Any:
        return gy * y


class Log(FloatUnary):
    """The natural logarithm."""

    ufunc = np.log

    def grad_x(self, gy: Any, x: Any) -> Any:
        return gy / x


class Sqrt(FloatUnary):
    """The square root; its derivative at 0 is infinite."""

    ufunc = np.sqrt

    def grad_x(self, gy: Any, y: Any) -> Any:
        return gy / (2 * y)


class Sign(Unary):
    """-1, 0 or 1."""

    ufunc = np.sign


class Abs(Unary):
    """|x|, with derivative 0 at 0."""

    ufunc = np.absolute

    def grad_x(self, gy: Any, x: Any) -> Any:
        return gy * sign(x)


class Clamp(Elementwise):
    """x limited to [low, high]; the gradient passes at both bounds."""

    def __init__(self, low: float | None, high: float | None) -> None:
        self.low, self.high = low, high

    def forward(self, x: ndarray) -> ndarray:
        y = np.clip(x, self.low, self.high)
        return y if x.dtype.kind == "f" or y.dtype.kind != "f" else y.astype(np.float32)

    def grad_x(self, gy: Any, x: Any) -> Any:
        if self.low is not None:
            gy = where(x >= self.low, gy, 0.0)  # not at NaN either
        return gy if self.high is None else where(x <= self.high, gy, 0.0)


def neg(input: Any) -> Any:
    """Return -input."""
    return Neg().apply(input)


def exp(input: Any) -> Any:
    """Return e to the power of input."""
    return Exp().apply(input)


def log(input: Any) -> Any:
    """Return the natural logarithm; -inf at 0 and NaN below, with NumPy's warning."""
    return Log().apply(input)


def sqrt(input: Any) -> Any:
    """Return the square root; NaN below 0, and an infinite derivative at 0."""
    return Sqrt().apply(input)


def sign(input: Any) -> Any:
    """Return -1, 0 or 1; the derivative is 0."""
    return Sign().apply(input)


def abs(input: Any) -> Any:
    """Return the absolute value; the derivative at 0 is 0."""
    return Abs().apply(input)


def clamp(input: Any, min: float | None = None, max: float | None = None) -> Any:
    """Limit each element to [min, max]; either bound may be None. At the bounds the gradient passes.

    >>> import numpy as np
    >>> clamp(np.array([-2.0, 0.5, 9.0]), 0, 1)
    array([0. , 0.5, 1. ])
    """
    for name, bound in (("min", min), ("max", max)):
        if bound is not None and not isinstance(bound, (int, float, np.number)):
            raise TypeError(
                f"{place('clamp')}: {name} must be a number or None, got {type(bound).__name__}; maximum() and "
                "minimum() take tensors"
            )
    if min is None and max is None:
        raise ValueError(f"{place('clamp')}: give at least one of min and max")
    low, high = (bound.item() if isinstance(bound, np.number) else bound for bound in (min, max))
    return Clamp(low, high).apply(input)


class Cast(Elementwise):
    """The same numbers in another dtype; the engine returns gradients in the dtype of the input."""

    def __init__(self, dtype: np.dtype) -> None:
        self.dtype = dtype

    def forward(self, x: ndarray) -> ndarray:
        return x.astype(self.dtype)

    def grad_x(self, gy: Any) -> Any:
        return gy


class CastToInteger(Cast):
    """The same numbers as integers or bools, which have no derivative."""

    differentiable = False


class Clone(Elementwise):
    """A copy."""

    def forward(self, x: ndarray) -> ndarray:
        return x.copy()

    def grad_x(self, gy: Any) -> Any:
        return gy


def astype(input: Any, dtype: Any) -> Any:
    """Return the input in another dtype (itself where it has it already)."""
    try:
        dtype = np.dtype(dtype)
    except TypeError:
        raise TypeError(
            f"{place('astype')}: {dtype!r} is no dtype; use float32, float64, an integer type or bool"
        ) from None
    if dtype.kind not in "biuf" or dtype == np.float16:
        raise TypeError(f"{place('astype')}: {dtype} is not supported; use float32, float64, an integer type or bool")
    return input if input.dtype == dtype else (Cast if dtype.kind == "f" else CastToInteger)(dtype).apply(input)


def clone(input: Any) -> Any:
    """Return a copy through which gradients flow."""
    return Clone().apply(input)
