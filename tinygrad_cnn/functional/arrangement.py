"""Pieces, repetitions and other orders: made of slices, reshapes and joins, which bring the gradients back."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from tinygrad_cnn.functional.indexing import index
from tinygrad_cnn.functional.joining import cat
from tinygrad_cnn.functional.shape import axes_tuple, axis_index, expand, ndim_of, permute, reshape
from tinygrad_cnn.functional.shape import sizes as whole_sizes
from tinygrad_cnn.kernels.geometry import whole
from tinygrad_cnn.state import place


def split(tensor: Any, split_size_or_sections: Any, dim: int = 0, *, axis: int | None = None) -> tuple[Any, ...]:
    """Cut a tensor into views along ``dim``: of one size (the last may be smaller), or of the sizes in a list.

    Backward writes the gradients of all pieces into one array.

    >>> import numpy as np
    >>> [piece.shape for piece in split(np.zeros((2, 7)), 3, 1)]
    [(2, 3), (2, 3), (2, 1)]
    >>> [piece.shape for piece in split(np.zeros((2, 7)), [2, 5], 1)]
    [(2, 2), (2, 5)]
    """
    at = axis_index("split", dim if axis is None else axis, ndim_of("split", tensor))
    n, wanted = tensor.shape[at], split_size_or_sections
    if not isinstance(wanted, Iterable):
        wanted = whole("split", "the size of a piece", wanted, 1)
        wanted = [min(wanted, n - start) for start in range(0, max(n, 1), wanted)]
    parts = whole_sizes("split", tuple(wanted))
    if sum(parts) != n or min(parts, default=0) < 0:
        raise ValueError(f"{place('split')}: sizes {parts} must be >= 0 and add up to {n}, the size of dim {at}")
    cuts = [sum(parts[:i]) for i in range(len(parts) + 1)]
    before = (slice(None),) * at
    return tuple(index(tensor, (*before, slice(a, b))) for a, b in pairwise(cuts))


def chunk(input: Any, chunks: int, dim: int = 0, *, axis: int | None = None) -> tuple[Any, ...]:
    """Cut a tensor into ``chunks`` views of size ceil(n / chunks); the last is smaller, or missing, as in PyTorch.

    >>> import numpy as np
    >>> [piece.tolist() for piece in chunk(np.arange(5), 3)]
    [[0, 1], [2, 3], [4]]
    """
    at = axis_index("chunk", dim if axis is None else axis, ndim_of("chunk", input))
    return split(input, max(-(-input.shape[at] // whole("chunk", "chunks", chunks, 1)), 1), at)


def _repeated(op: str, input: Any, counts: tuple[int, ...]) -> Any:
    if min(counts, default=1) < 0:
        raise ValueError(f"{place(op)}: counts must not be negative, got {counts}")
    shape = (1,) * (len(counts) - len(input.shape)) + input.shape
    pairs = list(zip(counts, shape, strict=True))
    x = reshape(input, [n for size in shape for n in (1, size)])  # (A, B) -> (1, A, 1, B)
    x = expand(x, [n for pair in pairs for n in pair])  # -> (count, A, count, B)
    return reshape(x, [count * size for count, size in pairs])


def repeat(input: Any, *repeats: Any) -> Any:
    """Repeat the whole tensor along each axis (NumPy's ``tile``; PyTorch's ``Tensor.repeat``).

    >>> import numpy as np
    >>> repeat(np.array([1, 2]), 2, 2)
    array([[1, 2, 1, 2],
           [1, 2, 1, 2]])
    """
    counts = whole_sizes("repeat", repeats)
    if len(counts) < ndim_of("repeat", input):
        raise ValueError(f"{place('repeat')}: needs a count for each of the {len(input.shape)} axes, got {counts}")
    return _repeated("repeat", input, counts)


def tile(input: Any, *counts: Any, dims: Any = None) -> Any:
    """Repeat as `repeat` does; axes in front that ``counts`` (or ``dims``) leaves out are not repeated.

    >>> import numpy as np
    >>> tile(np.zeros((2, 3)), 4).shape
    (2, 12)
    """
    counts = whole_sizes("tile", counts if dims is None else (dims,))
    return _repeated("tile", input, (1,) * (ndim_of("tile", input) - len(counts)) + counts)


def flip(input: Any, *axes: Any, dims: Any = None, axis: Any = None) -> Any:
    """Reverse the order along ``axes`` (or ``dims``); a view, where PyTorch copies.

    >>> import numpy as np
    >>> flip(np.array([[1, 2], [3, 4]]), 1)
    array([[2, 1],
           [4, 3]])
    """
    named = axis if axis is not None else list(whole_sizes("flip", axes if dims is None else (dims,)))
    turned = axes_tuple("flip", named, ndim_of("flip", input))
    return index(input, tuple(slice(None, None, -1 if i in turned else 1) for i in range(len(input.shape))))


def roll(input: Any, shifts: Any, dims: Any = None, *, axis: Any = None) -> Any:
    """Shift along axes; what leaves at the end enters at the front. Without ``dims`` the flattened tensor is shifted.

    >>> import numpy as np
    >>> roll(np.arange(5), 2)
    array([3, 4, 0, 1, 2])
    """
    dims = dims if axis is None else axis
    if dims is None:
        return reshape(roll(reshape(input, -1), shifts, 0), input.shape)
    steps = whole_sizes("roll", (shifts,))
    axes = [
        axis_index("roll", d, ndim_of("roll", input)) for d in (dims if isinstance(dims, (tuple, list)) else [dims])
    ]
    if len(steps) != len(axes):
        raise ValueError(f"{place('roll')}: needs one shift for each axis, got shifts {steps} for dims {tuple(axes)}")
    for step, at in zip(steps, axes, strict=True):
        n = input.shape[at]
        if n and step % n:
            input = cat(split(input, [n - step % n, step % n], at)[::-1], at)
    return input


def unflatten(input: Any, dim: int, sizes: Sequence[int]) -> Any:
    """Cut the axis ``dim`` into axes of these sizes, one of which may be -1. The reverse of `flatten`.

    >>> import numpy as np
    >>> unflatten(np.zeros((8, 400)), 1, (16, 5, -1)).shape
    (8, 16, 5, 5)
    """
    at, parts = axis_index("unflatten", dim, ndim_of("unflatten", input)), whole_sizes("unflatten", (sizes,))
    n, known = input.shape[at], math.prod(size for size in parts if size != -1)
    if parts.count(-1) > 1 or min(parts, default=0) < -1 or (known != n if -1 not in parts else not known or n % known):
        raise ValueError(f"{place('unflatten')}: dim {at} has size {n}, which {parts} do not fill")
    filled = (n // known if size == -1 else size for size in parts)
    return reshape(input, (*input.shape[:at], *filled, *input.shape[at + 1 :]))


def pixel_shuffle(input: Any, upscale_factor: int) -> Any:
    """Turn groups of r*r channels into r times larger images; Shi et al. (2016), https://arxiv.org/abs/1609.05158.

        y[..., c, h*r + i, w*r + j] = x[..., c*r*r + i*r + j, h, w]

    input (..., C*r*r, H, W)  ->  (..., C, H*r, W*r).

    >>> import numpy as np
    >>> pixel_shuffle(np.arange(4).reshape(4, 1, 1), 2)
    array([[[0, 1],
            [2, 3]]])
    """
    r = _factor("pixel_shuffle", input, upscale_factor)
    *lead, C, H, W = input.shape
    if C % (r * r):
        raise ValueError(f"{place('pixel_shuffle')}: {C} channels are no multiple of upscale_factor**2 = {r * r}")
    x = reshape(input, (math.prod(lead), C // (r * r), r, r, H, W))
    return reshape(permute(x, 0, 1, 4, 2, 5, 3), (*lead, C // (r * r), H * r, W * r))  # (N, C, H, r, W, r)


def pixel_unshuffle(input: Any, downscale_factor: int) -> Any:
    """Turn r x r blocks of pixels into r*r channels: the inverse of `pixel_shuffle`.

    input (..., C, H*r, W*r)  ->  (..., C*r*r, H, W).

    >>> import numpy as np
    >>> pixel_unshuffle(np.zeros((8, 3, 4, 6)), 2).shape
    (8, 12, 2, 3)
    """
    r = _factor("pixel_unshuffle", input, downscale_factor)
    *lead, C, H, W = input.shape
    if H % r or W % r:
        raise ValueError(f"{place('pixel_unshuffle')}: height {H} and width {W} must be multiples of {r}")
    x = reshape(input, (math.prod(lead), C, H // r, r, W // r, r))
    return reshape(permute(x, 0, 1, 3, 5, 2, 4), (*lead, C * r * r, H // r, W // r))  # (N, C, r, r, H, W)


def _factor(op: str, input: Any, r: int) -> int:
    if ndim_of(op, input) < 3:
        raise ValueError(f"{place(op)}: needs (..., C, H, W), got shape {input.shape}")
    return whole(op, "the factor", r, 1)
