"""Element-wise activations, their gradients, and the vectorised exponential that softmax and the losses share.

Each unit of work slices its piece and counts from 0: an index that cannot be negative lets the loop become vector code.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload
from numpy import ndarray

from tinygrad_cnn.kernels import buffers
from tinygrad_cnn.kernels.compile import CONTRACT, Kernel, device, kernel
from tinygrad_cnn.kernels.threads import split


def exp(x: Any) -> Any:
    """Return e**x. Inside a kernel this is a polynomial that becomes vector code, where libm's exp would not."""
    return np.exp(x)


def decay(x: Any) -> Any:
    """Return e**x for x <= 0. Inside a kernel it is quicker than `exp`, and 0 where e**x is no normal number."""
    return np.exp(x)


def expm1(x: Any) -> Any:
    """Return e**x - 1, precise near 0. Inside a kernel |x| may be at most 80."""
    return np.expm1(x)


def _exponentials(
    real: Any,
    integer: Any,
    mantissa: int,
    high_log2: float,
    low_log2: float,
    largest: float,
    smallest: float,
    degree: int,
) -> tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]:
    """Return (exp, decay, expm1) for one float type with ``mantissa`` bits, after Cody and Waite (1980).

    x = k*log(2) + r with |r| <= log(2)/2, so e**x = 2**k * e**r: a Taylor polynomial, and k added to the exponent bits.
    log(2) comes in two parts, so that k times the high part is exact.
    """
    # Adding 1.5 * 2**mantissa rounds to a whole number, and leaves it in the lowest bits.
    round_up = real(1.5 * 2.0**mantissa)
    round_up_bits = round_up.view(integer)
    per_log2 = real(1 / math.log(2))
    high_log2, low_log2, largest, smallest = real(high_log2), real(low_log2), real(largest), real(smallest)
    taylor = tuple(real(1 / math.factorial(k)) for k in range(degree, 0, -1))
    zero, one, lowest = real(0), real(1), real(math.log(np.finfo(real).tiny))
    bias, shift, half = integer(np.finfo(real).maxexp - 1), integer(mantissa), integer(1)

    @device
    def reduce(x: Any) -> Any:
        """Return (k, p) such that e**x = 2**k * (1 + p)."""
        shifted = x * per_log2 + round_up
        k = shifted - round_up
        r = (x - k * high_log2) - k * low_log2
        p = taylor[0]
        for coefficient in taylor[1:]:
            p = p * r + coefficient
        return integer(real(shifted).view(integer) - round_up_bits), p * r

    @device
    def power_of_two(k: Any) -> Any:
        return integer((k + bias) << shift).view(real)

    def exp(x: Any) -> Any:
        # Comparisons with NaN are false, so NaN passes. Two factors, because 2**k alone may overflow or underflow.
        x = largest if x > largest else x
        x = smallest if x < smallest else x
        k, p = reduce(x)
        part = integer(k >> half)
        return (p + one) * power_of_two(part) * power_of_two(integer(k - part))

    def decay(x: Any) -> Any:
        k, p = reduce(x)  # far down k is nonsense, and not used
        return zero if x < lowest else (p + one) * power_of_two(k)

    def expm1(x: Any) -> Any:
        k, p = reduce(x)
        power = power_of_two(k)
        return p * power + (power - one)

    return exp, decay, expm1


_exp32, _decay32, _expm1_32 = _exponentials(np.float32, np.int32, 23, 0.693145751953125, 1.4286068203e-6, 89, -104, 7)
_exp64, _decay64, _expm1_64 = _exponentials(
    np.float64, np.int64, 52, 6.93147180369123816e-1, 1.90821492927058770e-10, 710, -746, 13
)
_options: Any = {"fastmath": set(CONTRACT), "error_model": "numpy"}


@overload(exp, jit_options=_options)
def _exp_for(x: Any) -> Callable[..., Any]:
    return _exp32 if x == types.float32 else _exp64


@overload(decay, jit_options=_options)
def _decay_for(x: Any) -> Callable[..., Any]:
    return _decay32 if x == types.float32 else _decay64


@overload(expm1, jit_options=_options)
def _expm1_for(x: Any) -> Callable[..., Any]:
    return _expm1_32 if x == types.float32 else _expm1_64


def _elementwise(unit: Kernel, *arrays: ndarray, scalars: tuple[float, ...] = ()) -> ndarray:
    """Run a unit of work on flat views of arrays of one shape and return the result in that shape."""
    y = buffers.empty(arrays[0].shape, arrays[0].dtype)
    split(unit, y.size, *[np.ascontiguousarray(x).reshape(-1) for x in arrays], y.reshape(-1), *scalars, work=y.size)
    return y


@kernel
def _relu(x: ndarray, y: ndarray, start: int, stop: int) -> None:
    x, y = x[start:stop], y[start:stop]
    zero = x.dtype.type(0)
    for i in range(len(y)):
        y[i] = zero if x[i] <= zero else x[i]  # NaN is not <= 0 and stays


def relu(x: ndarray) -> ndarray:
    """Return max(x, 0); NaN stays NaN.

    >>> relu(np.array([-1.0, 2.0]))
    array([0., 2.])
    """
    return _elementwise(_relu, x)


