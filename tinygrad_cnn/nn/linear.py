"""The fully connected layer."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_cnn import functional as F
from tinygrad_cnn.kernels.geometry import whole
from tinygrad_cnn.nn import init
from tinygrad_cnn.nn.module import Module
from tinygrad_cnn.nn.parameter import Parameter


class Linear(Module):
    """y = x @ weight.T + bias.

    x (..., I)  ->  (..., O), with weight (O, I) and bias (O,).

    Args:
        in_features: I.
        out_features: O.
        bias: False leaves the bias out.
        dtype: float32 or float64.
        generator: where the initial values come from, evenly from ±1/sqrt(I); the default generator where None.

    >>> Linear(400, 120)(np.ones((8, 400), np.float32)).shape
    (8, 120)
    """

    in_features: int
    out_features: int
    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        dtype: Any = np.float32,
        generator: np.random.Generator | None = None,
    ) -> None:
        self.in_features = whole("Linear", "in_features", in_features, 1)
        self.out_features = whole("Linear", "out_features", out_features, 1)
        self.weight = Parameter(np.empty((self.out_features, self.in_features), dtype))
        self.bias = Parameter(np.empty(self.out_features, dtype)) if bias else None
        self.reset_parameters(generator)

    def reset_parameters(self, generator: np.random.Generator | None = None) -> None:
        """Draw new initial values."""
        bound = 1 / math.sqrt(self.in_features)
        init.kaiming_uniform_(self.weight, a=math.sqrt(5), generator=generator)  # which is ±bound
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound, generator)

    def forward(self, input: Any) -> Any:
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"
