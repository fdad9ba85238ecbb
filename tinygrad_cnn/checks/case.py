"""A case: one call of an operation, and how to draw inputs at which it has a derivative."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy import ndarray

Draw = Callable[[np.random.Generator], ndarray]

CENTRAL = (1e-6, 1e-5)  # steps of the differences; the better one counts
BILINEAR = (1.0,)  # linear in each input: differences are exact for any step, so a long one loses no digits


class Case(NamedTuple):
    """One row of the table.

    Attributes:
        op: the name in `functional`.
        fn: the call, on tensors.
        draws: one for each input.
        steps: CENTRAL, or BILINEAR where the operation is linear in each input.
        reference: the same on arrays, written independently; None where NumPy itself is what ``fn`` calls.
    """

    op: str
    fn: Callable[..., Any]
    draws: Sequence[Draw]
    steps: tuple[float, ...] = CENTRAL
    reference: Callable[..., Any] | None = None

    def inputs(self) -> list[ndarray]:
        """Draw the inputs, the same ones every time."""
        rng = np.random.default_rng(0)
        return [draw(rng) for draw in self.draws]


def normal(*shape: int) -> Draw:
    """Draw standard normal numbers."""
    return lambda rng: rng.standard_normal(shape)


def positive(*shape: int) -> Draw:
    """Draw numbers between 0.5 and 2."""
    return lambda rng: rng.uniform(0.5, 2, shape)


def apart(*shape: int, shift: float = 0.0) -> Draw:
    """Draw numbers of either sign with 0.1 between any two and 0.025 to the next multiple of 0.1.

    So no two of them tie, and none is near a kink at such a multiple. A ``shift`` of 0.05 keeps two arrays apart.
    """

    def draw(rng: np.random.Generator) -> ndarray:
        n = int(np.prod(shape))
        return ((rng.permutation(n) - n // 2) * 0.1 + 0.025 + shift).reshape(shape)

    return draw


def labels(classes: int, *shape: int) -> Draw:
    """Draw class numbers."""
    return lambda rng: rng.integers(0, classes, shape)


def probabilities(*shape: int) -> Draw:
    """Draw distributions over axis 1."""

    def draw(rng: np.random.Generator) -> ndarray:
        p = rng.uniform(0.1, 1, shape)
        return p / p.sum(1, keepdims=True)

    return draw


def bools(*shape: int) -> Draw:
    """Draw True and False."""
    return lambda rng: rng.random(shape) < 0.5
