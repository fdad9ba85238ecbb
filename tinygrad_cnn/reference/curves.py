"""Activations that are one curve, each as its formula; their slopes are checked by differences."""

from __future__ import annotations

import math

import numpy as np

from tinygrad_cnn.reference.precision import in_float64


@in_float64
def celu(x: np.ndarray, alpha: float) -> np.ndarray:
    """Return x where x > 0, else alpha * (exp(x/alpha) - 1)."""
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x / alpha, 0)))


@in_float64
def elu(x: np.ndarray, alpha: float) -> np.ndarray:
    """Return x where x > 0, else alpha * (exp(x) - 1)."""
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


@in_float64
def gelu(x: np.ndarray, approximate: str) -> np.ndarray:
    """Return x * P(X <= x) for a standard normal X, or its approximation by tanh.

    >>> gelu(np.array([1.0]), "none").round(6), gelu(np.array([1.0]), "tanh").round(6)
    (array([0.841345]), array([0.841192]))
    """
    if approximate == "tanh":
        return x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    y = np.zeros(x.shape)
    for i, value in np.ndenumerate(x):
        y[i] = value * math.erfc(-value / math.sqrt(2)) / 2
    return y


@in_float64
def hardsigmoid(x: np.ndarray) -> np.ndarray:
    """Return (x + 3) / 6, limited to [0, 1]."""
    return np.clip(x + 3, 0, 6) / 6


@in_float64
def hardswish(x: np.ndarray) -> np.ndarray:
    """Return x * hardsigmoid(x)."""
    return x * np.clip(x + 3, 0, 6) / 6


@in_float64
def hardtanh(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return x, limited to [low, high]."""
    return np.clip(x, low, high)


@in_float64
def logsigmoid(x: np.ndarray) -> np.ndarray:
    """Return log(1 / (1 + exp(-x)))."""
    return -np.logaddexp(0, -x)


@in_float64
def mish(x: np.ndarray) -> np.ndarray:
    """Return x * tanh(log(1 + exp(x)))."""
    return x * np.tanh(np.logaddexp(0, x))


@in_float64
def selu(x: np.ndarray) -> np.ndarray:
    """Return 1.0507... * elu(x, 1.6732...), the numbers of Klambauer et al. (2017)."""
    return 1.0507009873554804934 * np.where(x > 0, x, 1.6732632423543772848 * np.expm1(np.minimum(x, 0)))


@in_float64
def silu(x: np.ndarray) -> np.ndarray:
    """Return x / (1 + exp(-x))."""
    return x / (1 + np.exp(-x))


@in_float64
def softplus(x: np.ndarray, beta: float, threshold: float) -> np.ndarray:
    """Return x where beta*x > threshold, else log(1 + exp(beta*x)) / beta."""
    return np.where(beta * x > threshold, x, np.logaddexp(0, beta * x) / beta)


@in_float64
def softsign(x: np.ndarray) -> np.ndarray:
    """Return x / (1 + |x|).

    >>> softsign(np.array([-1.0, 3.0]))
    array([-0.5 ,  0.75])
    """
    return x / (1 + np.abs(x))
