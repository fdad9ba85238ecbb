"""Arrays side by side, and constants around them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_cnn.autograd import Function
from tinygrad_cnn.functional.elementwise import FLOAT64, FLOATS, result_type
from tinygrad_cnn.functional.indexing import read
from tinygrad_cnn.functional.shape import array_shape, axis_index, unsqueeze
from tinygrad_cnn.kernels import joining as kernel
from tinygrad_cnn.kernels.geometry import whole
from tinygrad_cnn.state import place


class Cat(Function):
    """Arrays side by side along one axis; the adjoint cuts them apart."""

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, *xs: ndarray) -> ndarray:
        self.cuts = np.cumsum([0, *(x.shape[self.axis] for x in xs)]).tolist()
        if xs[0].dtype in FLOATS and len({x.dtype for x in xs}) == 1:
            return kernel.cat(xs, self.axis)
        y = np.concatenate(xs, self.axis)
        return y.astype(result_type(*xs), copy=False) if y.dtype == FLOAT64 else y  # integers meet floats as float32

    def backward(self, gy: Any) -> list[Any]:
        def piece(start: int, stop: int) -> Any:
            key = (*(slice(None),) * self.axis, slice(start, stop))
            if type(gy) is ndarray:
                return gy[key] if gy[key].flags.c_contiguous else kernel.cut(gy, self.axis, start, stop)
            return read(gy, key)

        pieces = zip(self.cuts[:-1], self.cuts[1:], self.wanted(), strict=True)
        return [piece(start, stop) if wanted else None for start, stop, wanted in pieces]


def cat(tensors: Sequence[Any], dim: int = 0, *, axis: int | None = None) -> Any:
    """Join tensors along the existing axis ``dim``; all other sizes must agree.

    >>> import numpy as np
    >>> cat([np.zeros((2, 3)), np.zeros((2, 5))], 1).shape
    (2, 8)
    """
    tensors, dim = list(tensors), dim if axis is None else axis
    if not tensors:
        raise ValueError(f"{place('cat')}: needs at least one tensor")
    shapes = [array_shape("cat", t) for t in tensors]
    at = axis_index("cat", dim, len(shapes[0]))
    for shape in shapes:
        if len(shape) != len(shapes[0]) or any(
            m != n for i, (m, n) in enumerate(zip(shape, shapes[0], strict=True)) if i != at
        ):
            raise ValueError(f"{place('cat')}: along dim {at} all other sizes must agree, got shapes {shapes}")
    return Cat(at).apply(*tensors)


def stack(tensors: Sequence[Any], dim: int = 0, *, axis: int | None = None) -> Any:
    """Join tensors of one shape along a new axis ``dim``."""
    tensors, dim = list(tensors), dim if axis is None else axis
    if not tensors:
        raise ValueError(f"{place('stack')}: needs at least one tensor")
    shapes = [array_shape("stack", t) for t in tensors]
    if len(set(shapes)) > 1:
        raise ValueError(
            f"{place('stack')}: all shapes must be equal, got {shapes}; cat() joins along an existing axis"
        )
    at = axis_index("stack", dim, len(shapes[0]) + 1)
    return cat([unsqueeze(t, at) for t in tensors], at)


class Pad(Function):
    """A constant around (or, where negative, a cut off) each axis."""

    def __init__(self, widths: tuple[tuple[int, int], ...], value: float) -> None:
        self.widths, self.value = widths, value

    def forward(self, x: ndarray) -> ndarray:
        if x.dtype in FLOATS and x.ndim > 1 and not any(map(any, self.widths[:-2])):
            rows, columns = self.widths[-2:]
            y = kernel.pad(x.reshape(math.prod(x.shape[:-2]), *x.shape[-2:]), rows, columns, self.value)
            return y.reshape(*x.shape[:-2], *y.shape[1:])
        crop = tuple(slice(max(-a, 0), n - max(-b, 0)) for n, (a, b) in zip(x.shape, self.widths, strict=True))
        grow = [(max(a, 0), max(b, 0)) for a, b in self.widths]
        return np.pad(x[crop], grow, constant_values=self.value)

    def grad_x(self, gy: Any) -> Any:
        return Pad(tuple((-a, -b) for a, b in self.widths), 0.0).apply(gy)


def pad(input: Any, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Any:
    """Pad with a constant; ``pad`` lists (before, after) of the last axis first, as in PyTorch.

    >>> import numpy as np
    >>> pad(np.ones((1, 1, 2, 3)), (1, 1, 0, 2)).shape        # width +1 +1, height +0 +2
    (1, 1, 4, 5)
    """
    if mode != "constant":
        raise NotImplementedError(f"{place('pad')}: mode {mode!r} is not implemented; only 'constant' is")
    shape, pad = array_shape("pad", input), pad if isinstance(pad, Iterable) else (pad,)
    ends = tuple(whole("pad", "each width", n, -(2**31)) for n in pad)
    if len(ends) % 2 or len(ends) > 2 * len(shape):
        raise ValueError(f"{place('pad')}: pad must hold a pair for each of at most {len(shape)} axes, got {ends}")
    pairs = list(zip(ends[::2], ends[1::2], strict=True))
    widths = tuple([(0, 0)] * (len(shape) - len(pairs)) + pairs[::-1])
    for n, (a, b) in zip(shape, widths, strict=True):
        if n + a + b < 0:
            raise ValueError(f"{place('pad')}: padding {(a, b)} would leave an axis of size {n} + {a} + {b} < 0")
    return Pad(widths, 0.0 if value is None else value).apply(input)
