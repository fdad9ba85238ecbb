"""The matrix product, from its definition."""

from __future__ import annotations

import math

import numpy as np

from tinygrad_cnn.reference.precision import in_float64


@in_float64
def matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Multiply matrices, or stacks of matrices whose leading axes broadcast.

        y[..., i, j] = sum over k of a[..., i, k] * b[..., k, j]

    Args:
        a: (..., M, K), at least 2-d.
        b: (..., K, N), at least 2-d.

    Returns:
        y (..., M, N).

    Raises:
        ValueError: if the inner sizes differ or the leading axes do not broadcast.

    >>> matmul(np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]]))
    array([[11.]])
    """
    (M, K), (rows, N) = a.shape[-2:], b.shape[-2:]
    if K != rows:
        raise ValueError(f"matmul: the columns of a and the rows of b differ, {K} and {rows}, in {a.shape} @ {b.shape}")
    stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a = np.broadcast_to(a, (*stack, M, K))
    b = np.broadcast_to(b, (*stack, K, N))
    y = np.zeros((*stack, M, N))
    for s in np.ndindex(stack):
        for i in range(M):
            for j in range(N):
                for k in range(K):
                    y[*s, i, j] += a[*s, i, k] * b[*s, k, j]
    return y


@in_float64
def linear(x: np.ndarray, w: np.ndarray, b: np.ndarray | None) -> np.ndarray:
    """Map the last axis linearly.

        y[..., o] = b[o] + sum over i of x[..., i] * w[o, i]

    Args:
        x: (..., I).
        w: (O, I).
        b: (O,), or None.

    Returns:
        y (..., O).

    >>> linear(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0], [0.0, 1.0]]), np.array([0.5, 0.0]))
    array([[11.5,  2. ]])
    """
    *rows, I = x.shape
    y = matmul(x.reshape(math.prod(rows), I), w.T)  # (rows, I) @ (I, O) -> (rows, O)
    if b is not None:
        y += b
    return y.reshape(*rows, len(w))
