"""Order along one axis: values with derivatives, which go back to the indices they were taken from."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_cnn.functional.elementwise import FLOATS
from tinygrad_cnn.functional.extremum import TakeAlong
from tinygrad_cnn.functional.shape import axis_index, either, ndim_of
from tinygrad_cnn.kernels import along as kernel
from tinygrad_cnn.kernels.geometry import whole
from tinygrad_cnn.state import place

FEW = 32  # so many are found in one pass, without sorting the others


def _order(x: ndarray, axis: int, descending: bool) -> ndarray:
    """Return the indices that sort x, equal elements in their own order; NaN counts as the largest number."""
    if x.dtype == np.float32:
        return _order_of_bits(x, axis, descending)
    if not descending:
        return np.argsort(x, axis, kind="stable")
    # Backwards twice: the reversal also turns the order of equal elements round.
    order = np.argsort(np.flip(x, axis), axis, kind="stable")
    return np.ascontiguousarray(x.shape[axis] - 1 - np.flip(order, axis))


def _order_of_bits(x: ndarray, axis: int, descending: bool) -> ndarray:
    """Sort 64-bit integers, which is quick: the number as one that is ordered alike, and the index below it."""
    bits = (x + np.float32(0)).view(np.int32)  # -0 has become 0
    bits ^= (bits >> 31) & 0x7FFFFFFF  # of negative numbers, the larger magnitude is the smaller one
    bits[np.isnan(x)] = 0x7FFFFFFF
    if descending:
        np.invert(bits, bits)
    keys = bits.astype(np.int64)
    keys <<= 32
    keys |= np.arange(x.shape[axis]).reshape(-1, *(1,) * (x.ndim - axis - 1))
    keys.sort(axis)
    keys &= 0xFFFFFFFF
    return keys


def _array(input: Any) -> ndarray:
    return input if isinstance(input, ndarray) else input._data


def _taken(input: Any, order: ndarray, axis: int) -> tuple[Any, Any]:
    values = TakeAlong(order, axis).apply(input)
    return values, order if isinstance(values, ndarray) else values.wrap(order)


def sort(
    input: Any, dim: int | None = None, descending: bool = False, stable: bool = False, *, axis: int | None = None
) -> tuple[Any, Any]:
    """Return (values, indices) in order along ``dim``, the last axis by default. NaN is the largest number.

    Equal elements keep their order whether or not ``stable`` is asked for. An axis of size 0 stays empty.

    >>> import numpy as np
    >>> sort(np.array([3.0, 1.0, 2.0]), descending=True)
    (array([3., 2., 1.]), array([0, 2, 1]))
    """
    at = _axis("sort", input, either("sort", dim, axis))
    return _taken(input, _order(_array(input), at, descending), at)


def argsort(
    input: Any, dim: int | None = None, descending: bool = False, stable: bool = False, *, axis: int | None = None
) -> Any:
    """Return the indices (int64) of `sort`.

    >>> import numpy as np
    >>> argsort(np.array([3.0, 1.0, 2.0]))
    array([1, 2, 0])
    """
    at = _axis("argsort", input, either("argsort", dim, axis))
    order = _order(_array(input), at, descending)
    return order if isinstance(input, ndarray) else input.wrap(order)


def topk(
    input: Any, k: int, dim: int | None = None, largest: bool = True, sorted: bool = True, *, axis: int | None = None
) -> tuple[Any, Any]:
    """Return (values, indices) of the k largest (or smallest) elements along ``dim``, the first of them first.

    They come in order whether or not ``sorted`` is asked for; of equal elements the first are taken.

    >>> import numpy as np
    >>> topk(np.array([0.1, 0.7, 0.2]), 2)
    (array([0.7, 0.2]), array([1, 2]))
    """
    at = _axis("topk", input, either("topk", dim, axis))
    if whole("topk", "k", k, 0) > input.shape[at]:
        raise ValueError(f"{place('topk')}: k must be from 0 to {input.shape[at]}, the size of dim {at}, got {k!r}")
    x = _array(input)
    if 0 < k <= FEW and x.dtype in FLOATS and x.size:
        rows = np.moveaxis(x, at, -1)
        order = kernel.first(rows.reshape(-1, x.shape[at]), int(k), largest).reshape(*rows.shape[:-1], int(k))
        return _taken(input, np.moveaxis(order, -1, at), at)
    first = (slice(None),) * at + (slice(k),)
    return _taken(input, _order(x, at, largest)[first], at)


def _axis(op: str, input: Any, dim: int | None) -> int:
    if not ndim_of(op, input):
        raise ValueError(f"{place(op)}: a number has no order; needs at least one axis")
    return axis_index(op, -1 if dim is None else dim, len(input.shape))