@kernel(writes="gx")
def _relu_grad(gy: ndarray, y: ndarray, gx: ndarray, start: int, stop: int) -> None:
    gy, y, gx = gy[start:stop], y[start:stop], gx[start:stop]
    zero = gy.dtype.type(0)
    for i in range(len(gx)):
        gx[i] = zero if y[i] <= zero else gy[i]  # selected, not multiplied: 0 * inf would be NaN


def relu_grad(gy: ndarray, y: ndarray) -> ndarray:
    """Return 0 where the result y of relu is 0, gy elsewhere, also where y is NaN."""
    return _elementwise(_relu_grad, gy, y)


@kernel
def _masked(x: ndarray, mask: ndarray, y: ndarray, scale: float, start: int, stop: int) -> None:
    x, mask, y = x[start:stop], mask[start:stop], y[start:stop]
    zero, scale = x.dtype.type(0), x.dtype.type(scale)
    for i in range(len(y)):
        y[i] = x[i] * scale if mask[i] else zero  # selected, not multiplied: 0 * inf would be NaN


def masked(x: ndarray, mask: ndarray, scale: float) -> ndarray:
    """Return x * scale where the mask (bools) holds and 0 elsewhere: dropout and its gradient."""
    return _elementwise(_masked, x, mask, scalars=(float(scale),))


@kernel
def _leaky_relu(x: ndarray, y: ndarray, slope: float, start: int, stop: int) -> None:
    x, y = x[start:stop], y[start:stop]
    zero, slope = x.dtype.type(0), x.dtype.type(slope)
    for i in range(len(y)):
        y[i] = x[i] if x[i] > zero else x[i] * slope


def leaky_relu(x: ndarray, slope: float) -> ndarray:
    """Return x where it is positive and slope * x elsewhere."""
    return _elementwise(_leaky_relu, x, scalars=(float(slope),))


@kernel(writes="gx")
def _leaky_relu_grad(gy: ndarray, x: ndarray, gx: ndarray, slope: float, start: int, stop: int) -> None:
    gy, x, gx = gy[start:stop], x[start:stop], gx[start:stop]
    zero, slope = gy.dtype.type(0), gy.dtype.type(slope)
    for i in range(len(gx)):
        gx[i] = gy[i] if x[i] > zero else gy[i] * slope


def leaky_relu_grad(gy: ndarray, x: ndarray, slope: float) -> ndarray:
    """Return gy where x is positive and slope * gy elsewhere, 0 included."""
    return _elementwise(_leaky_relu_grad, gy, x, scalars=(float(slope),))


@kernel
def _sigmoid(x: ndarray, y: ndarray, start: int, stop: int) -> None:
    x, y = x[start:stop], y[start:stop]
    one = x.dtype.type(1)
    for i in range(len(y)):
        y[i] = one / (one + exp(-x[i]))  # where exp overflows to infinity this is 0, as it should be


def sigmoid(x: ndarray) -> ndarray:
    """Return 1 / (1 + e**-x).

    >>> sigmoid(np.array([-800.0, 0.0, 800.0]))
    array([0. , 0.5, 1. ])
    """
    return _elementwise(_sigmoid, x)


@kernel(writes="gx")
def _sigmoid_grad(gy: ndarray, y: ndarray, gx: ndarray, start: int, stop: int) -> None:
    gy, y, gx = gy[start:stop], y[start:stop], gx[start:stop]
    one = gy.dtype.type(1)
    for i in range(len(gx)):
        gx[i] = gy[i] * (one - y[i]) * y[i]


def sigmoid_grad(gy: ndarray, y: ndarray) -> ndarray:
    """Return gy * y * (1 - y), where y is the result of sigmoid."""
    return _elementwise(_sigmoid_grad, gy, y)


@kernel
def _tanh(x: ndarray, y: ndarray, start: int, stop: int) -> None:
    x, y = x[start:stop], y[start:stop]
    zero, two, far = x.dtype.type(0), x.dtype.type(2), x.dtype.type(20)
    for i in range(len(y)):
        distance = -x[i] if x[i] < zero else x[i]
        distance = far if distance > far else distance  # tanh(20) is 1 to the last bit
        e = expm1(two * distance)
        t = e / (e + two)
        y[i] = -t if x[i] < zero else t


def tanh(x: ndarray) -> ndarray:
    """Return (e**x - e**-x) / (e**x + e**-x), precise near 0.

    >>> tanh(np.array([-30.0, 0.0, 1e-9]))
    array([-1.e+00,  0.e+00,  1.e-09])
    """
    return _elementwise(_tanh, x)


@kernel(writes="gx")
def _tanh_grad(gy: ndarray, y: ndarray, gx: ndarray, start: int, stop: int) -> None:
    gy, y, gx = gy[start:stop], y[start:stop], gx[start:stop]
    one = gy.dtype.type(1)
    for i in range(len(gx)):
        gx[i] = gy[i] * (one - y[i] * y[i])


def tanh_grad(gy: ndarray, y: ndarray) -> ndarray:
    """Return gy * (1 - y**2), where y is the result of tanh."""
    return _elementwise(_tanh_grad, gy, y)
