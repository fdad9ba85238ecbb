"""Arithmetic and comparisons: element-wise operations of two inputs."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_cnn.autograd import Variable, zero_derivative
from tinygrad_cnn.functional.elementwise import FLOAT32, FLOAT64, Elementwise, log, result_type, where
from tinygrad_cnn.state import place


class Binary(Elementwise):
    """y = ufunc(x1, x2)."""

    def forward(self, x1: Any, x2: Any) -> ndarray:
        try:
            y = self.ufunc(x1, x2)
        except (ValueError, TypeError) as error:
            raise self.explain(x1, x2, error) from None
        # Only a float64 result can come from a silent promotion: an integer array or a NumPy scalar beside float32.
        return y if y.dtype is FLOAT32 else self.promoted(y, x1, x2)

    grad_x1: Callable[..., Any] = zero_derivative
    grad_x2: Callable[..., Any] = zero_derivative

    def promoted(self, y: ndarray, x1: Any, x2: Any) -> ndarray:
        """Apply PyTorch's promotion: numbers and 0-d arrays are weak, integers meet floats as float32."""
        for x in (x1, x2):
            if not isinstance(x, (ndarray, np.generic, int, float)):
                raise TypeError(f"{place(self.name)}: cannot combine a Tensor with {type(x).__name__} {x!r}")
        if y.dtype.kind not in "biuf":  # an array of complex numbers, objects, text
            kinds = [str(getattr(x, "dtype", type(x).__name__)) for x in (x1, x2)]
            raise TypeError(f"{place(self.name)}: takes real numbers and bools, got {' and '.join(kinds)}")
        return y.astype(result_type(x1, x2), copy=False) if y.dtype == FLOAT64 else y

    def explain(self, x1: Any, x2: Any, error: Exception) -> Exception:
        """Say in the words of this library why NumPy refused."""
        if isinstance(error, ValueError) and isinstance(x1, ndarray) and isinstance(x2, ndarray):
            return ValueError(
                f"{place(self.name)}: shapes {x1.shape} and {x2.shape} do not broadcast: read from the right, each "
                "pair of sizes must be equal or contain a 1. reshape(), unsqueeze() or expand() one of them"
            )
        kinds = " and ".join(str(x.dtype) if isinstance(x, ndarray) else type(x).__name__ for x in (x1, x2))
        kind = TypeError if isinstance(error, TypeError) else ValueError  # some of NumPy's own take other arguments
        return kind(f"{place(self.name)}: cannot combine {kinds}: {error}")


class Add(Binary):
    """x1 + x2."""

    ufunc = np.add

    def grad_x1(self, gy: Any) -> Any:
        return gy

    def grad_x2(self, gy: Any) -> Any:
        return gy


class Sub(Binary):
    """x1 - x2."""

    ufunc = np.subtract

    def grad_x1(self, gy: Any) -> Any:
        return gy

    def grad_x2(self, gy: Any) -> Any:
        return -gy


class Mul(Binary):
    """x1 * x2."""

    ufunc = np.multiply

    def grad_x1(self, gy: Any, x2: Any) -> Any:
        return gy * x2

    def grad_x2(self, gy: Any, x1: Any) -> Any:
        return gy * x1


class Div(Binary):
    """x1 / x2."""

    ufunc = np.true_divide

    def grad_x1(self, gy: Any, x2: Any) -> Any:
        return gy / x2

    def grad_x2(self, gy: Any, x2: Any, y: Any) -> Any:
        return -gy * y / x2


