"""Images of another size. Resizing is linear and treats rows and columns apart: y = A x B' with two sparse matrices."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_cnn.autograd import Function
from tinygrad_cnn.functional.linalg import same_float
from tinygrad_cnn.functional.shape import reshape
from tinygrad_cnn.kernels import resize as kernel
from tinygrad_cnn.kernels.geometry import check_elements
from tinygrad_cnn.state import place

Taps = tuple[ndarray, ndarray]  # indices (K, out), -1 where there are fewer than K, and their weights
ANY = (3, 4, 5)  # axes of the input
MODES = {"nearest": ANY, "nearest-exact": ANY, "linear": (3,), "bilinear": (4,), "bicubic": (4,), "trilinear": (5,)}
CUBIC = -0.75  # the slope parameter a of Keys (1981), https://doi.org/10.1109/TASSP.1981.1163711


class Resize(Function):
    """y = A x B' for every plane x. Its gradient is A' gy B: each matrix and its transpose change places."""

    def __init__(self, rows: tuple[Taps, Taps], columns: tuple[Taps, Taps]) -> None:
        self.rows, self.columns = rows, columns

    def forward(self, x: ndarray) -> ndarray:
        planes = x.reshape(math.prod(x.shape[:-2]), *x.shape[-2:])
        y = kernel.resize(planes, *self.rows[0], *self.columns[0])
        return y.reshape(*x.shape[:-2], *y.shape[1:])

    def grad_x(self, gy: Any) -> Any:
        return Resize(self.rows[::-1], self.columns[::-1]).apply(gy)


@lru_cache(maxsize=64)
def _matrix(n: int, out: int, mode: str, align_corners: bool, factor: float | None) -> tuple[Taps, Taps]:
    """Return the taps of the matrix (out, n) that resizes one axis, and those of its transpose."""
    o = np.arange(out)
    # the centre of output pixel o, in input pixels
    centre = (o + 0.5) * n / out - 0.5 if factor is None else (o + 0.5) / factor - 0.5
    if align_corners:
        centre = o * ((n - 1) / (out - 1) if out > 1 else 0.0)
    if mode.startswith("nearest"):
        half = 0 if mode == "nearest" else 1  # of a pixel
        first = (2 * o + half) * n // (2 * out)
        if factor is not None:  # PyTorch's numbers: a step in float32 decides where 11 / 1.1 falls
            first = np.floor((o + half / 2) * np.float32(1 / factor), dtype=np.float32)
        weights = np.ones((1, out))
    elif mode == "bicubic":
        first = np.floor(centre) - 1
        d = np.abs(centre - first - np.arange(4)[:, None])  # the distance of each tap, up to 2
        inner = ((CUBIC + 2) * d - (CUBIC + 3)) * d * d + 1
        weights = np.where(d <= 1, inner, (((d - 5) * d + 8) * d - 4) * CUBIC)
    else:
        centre = np.maximum(centre, 0)
        first = np.minimum(np.floor(centre), n - 1)
        weights = np.stack([1 - (centre - first), centre - first])
    index = np.clip(first + np.arange(len(weights))[:, None], 0, n - 1).astype(np.int64)
    used = weights != 0
    at, source, weight = np.broadcast_to(o, used.shape)[used], index[used], weights[used]
    return _packed(at, source, weight, out), _packed(source, at, weight, n)


def _packed(at: ndarray, source: ndarray, weight: ndarray, count: int) -> Taps:
    """Return the entries weight at (at, source) of a sparse matrix as the taps of its rows."""
    order = np.argsort(at, kind="stable")
    at, source, weight = at[order], source[order], weight[order]
    slot = np.arange(len(at)) - np.searchsorted(at, at)  # how many taps its row had before
    index, weights = np.full((slot.max() + 1, count), -1), np.zeros((slot.max() + 1, count))
    index[slot, at], weights[slot, at] = source, weight
    return index, weights


def interpolate(
    input: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
) -> Any:
    """Resize signals (N, C, L), images (N, C, H, W) or volumes (N, C, D, H, W).

    Output pixel o has its centre at (o + 1/2) * in / out - 1/2 of the input, or at o * (in - 1) / (out - 1) with
    ``align_corners``. Beyond the edge the edge is repeated. Nothing is smoothed when an image shrinks.

    Args:
        input: float32 or float64.
        size: the new size, an int or one for each axis.
        scale_factor: instead, how many times larger, a number or one for each axis: floor(in * factor) pixels.
        mode: 'nearest' (the pixel at floor(o * in / out), or floor(o / scale_factor)), 'nearest-exact' (at the centre);
            'linear', 'bilinear', 'trilinear' for 1, 2, 3 axes; 'bicubic' (Keys, 1981, a = -3/4).
        align_corners: put the centres of the corner pixels on each other; not for 'nearest'.
        recompute_scale_factor: take the ratio of the sizes, not ``scale_factor``, for the positions.

    Raises:
        ValueError: no size, or two; a mode that does not fit the axes; an empty result.

    >>> import numpy as np
    >>> interpolate(np.array([[[0.0, 4.0]]]), 4, mode="linear")
    array([[[0., 1., 3., 4.]]])
    >>> interpolate(np.zeros((1, 3, 5, 7)), scale_factor=2, mode="bicubic").shape
    (1, 3, 10, 14)
    """
    op = "interpolate"
    same_float(op, input=input)
    shape = input.shape
    if mode not in MODES or len(shape) not in MODES[mode]:
        fit = [name for name, ndims in MODES.items() if len(shape) in ndims]
        raise ValueError(f"{place(op)}: mode must be one of {fit} for an input of shape {shape}, got {mode!r}")
    if align_corners is not None and mode.startswith("nearest"):
        raise ValueError(f"{place(op)}: align_corners has no meaning for mode {mode!r}; leave it out")
    if (size is None) == (scale_factor is None):
        raise ValueError(f"{place(op)}: give either size or scale_factor")
    old = shape[2:]
    numbers = size if scale_factor is None else scale_factor
    numbers = tuple(numbers) if isinstance(numbers, (tuple, list)) else (numbers,) * len(old)
    if len(numbers) != len(old):
        raise ValueError(f"{place(op)}: needs one number for each of the axes {old}, got {numbers}")
    kinds = (int, np.integer) if scale_factor is None else (int, float, np.number)
    if not all(isinstance(v, kinds) and not isinstance(v, bool) for v in numbers):
        raise TypeError(f"{place(op)}: size must hold ints, scale_factor numbers, got {numbers}")
    if not all(v > 0 and math.isfinite(v) for v in numbers):
        raise ValueError(f"{place(op)}: size and scale_factor must be positive, got {numbers}")
    new = tuple(int(v) if scale_factor is None else math.floor(n * v) for n, v in zip(old, numbers, strict=True))
    if not all(old) or not all(new):
        raise ValueError(f"{place(op)}: cannot make {new} pixels of {old}; every size must be at least 1")
    check_elements(op, (*shape[:2], *new))
    by_ratio = scale_factor is None or bool(recompute_scale_factor)
    # As in PyTorch: in these modes a factor such as 1.25 that leaves 3 pixels 3 moves none of them.
    still = {"linear": (1,), "bilinear": (1,), "trilinear": (1,), "nearest": (1, 2) if len(old) == 2 else ()}
    matrices = [
        _matrix(
            n, out, mode, bool(align_corners), None if by_ratio or out / n in still.get(mode, ()) else float(factor)
        )
        for n, out, factor in zip(old, new, numbers, strict=True)
    ]
    if len(old) == 1:
        only = _matrix(1, 1, "nearest", False, None)
        return reshape(Resize(only, matrices[0]).apply(reshape(input, (*shape[:2], 1, *old))), (*shape[:2], *new))
    y = Resize(*matrices[-2:]).apply(input)
    if len(old) == 3:  # then the depth, as the rows of planes of D by H*W
        pixels = new[1] * new[2]
        same = _matrix(pixels, pixels, "nearest", False, None)
        y = Resize(matrices[0], same).apply(reshape(y, (*shape[:2], old[0], pixels)))
    return reshape(y, (*shape[:2], *new))
