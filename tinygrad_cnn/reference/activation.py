"""Activation functions, each followed by its gradient."""

from __future__ import annotations

import numpy as np

from tinygrad_cnn.reference.precision import in_float64


@in_float64
def relu(x: np.ndarray) -> np.ndarray:
    """Cut off what is negative: y = max(x, 0). NaN stays NaN.

    >>> relu(np.array([-1.0, 0.0, 2.0]))
    array([0., 0., 2.])
    """
    return np.maximum(x, 0)


@in_float64
def relu_grad(gy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return gx = gy where y > 0, else 0, so the slope at 0 is 0. Where y is NaN, gy passes, as in PyTorch.

    >>> relu_grad(np.array([3.0, 3.0]), y=np.array([0.0, 2.0]))
    array([0., 3.])
    """
    return np.where(y <= 0, 0, gy)


@in_float64
def leaky_relu(x: np.ndarray, slope: float) -> np.ndarray:
    """Flatten what is negative: y = x where x > 0, else slope * x.

    >>> leaky_relu(np.array([-1.0, 2.0]), slope=0.1)
    array([-0.1,  2. ])
    """
    return np.where(x > 0, x, slope * x)


@in_float64
def leaky_relu_grad(gy: np.ndarray, x: np.ndarray, slope: float) -> np.ndarray:
    """Return gx = gy where x > 0, else slope * gy; at 0 the slope counts.

    >>> leaky_relu_grad(np.array([3.0, 3.0]), x=np.array([0.0, 2.0]), slope=0.1)
    array([0.3, 3. ])
    """
    return np.where(x > 0, gy, slope * gy)


@in_float64
def sigmoid(x: np.ndarray) -> np.ndarray:
    """Squash to (0, 1): y = 1 / (1 + exp(-x)). Far below zero exp overflows to infinity, and y is 0 as it should be.

    >>> sigmoid(np.array([-1000.0, 0.0]))
    array([0. , 0.5])
    """
    return 1 / (1 + np.exp(-x))


@in_float64
def sigmoid_grad(gy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return gx = gy * y * (1 - y).

    >>> sigmoid_grad(np.array([2.0]), y=np.array([0.5]))
    array([0.5])
    """
    return gy * y * (1 - y)


@in_float64
def tanh(x: np.ndarray) -> np.ndarray:
    """Squash to (-1, 1): y = (exp(x) - exp(-x)) / (exp(x) + exp(-x)).

    >>> tanh(np.array([0.0, 1000.0]))
    array([0., 1.])
    """
    return np.tanh(x)


@in_float64
def tanh_grad(gy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return gx = gy * (1 - y**2).

    >>> tanh_grad(np.array([2.0]), y=np.array([0.5]))
    array([1.5])
    """
    return gy * (1 - y**2)
