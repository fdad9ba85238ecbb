"""Reading and writing parts of an array by ints, slices, arrays and masks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_cnn.autograd import Function, Part, Variable
from tinygrad_cnn.functional.shape import Shape, sum_to
from tinygrad_cnn.state import place


def array_key(key: Any) -> Any:
    """Return an index in which tensors are replaced by their arrays."""
    if isinstance(key, tuple):
        return tuple(array_key(part) for part in key)
    if isinstance(key, Variable):
        key = key._data
    if isinstance(key, list):
        key = np.asarray([array_key(part) for part in key], None if key else np.int64)  # [] would be of floats
    return key


def is_basic(key: Any) -> bool:
    """Say whether NumPy answers this index with a view: ints, slices, None and ... only."""
    parts = key if isinstance(key, tuple) else (key,)
    return all(
        part is None or part is Ellipsis or (isinstance(part, (slice, int, np.integer)) and not isinstance(part, bool))
        for part in parts
    )


class Index(Function):
    """x[key]; the adjoint adds what comes back at the places it was read from."""

    def __init__(self, key: Any) -> None:
        self.key = key

    def forward(self, x: ndarray) -> ndarray:
        self.x_shape = x.shape
        try:
            return x[self.key]
        except IndexError as error:
            raise IndexError(f"{place('indexing')} an array of shape {x.shape}: {error}") from None

    def grad_x(self, gy: Any) -> Any:
        return Scatter(self.key, self.x_shape).apply(gy)


class Slice(Index):
    """x[key] for ints, slices, None and ...: a view of x."""

    view = True

    def grad_x(self, gy: Any) -> Any:
        return Part(self.key, gy) if type(gy) is ndarray else super().grad_x(gy)


class Scatter(Function):
    """Zeros of ``x_shape`` with gy added at ``key``; indices that repeat accumulate."""

    def __init__(self, key: Any, x_shape: Shape) -> None:
        self.key, self.x_shape = key, x_shape

    def forward(self, gy: ndarray) -> ndarray:
        gx = np.zeros(self.x_shape, gy.dtype)
        if is_basic(self.key):
            gx[self.key] = gy
        else:
            np.add.at(gx, self.key, gy)
        return gx

    def grad_gy(self, ggx: Any) -> Any:
        return read(ggx, self.key)


def read(x: Any, key: Any) -> Any:
    """Return x[key] for a key without tensors."""
    return (Slice if is_basic(key) else Index)(key).apply(x)


def index(input: Any, key: Any) -> Any:
    """Return ``input[key]``: ints, slices, None, ..., integer and boolean arrays or tensors, and tuples of them."""
    return read(input, array_key(key))


class SetItem(Function):
    """x with v written at ``key``: the one operation that writes the memory of its input."""

    def __init__(self, key: Any) -> None:
        self.key = key

    def forward(self, x: ndarray, v: Any) -> ndarray:
        self.x_shape = x.shape
        x[self.key] = v
        return x

    def grad_x(self, gy: Any) -> Any:
        written = np.zeros(self.x_shape, bool)
        written[self.key] = True
        return Mask(~written).apply(gy)

    def grad_v(self, gy: Any) -> Any:
        return read(gy, self.key)

    def fit(self, g: Any, shape: Shape) -> Any:
        """Sum over the axes along which v was broadcast."""
        return sum_to(g, shape)


class Mask(Function):
    """x where ``mask`` holds and 0 elsewhere, without multiplying: 0 * inf would be NaN. Its own adjoint."""

    def __init__(self, mask: ndarray) -> None:
        self.mask = mask

    def forward(self, x: ndarray) -> ndarray:
        return np.where(self.mask, x, x.dtype.type(0))

    def grad_x(self, gy: Any) -> Any:
        return Mask(self.mask).apply(gy)
