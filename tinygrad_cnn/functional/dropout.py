"""Dropout: zero a random part of the elements, and scale the others so that the expected value stays."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_cnn.autograd import Function
from tinygrad_cnn.functional.curves import SELU_ALPHA, SELU_SCALE
from tinygrad_cnn.functional.linalg import same_float
from tinygrad_cnn.kernels.activation import masked
from tinygrad_cnn.state import generator_for, place


class Dropout(Function):
    """x * scale where the mask holds and 0 elsewhere: linear, and its own adjoint, so every order has one mask."""

    keeps = ("mask",)

    def __init__(self, mask: ndarray, scale: float) -> None:
        self.mask, self.scale = mask, scale

    def forward(self, x: ndarray) -> ndarray:
        return masked(x, self.mask, self.scale)

    def grad_x(self, gy: Any) -> Any:
        return Dropout(self.mask, self.scale).apply(gy)


def dropout(
    input: Any,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    generator: np.random.Generator | None = None,
) -> Any:
    """Zero each element with probability ``p`` and divide the others by 1 - p; outside of training change nothing.

    Args:
        input: any shape.
        p: the probability of a zero, from 0 to 1; 1 gives zeros.
        training: False returns the input itself.
        inplace: accepted for PyTorch's sake; the result is a new tensor either way.
        generator: draws the mask; the default one (see `manual_seed`) where None.

    Source: Srivastava et al., "Dropout: A Simple Way to Prevent Neural Networks from Overfitting" (2014).

    >>> dropout(np.ones(6), 0.5, generator=np.random.default_rng(0))
    array([2., 2., 2., 0., 0., 0.])
    """
    p = _checked("dropout", input, p)
    if not training or p == 0:
        return input
    if p == 1:
        return Dropout(np.zeros(input.shape, bool), 1.0).apply(input)
    return Dropout(draw_mask(p, input.shape, generator_for("dropout", generator)), 1 / (1 - p)).apply(input)


def _checked(op: str, input: Any, p: Any) -> float:
    if not isinstance(p, (int, float, np.number)):
        raise TypeError(f"{place(op)}: p must be a number from 0 to 1, got {p!r}")
    if not 0 <= p <= 1:
        raise ValueError(f"{place(op)}: p is the probability of a zero, from 0 to 1, got {p}")
    same_float(op, input=input)
    return float(p)  # 2**32 is infinite in float16, and a long double would widen the result


def draw_mask(p: float, shape: tuple[int, ...], generator: np.random.Generator) -> ndarray:
    """Return bools that are False with probability p (to 32 bits, of which a generator gives two at a time)."""
    count = math.prod(shape)
    bits = generator.integers(0, 2**64, -(-count // 2), np.uint64).view(np.uint32)[:count]
    return (bits >= np.uint32(min(round(p * 2**32), 2**32 - 1))).reshape(shape)


def dropout1d(
    input: Any,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    generator: np.random.Generator | None = None,
) -> Any:
    """Zero whole channels of sequences (N, C, L); arguments as in `dropout`."""
    return _channels("dropout1d", 3, input, p, training, generator)


def dropout2d(
    input: Any,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    generator: np.random.Generator | None = None,
) -> Any:
    """Zero whole channels of images (N, C, H, W): neighbouring pixels are alike, so single zeros would tell little.

    Arguments as in `dropout`. Source: Tompson et al. (2014), https://arxiv.org/abs/1411.4280.

    >>> dropout2d(np.ones((1, 4, 1, 2)), generator=np.random.default_rng(0)).sum((2, 3))
    array([[4., 4., 4., 0.]])
    """
    return _channels("dropout2d", 4, input, p, training, generator)


def dropout3d(
    input: Any,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    generator: np.random.Generator | None = None,
) -> Any:
    """Zero whole channels of volumes (N, C, D, H, W); arguments as in `dropout`."""
    return _channels("dropout3d", 5, input, p, training, generator)


def _channels(op: str, ndim: int, input: Any, p: float, training: bool, generator: np.random.Generator | None) -> Any:
    p = _checked(op, input, p)
    shape = tuple(input.shape)
    if len(shape) != ndim:
        layout = {3: "(N, C, L)", 4: "(N, C, H, W)", 5: "(N, C, D, H, W)"}[ndim]
        raise ValueError(f"{place(op)}: needs shape {layout}, got {shape}")
    if not training or p == 0:
        return input
    few = shape[:2] + (1,) * (ndim - 2)
    mask = draw_mask(p, few, generator_for(op, generator)) if p < 1 else np.zeros(few, bool)
    return Dropout(np.broadcast_to(mask, shape), 1 / (1 - p) if p < 1 else 1.0).apply(input)


def alpha_dropout(
    input: Any,
    p: float = 0.5,
    training: bool = False,
    inplace: bool = False,
    *,
    generator: np.random.Generator | None = None,
) -> Any:
    """Set each element to what `selu` gives far on the left, with probability ``p``; scale and shift the result.

    An input of mean 0 and variance 1 keeps both. Arguments as in `dropout`, but ``training`` is False by default.
    Source: Klambauer et al. (2017), https://arxiv.org/abs/1706.02515.

    >>> alpha_dropout(np.zeros(3), 0.5, True, generator=np.random.default_rng(1)).round(2)
    array([-0.78,  0.78,  0.78])
    """
    p = _checked("alpha_dropout", input, p)
    if not training or p == 0:
        return input
    if p == 1:
        return Dropout(np.zeros(input.shape, bool), 1.0).apply(input)
    mask = draw_mask(p, input.shape, generator_for("alpha_dropout", generator))
    low = -SELU_ALPHA * SELU_SCALE
    scale = ((1 - p) * (1 + p * low**2)) ** -0.5
    shift = np.where(mask, 0, low) * scale - p * low * scale
    return Dropout(mask, scale).apply(input) + shift.astype(input.dtype)
