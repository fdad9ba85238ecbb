"""Activations that are one curve: two formulas each, the value and the slope, from which two kernels are made.

A formula sees one number ``x``, three parameters (most need none) and ``real``, the float type: constants are written
real(0.5), or float32 would be computed in float64. Each picks with ``a if c else b``, which becomes vector code, and
lets NaN pass: comparisons with NaN are false. Where e**x is needed it is e**-|x|, which cannot overflow.
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
from tinygrad_cnn.kernels.activation import exp, expm1
from tinygrad_cnn.kernels.compile import CONTRACT, Kernel, device, kernel
from tinygrad_cnn.kernels.threads import split


def _formula(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a formula into the loop that calls it, however long it is: a loop with a call does not become vectors."""
    return device(function, forceinline=True)


def _curve(value: Callable[..., Any], slope: Callable[..., Any]) -> tuple[Kernel, Kernel]:
    """Make the kernels y = value(x) and gx = gy * slope(x) of two formulas."""

    def unit(x: ndarray, y: ndarray, a: float, b: float, c: float, start: int, stop: int) -> None:
        x, y = x[start:stop], y[start:stop]
        real = x.dtype.type
        a, b, c = real(a), real(b), real(c)
        for i in range(len(y)):
            y[i] = value(x[i], a, b, c, real)

    def unit_grad(gy: ndarray, x: ndarray, gx: ndarray, a: float, b: float, c: float, start: int, stop: int) -> None:
        gy, x, gx = gy[start:stop], x[start:stop], gx[start:stop]
        real = x.dtype.type
        a, b, c, zero = real(a), real(b), real(c), real(0)
        for i in range(len(gx)):
            steepness = slope(x[i], a, b, c, real)
            gx[i] = zero if steepness == zero else gy[i] * steepness  # selected: 0 * inf would be NaN

    for function, suffix in ((unit, ""), (unit_grad, "_grad")):  # numba and the cache tell kernels apart by name
        function.__name__ = function.__qualname__ = value.__name__ + suffix
    return kernel(unit), kernel(writes="gx")(unit_grad)


def elementwise(unit: Kernel, *arrays: ndarray, parameters: tuple[float, ...] = ()) -> ndarray:
    """Run a kernel of this file on arrays of one shape.

    >>> elementwise(softsign, np.array([-1.0, 0.0, 3.0]))
    array([-0.5 ,  0.  ,  0.75])
    """
    y = buffers.empty(arrays[0].shape, arrays[0].dtype)
    flat = [np.ascontiguousarray(x).reshape(-1) for x in arrays]
    three = (*map(float, parameters), 0.0, 0.0, 0.0)[:3]
    split(unit, y.size, *flat, y.reshape(-1), *three, work=4 * y.size)
    return y


def log1p(t: Any) -> Any:
    """Return log(1 + t) for t from 0 to 1, by a series that becomes vector code."""
    return (_log1p32 if np.asarray(t).dtype == np.float32 else _log1p64)(t)


def _log1p_of(real: Any, terms: int) -> Callable[..., Any]:
    # log(1 + t) = 2 artanh(s) = 2 (s + s**3/3 + s**5/5 + ...) with s = t / (2 + t), at most 1/3
    series = tuple(real(2 / (2 * k + 1)) for k in range(terms - 1, -1, -1))
    two = real(2)

    def log1p(t: Any) -> Any:
        s = t / (two + t)
        total = series[0]
        for coefficient in series[1:]:
            total = total * (s * s) + coefficient
        return total * s

    return log1p


def normal_tail(d: Any) -> Any:
    """Return P(X > d) * e**(d*d/2) for a standard normal X and d >= 0: a smooth curve between 1/2 and 0."""
    return (_tail32 if np.asarray(d).dtype == np.float32 else _tail64)(d)


