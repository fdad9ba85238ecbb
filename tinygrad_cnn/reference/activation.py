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
def masked(x: np.ndarray, mask: np.ndarray, scale: float) -> np.ndarray:
    """Return x * scale where the mask holds and 0 elsewhere.

    >>> masked(np.array([1.0, 2.0]), np.array([True, False]), 4.0)
    array([4., 0.])
    """
    return np.where(mask, x * x.dtype.type(scale), 0).astype(x.dtype)


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
def prelu(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Flatten what is negative, by the slope of each channel: y[n, c] = x[n, c] where x > 0, else w[c] * x[n, c].

    >>> prelu(np.array([[-1.0, -1.0]]), w=np.array([0.1, 0.5]))
    array([[-0.1, -0.5]])
    """
    y = np.zeros(x.shape)
    for c in range(x.shape[1]):
        y[:, c] = np.where(x[:, c] > 0, x[:, c], w[c] * x[:, c])
    return y


@in_float64
def prelu_grad(gy: np.ndarray, x: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return gx, which is gy where x > 0, else w[c] * gy; and gw[c] = sum of gy * x where x <= 0.

    >>> prelu_grad(np.array([[3.0, 3.0]]), x=np.array([[-1.0, 2.0]]), w=np.array([0.1, 0.5]))
    (array([[0.3, 3. ]]), array([-3.,  0.]))
    """
    gx, gw = np.zeros(x.shape), np.zeros(w.shape)
    for c in range(x.shape[1]):
        gx[:, c] = np.where(x[:, c] > 0, gy[:, c], w[c] * gy[:, c])
        gw[c] = np.where(x[:, c] > 0, 0, gy[:, c] * x[:, c]).sum()
    return gx, gw


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
