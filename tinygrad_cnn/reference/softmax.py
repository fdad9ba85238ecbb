"""Softmax and its logarithm, each with its gradient.

All four work along one axis. The maximum is subtracted first: it cancels, and no exponential overflows. A slice that
is -inf throughout, or holds +inf, is NaN.
"""

from __future__ import annotations

import numpy as np

from tinygrad_cnn.reference.precision import in_float64


@in_float64
def softmax(x: np.ndarray, axis: int) -> np.ndarray:
    """Turn scores into probabilities: y[c] = exp(x[c] - m) / sum over k of exp(x[k] - m), with m = max x.

    >>> softmax(np.array([[1000.0, 1000.0]]), axis=1)
    array([[0.5, 0.5]])
    """
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


@in_float64
def softmax_grad(gy: np.ndarray, y: np.ndarray, axis: int) -> np.ndarray:
    """Return gx[c] = y[c] * (gy[c] - sum over k of gy[k] * y[k]).

    >>> softmax_grad(np.array([1.0, 0.0]), y=np.array([0.5, 0.5]), axis=0)
    array([ 0.25, -0.25])
    """
    return y * (gy - (gy * y).sum(axis, keepdims=True))


@in_float64
def log_softmax(x: np.ndarray, axis: int) -> np.ndarray:
    """Turn scores into log-probabilities: y[c] = (x[c] - m) - log(sum over k of exp(x[k] - m)), with m = max x.

    >>> log_softmax(np.array([0.0, -1000.0]), axis=0)
    array([    0., -1000.])
    """
    shifted = x - x.max(axis, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis, keepdims=True))


@in_float64
def log_softmax_grad(gy: np.ndarray, y: np.ndarray, axis: int) -> np.ndarray:
    """Return gx[c] = gy[c] - exp(y[c]) * sum over k of gy[k].

    >>> log_softmax_grad(np.array([1.0, 0.0]), y=np.log([0.5, 0.5]), axis=0)
    array([ 0.5, -0.5])
    """
    return gy - np.exp(y) * gy.sum(axis, keepdims=True)