def _tail_of(real: Any, degree: int, far: float) -> Callable[..., Any]:
    # t * p(t) with t = 4 / (4 + d), and the polynomial p through exact values, at Chebyshev's nodes in 0 <= d <= far.
    nearest = 4 / (4 + far)
    middle, half = (1 + nearest) / 2, (1 - nearest) / 2

    def exact(u: ndarray) -> ndarray:
        t = middle + half * u
        return np.array([math.erfc(d / math.sqrt(2)) / 2 * math.exp(d * d / 2) for d in 4 / t - 4]) / t

    chebyshev: Any = np.polynomial.chebyshev
    coefficients = tuple(real(c) for c in chebyshev.cheb2poly(chebyshev.chebinterpolate(exact, degree))[::-1])
    four, shift, scale = real(4), real(middle / half), real(1 / half)

    def tail(d: Any) -> Any:
        t = four / (four + d)
        u = t * scale - shift
        p = coefficients[0]
        for coefficient in coefficients[1:]:
            p = p * u + coefficient
        return p * t

    return tail


_log1p32, _log1p64 = _log1p_of(np.float32, 8), _log1p_of(np.float64, 16)
_tail32, _tail64 = _tail_of(np.float32, 8, 13), _tail_of(np.float64, 15, 37)  # beyond, e**(-d*d/2) is 0
_options: Any = {"fastmath": set(CONTRACT), "error_model": "numpy", "forceinline": True}


@overload(log1p, jit_options=_options)
def _log1p_for(t: Any) -> Callable[..., Any]:
    return _log1p32 if t == types.float32 else _log1p64


@overload(normal_tail, jit_options=_options)
def _tail_for(d: Any) -> Callable[..., Any]:
    return _tail32 if d == types.float32 else _tail64


@_formula
def _sigmoid(x: Any, real: Any) -> Any:
    return real(1) / (real(1) + exp(-x))


@_formula
def _silu(x: Any, a: Any, b: Any, c: Any, real: Any) -> Any:
    return x * _sigmoid(x, real)


@_formula
def _silu_slope(x: Any, a: Any, b: Any, c: Any, real: Any) -> Any:
    s = _sigmoid(x, real)
    return s * (real(1) + x * (real(1) - s))


@_formula
def _normal_cdf(x: Any, a: Any, b: Any, c: Any, real: Any) -> Any:
    d = abs(x)
    tail = exp(-d * d * real(0.5)) * normal_tail(d)
    return real(1) - tail if x > real(0) else tail


@_formula
def _normal_density(x: Any, a: Any, b: Any, c: Any, real: Any) -> Any:
    return exp(-x * x * real(0.5)) * real(1 / math.sqrt(2 * math.pi))


@_formula
def _gelu(x: Any, a: Any, b: Any, c: Any, real: Any) -> Any:
    return x * _normal_cdf(x, a, b, c, real)


@_formula
def _gelu_slope(x: Any, a: Any, b: Any, c: Any, real: Any) -> Any:
    d = abs(x)
    e = exp(-d * d * real(0.5))
    tail = e * normal_tail(d)
    return (real(1) - tail if x > real(0) else tail) + x * e * real(1 / math.sqrt(2 * math.pi))


# The hyperbolic tangent in GELU's approximation is a sigmoid: (1 + tanh(u/2)) / 2, with u = A x (1 + B x**2).
A, B = 2 * math.sqrt(2 / math.pi), 0.044715


@_formula
def _gelu_tanh(x: Any, a: Any, b: Any, c: Any, real: Any) -> Any:
    return x * _sigmoid(real(A) * x * (real(1) + real(B) * x * x), real)


@_formula
def _gelu_tanh_slope(x: Any, a: Any, b: Any, c: Any, real: Any) -> Any:
    s = _sigmoid(real(A) * x * (real(1) + real(B) * x * x), real)
    return s * (real(1) + (real(1) - s) * real(A) * x * (real(1) + real(3 * B) * x * x))


@_formula
def _softplus_tanh(x: Any, real: Any) -> Any:
    """Return (t, 1 - t, q) with t = tanh(log(1 + e**x)) = n / (n + 2), n = e**2x + 2 e**x; and q = e**-|x|."""
    q = exp(-abs(x))
    n = real(1) + real(2) * q if x > real(0) else q * (q + real(2))
    rest = real(2) * q * q if x > real(0) else real(2)
    return n / (n + rest), rest / (n + rest), q


@_formula
def _mish(x: Any, a: Any, b: Any, c: Any, real: Any) -> Any:
    return x * _softplus_tanh(x, real)[0]


