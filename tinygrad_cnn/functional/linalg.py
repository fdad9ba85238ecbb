"""Matrix products: bilinear, so each gradient is a matrix product too."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_cnn.autograd import Function
from tinygrad_cnn.functional.elementwise import FLOATS
from tinygrad_cnn.functional.reduce import sum
from tinygrad_cnn.functional.shape import array_shape, reshape, shape_of, sum_to, transpose
from tinygrad_cnn.kernels import gemm as kernel
from tinygrad_cnn.kernels import linear as layer
from tinygrad_cnn.kernels.reduce import rows_sum
from tinygrad_cnn.state import place

_FLOATS = set(FLOATS)
GX, GW = (True, False, False), (False, True, False)  # which gradients are wanted


class MatMul(Function):
    """y[..., m, n] = sum over k of a[..., m, k] * b[..., k, n], leading axes broadcast."""

    def forward(self, a: ndarray, b: ndarray) -> ndarray:
        return kernel.matmul(a, b)

    def grad_a(self, gy: Any, b: Any) -> Any:
        return MatMul().apply(gy, transpose(b, -1, -2))

    def grad_b(self, gy: Any, a: Any) -> Any:
        return MatMul().apply(transpose(a, -1, -2), gy)

    def fit(self, g: Any, shape: tuple[int, ...]) -> Any:
        """Sum over the leading axes along which an operand was broadcast."""
        return sum_to(g, shape)


class Linear(Function):
    """y[n, o] = b[o] + sum over i of x[n, i] * w[o, i]."""

    def forward(self, x: ndarray, w: ndarray, b: ndarray | None = None) -> ndarray:
        return layer.linear(x, w, b)

    def grad_x(self, gy: Any, w: Any) -> Any:
        return layer.gradients(gy, None, w, GX)[0] if type(gy) is ndarray else MatMul().apply(gy, w)

    def grad_w(self, gy: Any, x: Any) -> Any:
        return layer.gradients(gy, x, None, GW)[1] if type(gy) is ndarray else MatMul().apply(gy.T, x)

    def grad_b(self, gy: Any) -> Any:
        return rows_sum(gy) if type(gy) is ndarray else sum(gy, 0)


def same_float(op: str, **operands: Any) -> None:
    """Raise TypeError unless all operands (None left out) are float32 or float64 and of one dtype."""
    kinds = {getattr(operand, "dtype", None) for operand in operands.values() if operand is not None}
    if len(kinds) == 1 and kinds <= _FLOATS:
        return
    found = ", ".join(
        f"{name} {getattr(operand, 'dtype', type(operand).__name__)}"
        for name, operand in operands.items()
        if operand is not None
    )
    bare = [name for name, operand in operands.items() if operand is not None and not hasattr(operand, "dtype")]
    advice = f"wrap {' and '.join(bare)}: Tensor(...)" if bare else "convert with .astype()"
    raise TypeError(f"{place(op)}: needs float32 or float64 and one dtype for all, got {found or 'None'}; {advice}")


def matmul(input: Any, other: Any) -> Any:
    """Return the matrix product; vectors are promoted and leading axes broadcast, as in NumPy.

    >>> import numpy as np
    >>> matmul(np.ones((2, 3)), np.ones((3, 4))).shape
    (2, 4)
    """
    a_shape, b_shape = array_shape("matmul", input), array_shape("matmul", other)
    if not a_shape or not b_shape:
        raise ValueError(f"{place('matmul')}: needs at least one axis on each side, got shapes {a_shape} and {b_shape}")
    a = reshape(input, 1, -1) if len(a_shape) == 1 else input
    b = reshape(other, -1, 1) if len(b_shape) == 1 else other
    if a.shape[-1] != b.shape[-2]:
        raise ValueError(
            f"{place('matmul')}: shapes {a_shape} and {b_shape}: the last size of the first ({a.shape[-1]}) must equal "
            f"the {'only' if len(b_shape) == 1 else 'last but one'} size of the second ({b.shape[-2]})"
        )
    try:
        np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError:
        raise ValueError(f"{place('matmul')}: the leading sizes of {a_shape} and {b_shape} do not broadcast") from None
    same_float("matmul", input=a, other=b)
    y = MatMul().apply(a, b)
    if len(a_shape) == 1 or len(b_shape) == 1:
        rows = () if len(a_shape) == 1 else y.shape[-2:-1]
        y = reshape(y, *y.shape[:-2], *rows, *(() if len(b_shape) == 1 else y.shape[-1:]))
    return y


def rmatmul(input: Any, other: Any) -> Any:
    """Return other @ input."""
    return matmul(other, input)


def bmm(input: Any, mat2: Any) -> Any:
    """Return the products of two stacks of matrices, without broadcasting: (B, M, K) and (B, K, N) -> (B, M, N).

    >>> import numpy as np
    >>> bmm(np.ones((5, 2, 3)), np.ones((5, 3, 4))).shape
    (5, 2, 4)
    """
    a, b = shape_of(input), shape_of(mat2)
    if len(a) != 3 or len(b) != 3 or a[0] != b[0] or a[2] != b[1]:
        raise ValueError(f"{place('bmm')}: needs (B, M, K) and (B, K, N), got {a} and {b}; matmul() broadcasts")
    same_float("bmm", input=input, mat2=mat2)
    return MatMul().apply(input, mat2)


def linear(input: Any, weight: Any, bias: Any = None) -> Any:
    """Return input @ weight.T + bias.

    input (..., I), weight (O, I), bias (O,)  ->  (..., O).

    >>> import numpy as np
    >>> linear(np.ones((8, 400)), np.ones((120, 400)), np.zeros(120)).shape
    (8, 120)
    """
    x, w = shape_of(input), shape_of(weight)
    if not x or len(w) != 2 or x[-1] != w[1]:
        raise ValueError(
            f"{place('linear')}: input (..., I) and weight (O, I) must agree in I, got input {x} and weight {w}. "
            "After convolutions, flatten(1) joins channels, height and width into I"
        )
    if bias is not None and shape_of(bias) != w[:1]:
        raise ValueError(f"{place('linear')}: bias must have shape ({w[0]},) for weight {w}, got {shape_of(bias)}")
    same_float("linear", input=input, weight=weight, bias=bias)
    y = Linear().apply(input if len(x) == 2 else reshape(input, math.prod(x[:-1]), w[1]), weight, bias)
    return y if len(x) == 2 else reshape(y, *x[:-1], w[0])
