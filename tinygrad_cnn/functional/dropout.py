"""Dropout: zero a random part of the elements, and scale the others so that the expected value stays."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_cnn.autograd import Function
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
    if not isinstance(p, (int, float, np.number)):
        raise TypeError(f"{place('dropout')}: p must be a number from 0 to 1, got {p!r}")
    if not 0 <= p <= 1:
        raise ValueError(f"{place('dropout')}: p is the probability of a zero, from 0 to 1, got {p}")
    same_float("dropout", input=input)
    if not training or p == 0:
        return input
    if p == 1:
        return Dropout(np.zeros(input.shape, bool), 1.0).apply(input)
    return Dropout(draw_mask(p, input.shape, generator_for("dropout", generator)), 1 / (1 - p)).apply(input)


def draw_mask(p: float, shape: tuple[int, ...], generator: np.random.Generator) -> ndarray:
    """Return bools that are False with probability p (to 32 bits, of which a generator gives two at a time)."""
    count = math.prod(shape)
    bits = generator.integers(0, 2**64, -(-count // 2), np.uint64).view(np.uint32)[:count]
    return (bits >= np.uint32(min(round(p * 2**32), 2**32 - 1))).reshape(shape)