class Pow(Binary):
    """x1 ** x2, with derivatives 0, 1, 0 at x1 = 0 for the exponents 0, 1, 2."""

    ufunc = operator.pow  # its fast paths for small exponents are not in np.power

    def grad_x1(self, gy: Any, x1: Any, x2: Any) -> Any:
        if not isinstance(x2, (ndarray, Variable)):
            return gy * 0.0 if x2 == 0 else gy if x2 == 1 else gy * (x2 * x1 ** (x2 - 1))
        # where x2 = 0 the factor x2 makes 0 of any power of x1 but that of 0, which is infinite
        base = where(x2 == 0, where(x1 == 0, 1.0, x1), x1)
        return gy * (x2 * base ** sub(x2, 1))

    def grad_x2(self, gy: Any, x1: Any, y: Any) -> Any:
        return gy * (y * log(where(x1 == 0, 1.0, x1)))  # 0 at x1 = 0


class Maximum(Binary):
    """The larger of x1 and x2; where they are equal each receives half of the gradient."""

    ufunc = np.maximum

    def grad_x1(self, gy: Any, x1: Any, x2: Any) -> Any:
        return where(x1 == x2, gy / 2, where(x1 < x2, 0.0, gy))

    def grad_x2(self, gy: Any, x1: Any, x2: Any) -> Any:
        return where(x1 == x2, gy / 2, where(x2 < x1, 0.0, gy))


class Minimum(Binary):
    """The smaller of x1 and x2; where they are equal each receives half of the gradient."""

    ufunc = np.minimum

    def grad_x1(self, gy: Any, x1: Any, x2: Any) -> Any:
        return where(x1 == x2, gy / 2, where(x1 > x2, 0.0, gy))

    def grad_x2(self, gy: Any, x1: Any, x2: Any) -> Any:
        return where(x1 == x2, gy / 2, where(x2 > x1, 0.0, gy))


class Compare(Binary):
    """A comparison gives bools, which have no derivative."""

    differentiable = False

    def __init__(self, ufunc: Callable[..., ndarray]) -> None:
        self.ufunc = ufunc  # type: ignore[misc, method-assign]


def add(input: Any, other: Any) -> Any:
    """Return input + other, element by element, with broadcasting."""
    return Add().apply(input, other)


def sub(input: Any, other: Any) -> Any:
    """Return input - other."""
    return Sub().apply(input, other)


def rsub(input: Any, other: Any) -> Any:
    """Return other - input."""
    return Sub().apply(other, input)


def mul(input: Any, other: Any) -> Any:
    """Return input * other."""
    return Mul().apply(input, other)


def div(input: Any, other: Any) -> Any:
    """Return input / other; two integer tensors give float32."""
    return Div().apply(input, other)


def rdiv(input: Any, other: Any) -> Any:
    """Return other / input."""
    return Div().apply(other, input)


def pow(input: Any, exponent: Any) -> Any:
    """Return input ** exponent. The derivative by the exponent is 0 where the base is 0."""
    return Pow().apply(input, exponent)


def rpow(input: Any, base: Any) -> Any:
    """Return base ** input."""
    return Pow().apply(base, input)


def maximum(input: Any, other: Any) -> Any:
    """Return the larger of the two, element by element; NaN propagates, equal elements share the gradient."""
    return Maximum().apply(input, other)


def minimum(input: Any, other: Any) -> Any:
    """Return the smaller of the two, element by element; NaN propagates, equal elements share the gradient."""
    return Minimum().apply(input, other)


def eq(input: Any, other: Any) -> Any:
    """Return input == other as bools."""
    return Compare(np.equal).apply(input, other)


def ne(input: Any, other: Any) -> Any:
    """Return input != other as bools."""
    return Compare(np.not_equal).apply(input, other)


def lt(input: Any, other: Any) -> Any:
    """Return input < other as bools."""
    return Compare(np.less).apply(input, other)


def le(input: Any, other: Any) -> Any:
    """Return input <= other as bools."""
    return Compare(np.less_equal).apply(input, other)


def gt(input: Any, other: Any) -> Any:
    """Return input > other as bools."""
    return Compare(np.greater).apply(input, other)


def ge(input: Any, other: Any) -> Any:
    """Return input >= other as bools."""
    return Compare(np.greater_equal).apply(input, other)
