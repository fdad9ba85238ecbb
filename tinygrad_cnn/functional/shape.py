"""Operations that move elements without changing them. Each is linear, and its adjoint moves them back."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_cnn.autograd import Function
from tinygrad_cnn.kernels.permute import contiguous
from tinygrad_cnn.state import place

Shape = tuple[int, ...]


# --- arguments ---------------------------------------------------------------------------------------------------


def shape_of(x: Any) -> Shape:
    """Return the shape of an array or a tensor; numbers have the shape ()."""
    try:
        return x.shape
    except AttributeError:
        return np.shape(x)


def ndim_of(op: str, input: Any) -> int:
    """Return the number of axes, or raise an error that names what is no array."""
    if not hasattr(input, "shape"):
        raise TypeError(f"{place(op)}: needs a Tensor or an ndarray, got {type(input).__name__}; make it a Tensor(...)")
    return len(input.shape)


def array_shape(op: str, input: Any) -> Shape:
    """Return the shape, or raise an error that names what is no array."""
    ndim_of(op, input)
    return input.shape


def either(op: str, dim: Any, axis: Any) -> Any:
    """Return the one of PyTorch's ``dim`` and NumPy's ``axis`` that was given."""
    if axis is None:
        return dim
    if dim is not None:
        raise TypeError(f"{place(op)}: dim and axis are two names of one argument; give one of them")
    return axis


def axis_index(op: str, dim: Any, ndim: int) -> int:
    """Return ``dim`` counted from the front, or raise an error that names the range."""
    try:
        index = dim.__index__()
    except (AttributeError, TypeError):  # a float, or a tensor that is no index
        raise TypeError(f"{place(op)}: dim must be an int, got {dim!r}") from None
    if not -ndim <= index < ndim:
        raise IndexError(f"{place(op)}: dim {index} is out of range for {ndim} dimensions ({-ndim} to {ndim - 1})")
    return index % ndim


def axes_tuple(op: str, dim: Any, ndim: int) -> tuple[int, ...]:
    """Return sorted axes counted from the front; None means all of them."""
    if dim is None:
        return tuple(range(ndim))
    axes = [axis_index(op, d, ndim) for d in (dim if isinstance(dim, (tuple, list)) else (dim,))]
    if len(set(axes)) < len(axes):
        raise ValueError(f"{place(op)}: dim {dim!r} names an axis twice")
    return tuple(sorted(axes))


def sizes(op: str, shape: Sequence[Any]) -> tuple[int, ...]:
    """Return the ints of ``f(2, 3)`` or ``f((2, 3))``."""
    parts = tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], Iterable) else tuple(shape)
    try:
        return tuple(part.__index__() for part in parts)
    except (AttributeError, TypeError):
        raise TypeError(f"{place(op)}: sizes must be ints, got {parts}") from None


# --- reshape and friends -----------------------------------------------------------------------------------------


class Reshape(Function):
    """The same elements, in the same order, under another shape."""

    view = True

    def __init__(self, target: Shape) -> None:
        self.target = target

    def forward(self, x: ndarray) -> ndarray:
        try:
            self.x_shape = x.shape
            if not x.flags.c_contiguous:
                with suppress(ValueError):  # no view of it has this shape
                    return x.reshape(self.target, copy=False)
                x = contiguous(x)
            return x.reshape(self.target)
        except AttributeError:
            raise TypeError(f"{place('reshape')}: needs a Tensor or an ndarray, got {type(x).__name__}") from None
        except ValueError:
            raise ValueError(
                f"{place('reshape')}: shape {x.shape} has {x.size} elements, which do not fill {self.target}"
            ) from None

    def grad_x(self, gy: Any) -> Any:
        return reshape(gy, self.x_shape)


def reshape(input: Any, *shape: Any) -> Any:
    """Return the same elements under another shape; one size may be -1 and is computed.

    >>> import numpy as np
    >>> reshape(np.arange(6), 2, -1).shape
    (2, 3)
    """
    return Reshape(sizes("reshape", shape)).apply(input)


def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """Join the axes from ``start_dim`` to ``end_dim`` (included) into one.

    >>> import numpy as np
    >>> flatten(np.zeros((8, 16, 5, 5)), 1).shape
    (8, 400)
    """
    shape = array_shape("flatten", input)
    if not shape:
        return reshape(input, (1,))
    start, end = axis_index("flatten", start_dim, len(shape)), axis_index("flatten", end_dim, len(shape))
    if start > end:
        raise ValueError(f"{place('flatten')}: start_dim {start_dim} comes after end_dim {end_dim} in shape {shape}")
    return reshape(input, (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :]))


def squeeze(input: Any, dim: Any = None, *, axis: Any = None) -> Any:
    """Remove axes of size 1: all of them, or those that ``dim`` names (others among these stay)."""
    shape, dim = array_shape("squeeze", input), either("squeeze", dim, axis)
    axes = axes_tuple("squeeze", dim, len(shape))
    return reshape(input, tuple(n for i, n in enumerate(shape) if n != 1 or i not in axes))


def unsqueeze(input: Any, dim: int) -> Any:
    """Insert an axis of size 1 at position ``dim`` of the result."""
    shape = array_shape("unsqueeze", input)
    at = axis_index("unsqueeze", dim, len(shape) + 1)
    return reshape(input, (*shape[:at], 1, *shape[at:]))


class Permute(Function):
    """Axes in another order; the adjoint is the inverse order."""

    view = True

    def __init__(self, order: tuple[int, ...]) -> None:
        self.order = order

    def forward(self, x: ndarray) -> ndarray:
        return x.transpose(self.order)

    def grad_x(self, gy: Any) -> Any:
        inverse = sorted(range(len(self.order)), key=self.order.__getitem__)
        return Permute(tuple(inverse)).apply(gy)


def permute(input: Any, *axes: Any, dims: Any = None) -> Any:
    """Return the axes in the order ``axes`` (or ``dims``), each named once.

    >>> import numpy as np
    >>> permute(np.zeros((2, 28, 30, 3)), 0, 3, 1, 2).shape
    (2, 3, 28, 30)
    """
    ndim = ndim_of("permute", input)
    order = tuple(axis_index("permute", d, ndim) for d in sizes("permute", axes if dims is None else (dims,)))
    if sorted(order) != list(range(ndim)):
        raise ValueError(f"{place('permute')}: dims {order} must name each of the {ndim} axes once")
    return Permute(order).apply(input)


def transpose(input: Any, dim0: int, dim1: int) -> Any:
    """Swap two axes (NumPy's ``transpose``, which reorders all of them, is `permute` here)."""
    ndim = ndim_of("transpose", input)
    a, b = axis_index("transpose", dim0, ndim), axis_index("transpose", dim1, ndim)
    order = list(range(ndim))
    order[a], order[b] = b, a
    return Permute(tuple(order)).apply(input)


# --- broadcasting and its adjoint --------------------------------------------------------------------------------


class Expand(Function):
    """Repeat along axes of size 1, as broadcasting does."""

    view = True

    def __init__(self, target: Shape) -> None:
        self.target = target

    def forward(self, x: ndarray) -> ndarray:
        self.x_shape = x.shape
        try:
            return np.broadcast_to(x, self.target)
        except ValueError:
            raise ValueError(
                f"{place('expand')}: shape {x.shape} does not broadcast to {self.target}: read from the right, each "
                "size must be equal or 1"
            ) from None

    def grad_x(self, gy: Any) -> Any:
        return sum_to(gy, self.x_shape)


class SumTo(Function):
    """Sum over the axes along which ``target`` would be broadcast to the shape of x."""

    def __init__(self, target: Shape) -> None:
        self.target = target

    def forward(self, x: ndarray) -> ndarray:
        self.x_shape = x.shape
        extra = x.ndim - len(self.target)
        axes = tuple(i for i in range(x.ndim) if i < extra or self.target[i - extra] == 1 != x.shape[i])
        x = np.asarray(x, order="C")  # the order of a sum, and so its last bit, must not depend on the layout
        # float32 is summed in float64: a long sum keeps its digits
        return x.sum(axis=axes, dtype=np.float64 if x.dtype.kind == "f" else None).astype(x.dtype).reshape(self.target)

    def grad_x(self, gy: Any) -> Any:
        return Expand(self.x_shape).apply(gy)


def expand(input: Any, *sizes_: Any) -> Any:
    """Broadcast to a larger shape without copying; -1 keeps the size of an axis.

    >>> import numpy as np
    >>> expand(np.array([[1.0], [2.0]]), 2, 3)
    array([[1., 1., 1.],
           [2., 2., 2.]])
    """
    target, shape = sizes("expand", sizes_), array_shape("expand", input)
    extra = len(target) - len(shape)
    if -1 in target[: max(extra, 0)]:
        raise ValueError(f"{place('expand')}: -1 keeps the size of an axis, but {target} uses it for a new one")
    return Expand(tuple(shape[i - extra] if n == -1 else n for i, n in enumerate(target))).apply(input)


def sum_to(x: Any, shape: Shape) -> Any:
    """Undo broadcasting: sum ``x`` to ``shape``, over leading axes and those where ``shape`` has a 1."""
    return x if x.shape == shape else SumTo(shape).apply(x)
