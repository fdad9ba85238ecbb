"""Order along one axis: values with derivatives, which go back to the indices they were taken from."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_cnn.functional.extremum import TakeAlong
from tinygrad_cnn.functional.shape import axis_index, either, ndim_of
from tinygrad_cnn.kernels.geometry import whole
from tinygrad_cnn.state import place


def _order(x: ndarray, axis: int, descending: bool) -> ndarray:
    """Return the indices that sort x, equal elements in their own order; NaN counts as the largest number."""
    if not descending:
        return np.argsort(x, axis, kind="stable")
    # Backwards twice: the reversal also turns the order of equal elements round.
    order = np.argsort(np.flip(x, axis), axis, kind="stable")
    return np.ascontiguousarray(x.shape[axis] - 1 - np.flip(order, axis))


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
    first = (slice(None),) * at + (slice(k),)
    return _taken(input, _order(_array(input), at, largest)[first], at)


def _axis(op: str, input: Any, dim: int | None) -> int:
    if not ndim_of(op, input):
        raise ValueError(f"{place(op)}: a number has no order; needs at least one axis")
    return axis_index(op, -1 if dim is None else dim, len(input.shape))
