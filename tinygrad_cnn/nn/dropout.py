"""Dropout."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_cnn import functional as F
from tinygrad_cnn.nn.module import Module


class Dropout(Module):
    """Zero a random part of the input and divide the rest by 1 - p; in evaluation mode change nothing.

    Srivastava et al., 2014, "Dropout: a simple way to prevent neural networks from overfitting".

    Args:
        p: the probability of zero.
        inplace: accepted for PyTorch's sake; the result is always a new tensor.
        generator: where the randomness comes from; the default generator where None.

    >>> Dropout(0.4).eval()(np.ones(3))
    array([1., 1., 1.])
    """

    p: float
    inplace: bool
    generator: np.random.Generator | None

    def __init__(self, p: float = 0.5, inplace: bool = False, *, generator: np.random.Generator | None = None) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"Dropout: p is a probability, from 0 to 1; got {p}")
        self.p = p
        self.inplace = inplace
        self.generator = generator

    def forward(self, input: Any) -> Any:
        return F.dropout(input, self.p, self.training, generator=self.generator)

    def extra_repr(self) -> str:
        return f"p={self.p}"
