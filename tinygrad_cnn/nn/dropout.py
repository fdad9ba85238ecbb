"""Dropout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

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

    function: ClassVar[Callable[..., Any]] = staticmethod(F.dropout)
    p: float
    inplace: bool
    generator: np.random.Generator | None

    def __init__(self, p: float = 0.5, inplace: bool = False, *, generator: np.random.Generator | None = None) -> None:
        if isinstance(p, str) or not 0 <= p <= 1:
            raise ValueError(f"{type(self).__name__}: p is a probability, from 0 to 1; got {p!r}")
        self.p = p
        self.inplace = inplace
        self.generator = generator

    def forward(self, input: Any) -> Any:
        return type(self).function(input, self.p, self.training, generator=self.generator)

    def extra_repr(self) -> str:
        return f"p={self.p}"


class Dropout1d(Dropout):
    """Zero whole channels of sequences (N, C, L); arguments as in `Dropout`."""

    function = staticmethod(F.dropout1d)


class Dropout2d(Dropout):
    """Zero whole channels of images (N, C, H, W); arguments as in `Dropout`. Tompson et al. (2014)."""

    function = staticmethod(F.dropout2d)


class Dropout3d(Dropout):
    """Zero whole channels of volumes (N, C, D, H, W); arguments as in `Dropout`."""

    function = staticmethod(F.dropout3d)


class AlphaDropout(Dropout):
    """Dropout for `SELU`, which keeps mean 0 and variance 1; arguments as in `Dropout`. Klambauer et al. (2017)."""

    function = staticmethod(F.alpha_dropout)
