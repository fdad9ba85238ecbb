"""What happens when NumPy meets a Tensor: the functions in two tables differentiate, all others raise.

Nothing is ever detached silently. Calls through ``np.*`` follow NumPy where NumPy and PyTorch differ.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from tinygrad_cnn import functional as F
from tinygrad_cnn.autograd import Variable

UFUNCS: dict[np.ufunc, Callable[..., Any]] = {
    np.add: F.add,
    np.subtract: F.sub,
    np.multiply: F.mul,
    np.true_divide: F.div,
    np.power: F.pow,
    np.negative: F.neg,
    np.exp: F.exp,
    np.log: F.log,
    np.sqrt: F.sqrt,
    np.absolute: F.abs,
    np.sign: F.sign,
    np.square: lambda x: F.mul(x, x),
    np.maximum: F.maximum,
    np.minimum: F.minimum,
    np.tanh: F.tanh,
    np.matmul: F.matmul,
    np.equal: F.eq,
    np.not_equal: F.ne,
    np.less: F.lt,
    np.less_equal: F.le,
    np.greater: F.gt,
    np.greater_equal: F.ge,
}


def _sum(a: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    return F.sum(a, axis, keepdims)


def _mean(a: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    return F.mean(a, axis, keepdims)


def _var(a: Any, axis: Any = None, *, ddof: float = 0, keepdims: bool = False) -> Any:
    return F.var(a, axis, ddof, keepdims)  # NumPy divides by n unless told otherwise


def _std(a: Any, axis: Any = None, *, ddof: float = 0, keepdims: bool = False) -> Any:
    return F.std(a, axis, ddof, keepdims)


def _max(a: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    return F.amax(a, axis, keepdims)


def _min(a: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    return F.amin(a, axis, keepdims)


def _transpose(a: Any, axes: Any = None) -> Any:
    return F.permute(a, *(range(len(a.shape))[::-1] if axes is None else axes))


def _pad(array: Any, pad_width: Any, mode: str = "constant", *, constant_values: float = 0) -> Any:
    widths = np.broadcast_to(np.asarray(pad_width), (len(array.shape), 2))
    return F.pad(array, [int(n) for pair in widths[::-1] for n in pair], mode, constant_values)


def _clip(a: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Any:
    return F.clamp(a, a_min if min is None else min, a_max if max is None else max)


def _split(ary: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    n, cuts = ary.shape[axis], indices_or_sections
    if isinstance(cuts, int):
        if cuts < 1 or n % cuts:
            raise ValueError(f"np.split: cannot cut an axis of size {n} into {cuts} equal parts")
        return list(F.split(ary, max(n // cuts, 1), axis))
    cuts = [0, *(min(max(cut if cut >= 0 else cut + n, 0), n) for cut in cuts), n]
    return list(F.split(ary, [max(b - a, 0) for a, b in pairwise(cuts)], axis))


def _dot(a: Any, b: Any) -> Any:
    ndims = np.ndim(a), np.ndim(b)
    if 0 in ndims:
        return F.mul(a, b)
    if max(ndims) > 2:  # NumPy would combine all leading axes with all leading axes
        raise TypeError("np.dot of more than two axes is not available for tensors; use @, which broadcasts")
    return F.matmul(a, b)


FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    np.sum: _sum,
    np.mean: _mean,
    np.var: _var,
    np.std: _std,
    np.max: _max,
    np.amax: _max,
    np.min: _min,
    np.amin: _min,
    np.prod: lambda a, axis=None, *, keepdims=False: F.prod(a, axis, keepdims),
    np.argmax: lambda a, axis=None, *, keepdims=False: F.argmax(a, axis, keepdims),
    np.argmin: lambda a, axis=None, *, keepdims=False: F.argmin(a, axis, keepdims),
    np.all: lambda a, axis=None, *, keepdims=False: F.all(a, axis, keepdims),
    np.any: lambda a, axis=None, *, keepdims=False: F.any(a, axis, keepdims),
    np.reshape: lambda a, shape: F.reshape(a, shape),
    np.ravel: lambda a: F.reshape(a, -1),
    np.squeeze: lambda a, axis=None: F.squeeze(a, axis),
    np.expand_dims: lambda a, axis: F.unsqueeze(a, axis),
    np.transpose: _transpose,
    np.swapaxes: F.transpose,
    np.broadcast_to: lambda array, shape: F.expand(array, shape),
    np.concatenate: lambda arrays, axis=0: F.cat(arrays, axis),
    np.stack: lambda arrays, axis=0: F.stack(arrays, axis),
    np.where: F.where,
    np.split: _split,
    np.tile: lambda A, reps: F.tile(A, *(reps if isinstance(reps, (tuple, list)) else (reps,))),
    np.flip: lambda m, axis=None: F.flip(m, axis=tuple(range(len(m.shape))) if axis is None else axis),
    np.roll: F.roll,
    np.cumsum: lambda a, axis=None: F.cumsum(F.reshape(a, -1) if axis is None else a, axis or 0),
    np.sort: lambda a, axis=-1: F.sort(a, axis)[0],
    np.argsort: lambda a, axis=-1: F.argsort(a, axis),
    np.take_along_axis: F.take_along_axis,
    np.einsum: F.einsum,
    np.clip: _clip,
    np.pad: _pad,
    np.dot: _dot,
    np.copy: F.clone,
    np.shape: lambda a: a.shape,
    np.ndim: lambda a: a.ndim,
    np.size: lambda a: a.size,
}


class NumpyProtocol(Variable):
    """The methods that NumPy looks for on its operands."""

    __slots__ = ()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if self.edge is not None:
            raise RuntimeError(
                "this tensor requires a gradient, which an ndarray would lose silently; use t.detach().numpy()"
            )
        array = self._data
        if dtype is not None and np.dtype(dtype) != array.dtype:
            if copy is False:
                raise ValueError(f"cannot convert {array.dtype} to {np.dtype(dtype)} without a copy")
            return array.astype(dtype)
        if copy:
            return array.copy()
        view = array.view()
        view.flags.writeable = False  # as numpy(): a write through it would be invisible to the graph
        return view

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method != "__call__" or kwargs:
            detail = (
                f"np.{ufunc.__name__}.{method}"
                if method != "__call__"
                else f"np.{ufunc.__name__}({', '.join(kwargs)}=)"
            )
            raise TypeError(f"{detail} is not available for tensors; compute a new tensor, or use t.detach().numpy()")
        if ufunc not in UFUNCS:
            raise TypeError(
                f"np.{ufunc.__name__} has no derivative here; use a function of tinygrad_cnn, or t.detach().numpy()"
            )
        return UFUNCS[ufunc](*inputs)

    def __array_function__(self, function: Callable[..., Any], types: Any, args: Any, kwargs: Any) -> Any:
        if function not in FUNCTIONS:
            raise TypeError(
                f"np.{function.__name__} has no derivative here; use a function of tinygrad_cnn, or t.detach().numpy()"
            )
        return FUNCTIONS[function](*args, **kwargs)

    def __dlpack__(self, **kwargs: Any) -> Any:
        if self.edge is not None:
            raise BufferError("this tensor requires a gradient; share t.detach() instead")
        return self._data.__dlpack__(**kwargs)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._data.__dlpack_device__()
