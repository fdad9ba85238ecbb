"""Tensors from nothing: constants, ranges and random numbers. The default dtype is float32."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_cnn.functional.shape import sizes
from tinygrad_cnn.state import generator_for
from tinygrad_cnn.tensor import Tensor, as_array


def _sizes(op: str, shape: Any) -> tuple[int, ...]:
    found = sizes(op, shape)
    if min(found, default=0) < 0:
        raise ValueError(f"{op}: sizes must be at least 0, got {found}")
    return found


def tensor(data: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Return a Tensor on a *copy* of the data, as PyTorch's ``tensor`` does (``Tensor(data)`` shares an ndarray).

    >>> tensor([1, 2, 3]).dtype
    dtype('int64')
    """
    return Tensor(as_array(data, dtype).copy(), None, requires_grad)


def zeros(*shape: Any, dtype: Any = np.float32, requires_grad: bool = False) -> Tensor:
    """Return a tensor of zeros.

    >>> zeros(2, 3).shape
    (2, 3)
    """
    return Tensor(np.zeros(_sizes("zeros", shape), dtype), None, requires_grad)


def ones(*shape: Any, dtype: Any = np.float32, requires_grad: bool = False) -> Tensor:
    """Return a tensor of ones."""
    return Tensor(np.ones(_sizes("ones", shape), dtype), None, requires_grad)


def full(shape: Any, fill_value: float, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Return a tensor filled with one value, whose kind decides the dtype where none is given."""
    dtype = as_array(fill_value).dtype if dtype is None else dtype
    return Tensor(np.full(_sizes("full", (shape,)), fill_value, dtype), None, requires_grad)


def randn(
    *shape: Any, dtype: Any = np.float32, requires_grad: bool = False, generator: np.random.Generator | None = None
) -> Tensor:
    """Return standard normal numbers from ``generator`` (the default one, see `manual_seed`, where None)."""
    array = generator_for("randn", generator).standard_normal(_sizes("randn", shape), dtype)
    return Tensor(np.asarray(array), None, requires_grad)


def rand(
    *shape: Any, dtype: Any = np.float32, requires_grad: bool = False, generator: np.random.Generator | None = None
) -> Tensor:
    """Return uniform numbers in [0, 1) from ``generator`` (the default one where None)."""
    array = generator_for("rand", generator).random(_sizes("rand", shape), dtype)
    return Tensor(np.asarray(array), None, requires_grad)


def arange(start: Any, end: Any = None, step: Any = 1, dtype: Any = None) -> Tensor:
    """Return start, start + step, ... below ``end``; with one argument 0, 1, ... below it."""
    if end is None:
        start, end = 0, start
    if not step:
        raise ValueError(f"arange: step must not be 0; got {start}, {end}, {step}")
    if dtype is None:
        dtype = np.int64 if all(isinstance(v, (int, np.integer)) for v in (start, end, step)) else np.float32
    return Tensor(np.arange(start, end, step, dtype=dtype))


def eye(n: int, m: int | None = None, dtype: Any = np.float32) -> Tensor:
    """Return the n x m matrix with ones on the diagonal."""
    return Tensor(np.eye(*_sizes("eye", (n, n if m is None else m)), dtype=dtype))


def zeros_like(input: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Return zeros in the shape (and dtype) of ``input``."""
    return zeros(input.shape, dtype=dtype or input.dtype, requires_grad=requires_grad)


def ones_like(input: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Return ones in the shape (and dtype) of ``input``."""
    return ones(input.shape, dtype=dtype or input.dtype, requires_grad=requires_grad)


def full_like(input: Any, fill_value: float, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Return one value in the shape (and dtype) of ``input``."""
    return full(input.shape, fill_value, dtype or input.dtype, requires_grad)


def randn_like(
    input: Any, dtype: Any = None, requires_grad: bool = False, generator: np.random.Generator | None = None
) -> Tensor:
    """Return standard normal numbers in the shape (and dtype) of ``input``."""
    return randn(input.shape, dtype=dtype or input.dtype, requires_grad=requires_grad, generator=generator)


def rand_like(
    input: Any, dtype: Any = None, requires_grad: bool = False, generator: np.random.Generator | None = None
) -> Tensor:
    """Return uniform numbers in [0, 1) in the shape (and dtype) of ``input``."""
    return rand(input.shape, dtype=dtype or input.dtype, requires_grad=requires_grad, generator=generator)
