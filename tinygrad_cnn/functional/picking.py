"""Elements picked by an index for each place along one axis. Picking and adding back are adjoints of each other."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_cnn.autograd import Function, Variable
from tinygrad_cnn.functional.elementwise import FLOATS
from tinygrad_cnn.functional.linalg import same_float
from tinygrad_cnn.functional.shape import Shape, axis_index, expand, ndim_of
from tinygrad_cnn.kernels import along as kernel
from tinygrad_cnn.state import place


def _corner(x: ndarray, index: ndarray, axis: int) -> ndarray:
    """Return the part of x that an index of smaller sizes can meet."""
    return x[tuple(slice(None) if i == axis else slice(n) for i, n in enumerate(index.shape))]


class Gather(Function):
    """y[i][j] = x[index[i][j]][j], written for axis 0 of two."""

    def __init__(self, index: ndarray, axis: int) -> None:
        self.index, self.axis = index, axis

    def forward(self, x: ndarray) -> ndarray:
        self.x_shape = x.shape
        corner = _corner(x, self.index, self.axis)
        pick = kernel.gather if x.dtype in FLOATS else np.take_along_axis
        return pick(corner, self.index, self.axis)

    def grad_x(self, gy: Any) -> Any:
        return GatherAdjoint(self.index, self.axis, self.x_shape).apply(gy)


class GatherAdjoint(Function):
    """Zeros of ``x_shape`` to which each gy is added at its index; float32 is added up in float64."""

    def __init__(self, index: ndarray, axis: int, x_shape: Shape) -> None:
        self.index, self.axis, self.x_shape = index, axis, x_shape

    def forward(self, gy: ndarray) -> ndarray:
        sums = kernel.gather_grad(gy, self.index, self.axis, self.x_shape[self.axis])
        if sums.shape == self.x_shape:
            return sums
        gx = np.zeros(self.x_shape, gy.dtype)
        _corner(gx, self.index, self.axis)[...] = sums
        return gx

    def grad_gy(self, ggx: Any) -> Any:
        return Gather(self.index, self.axis).apply(ggx)


class ScatterAdd(Function):
    """x, with each src added at its index."""

    def __init__(self, index: ndarray, axis: int) -> None:
        self.index, self.axis = index, axis

    def forward(self, x: ndarray, src: ndarray) -> ndarray:
        corner = _corner(x, self.index, self.axis)
        sums = kernel.gather_grad(src, self.index, self.axis, x.shape[self.axis], corner)
        if sums.shape == x.shape:
            return sums
        y = x.copy()
        _corner(y, self.index, self.axis)[...] = sums
        return y

    def grad_x(self, gy: Any) -> Any:
        return gy

    def grad_src(self, gy: Any) -> Any:
        return Gather(self.index, self.axis).apply(gy)


def _checked_index(op: str, index: Any, shape: Shape, dim: int) -> tuple[ndarray, int]:
    """Return an index as int32 and the axis counted from the front, or raise an error that names what is wrong."""
    array = index._data if isinstance(index, Variable) else np.asarray(index)
    axis = axis_index(op, dim, len(shape))
    if array.dtype.kind not in "iu":
        raise TypeError(f"{place(op)}: index must hold integers, got {array.dtype}")
    if array.ndim != len(shape) or any(
        k > n for i, (k, n) in enumerate(zip(array.shape, shape, strict=True)) if i != axis
    ):
        raise ValueError(
            f"{place(op)}: index {array.shape} must have as many axes as the input {shape} and be no larger, but along "
            f"dim {axis}"
        )
    kept, inside = kernel.copied(array, shape[axis])  # later writes to the caller's index must not reach backward
    if not inside:
        wrong = array.min() if array.min() < 0 else array.max()
        raise IndexError(f"{place(op)}: index {wrong} is out of range: dim {axis} has size {shape[axis]}")
    return kept, axis


def gather(input: Any, dim: int, index: Any) -> Any:
    """Pick an element for each place of ``index`` along ``dim``.

        y[i][j] = input[index[i][j]][j]    for dim 0 of two;    y[i][j] = input[i][index[i][j]]    for dim 1

    Args:
        input: any shape.
        dim: the axis along which to pick.
        index: integers; as many axes as the input, no larger than it except along ``dim``. The result has its shape.

    Raises:
        IndexError: an index is negative or too large.

    >>> import numpy as np
    >>> gather(np.array([[1.0, 2.0], [3.0, 4.0]]), 1, np.array([[0, 0], [1, 0]]))
    array([[1., 1.],
           [4., 3.]])
    """
    ndim_of("gather", input)
    return Gather(*_checked_index("gather", index, input.shape, dim)).apply(input)


def scatter_add(input: Any, dim: int, index: Any, src: Any) -> Any:
    """Return the input with each element of ``src`` added at its index along ``dim``; indices that repeat accumulate.

        y[index[i][j]][j] += src[i][j]    for dim 0 of two

    Args:
        input: what to add to; it is not written.
        dim: the axis along which ``index`` points.
        index: integers, as for `gather`.
        src: the dtype of the input, at least the sizes of ``index``; what is beyond them is not read.

    >>> import numpy as np
    >>> scatter_add(np.zeros(3), 0, np.array([2, 0, 2]), np.array([1.0, 10.0, 100.0]))
    array([ 10.,   0., 101.])
    """
    same_float("scatter_add", input=input, src=src)
    picked, axis = _checked_index("scatter_add", index, input.shape, dim)
    if len(src.shape) != picked.ndim or any(k > n for k, n in zip(picked.shape, src.shape, strict=True)):
        raise ValueError(f"{place('scatter_add')}: src {src.shape} must be at least as large as index {picked.shape}")
    if src.shape != picked.shape:
        src = src[tuple(map(slice, picked.shape))]
    return ScatterAdd(picked, axis).apply(input, src)


def take_along_axis(arr: Any, indices: Any, axis: int = -1) -> Any:
    """Pick along one axis as NumPy's function of this name: indices may be negative, other axes broadcast.

    >>> import numpy as np
    >>> take_along_axis(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[-1], [0]]), 1)
    array([[2.],
           [3.]])
    """
    op = "take_along_axis"
    at, array = axis_index(op, axis, ndim_of(op, arr)), indices._data if isinstance(indices, Variable) else indices
    array, size = np.asarray(array), arr.shape[at]
    if array.ndim != len(arr.shape):
        raise ValueError(f"{place(op)}: indices {array.shape} must have as many axes as the array {arr.shape}")
    others = [
        (1 if i == at else n, 1 if i == at else k) for i, (n, k) in enumerate(zip(arr.shape, array.shape, strict=True))
    ]
    try:
        common = list(np.broadcast_shapes(*zip(*others, strict=True)))
    except ValueError:
        raise ValueError(
            f"{place(op)}: indices {array.shape} and array {arr.shape} must agree or be 1 except along axis {at}"
        ) from None
    common[at] = array.shape[at]
    if array.dtype.kind == "i":
        array = array.astype(np.int64, copy=False)  # int8 may hold -1, but not the index it stands for
        array = np.where(array < 0, array + size, array)
    array = np.broadcast_to(array, common)
    common[at] = size
    return Gather(*_checked_index(op, array, tuple(common), at)).apply(expand(arr, common))