@_formula
def _mish_slope(x: Any, a: Any, b: Any, c: Any, real: Any) -> Any:
    t, rest, q = _softplus_tanh(x, real)
    s = (real(1) if x > real(0) else q) / (real(1) + q)
    return t + x * s * rest * (real(1) + t)


@_formula
def _softplus(x: Any, beta: Any, threshold: Any, c: Any, real: Any) -> Any:
    z = beta * x
    soft = ((z if z > real(0) else real(0)) + log1p(exp(-abs(z)))) / beta
    return x if z > threshold else soft


@_formula
def _softplus_slope(x: Any, beta: Any, threshold: Any, c: Any, real: Any) -> Any:
    return real(1) if beta * x > threshold else _sigmoid(beta * x, real)


@_formula
def _logsigmoid(x: Any, a: Any, b: Any, c: Any, real: Any) -> Any:
    return (x if x < real(0) else real(0)) - log1p(exp(-abs(x)))


@_formula
def _logsigmoid_slope(x: Any, a: Any, b: Any, c: Any, real: Any) -> Any:
    return _sigmoid(-x, real)


@_formula
def _softsign(x: Any, a: Any, b: Any, c: Any, real: Any) -> Any:
    return x / (real(1) + abs(x))


@_formula
def _softsign_slope(x: Any, a: Any, b: Any, c: Any, real: Any) -> Any:
    return real(1) / ((real(1) + abs(x)) * (real(1) + abs(x)))


@_formula
def _elu(x: Any, left: Any, right: Any, rate: Any, real: Any) -> Any:
    z = x * rate
    z = real(0) if z > real(0) else (real(-80) if z < real(-80) else z)  # where expm1 is -1 to the last bit
    return right * x if x > real(0) else left * expm1(z)


@_formula
def _elu_slope(x: Any, left: Any, right: Any, rate: Any, real: Any) -> Any:
    return right if x > real(0) else left * rate * exp(x * rate)


@_formula
def _hardtanh(x: Any, low: Any, high: Any, c: Any, real: Any) -> Any:
    return low if x < low else (high if x > high else x)


@_formula
def _hardtanh_slope(x: Any, low: Any, high: Any, c: Any, real: Any) -> Any:
    return real(0) if x <= low else (real(0) if x >= high else real(1))


@_formula
def _hardsigmoid(x: Any, a: Any, b: Any, c: Any, real: Any) -> Any:
    z = x + real(3)
    return (real(0) if z < real(0) else (real(6) if z > real(6) else z)) * real(1 / 6)


@_formula
def _hardsigmoid_slope(x: Any, a: Any, b: Any, c: Any, real: Any) -> Any:
    return (real(1 / 6) if x < real(3) else real(0)) if x > real(-3) else real(0)


@_formula
def _hardswish(x: Any, a: Any, b: Any, c: Any, real: Any) -> Any:
    return x * _hardsigmoid(x, a, b, c, real)


@_formula
def _hardswish_slope(x: Any, a: Any, b: Any, c: Any, real: Any) -> Any:
    middle = x * real(1 / 3) + real(0.5)
    return real(0) if x <= real(-3) else (real(1) if x >= real(3) else middle)


elu, elu_grad = _curve(_elu, _elu_slope)
gelu, gelu_grad = _curve(_gelu, _gelu_slope)
gelu_tanh, gelu_tanh_grad = _curve(_gelu_tanh, _gelu_tanh_slope)
hardsigmoid, hardsigmoid_grad = _curve(_hardsigmoid, _hardsigmoid_slope)
hardswish, hardswish_grad = _curve(_hardswish, _hardswish_slope)
hardtanh, hardtanh_grad = _curve(_hardtanh, _hardtanh_slope)
logsigmoid, logsigmoid_grad = _curve(_logsigmoid, _logsigmoid_slope)
mish, mish_grad = _curve(_mish, _mish_slope)
normal_cdf, normal_cdf_grad = _curve(_normal_cdf, _normal_density)
silu, silu_grad = _curve(_silu, _silu_slope)
softplus, softplus_grad = _curve(_softplus, _softplus_slope)
softsign, softsign_grad = _curve(_softsign, _softsign_slope)
