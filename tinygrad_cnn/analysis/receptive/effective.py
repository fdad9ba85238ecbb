"""How much each pixel that a unit can see matters to it: the effective receptive field.

All pixels of the receptive field can change a unit, but not alike. Many paths lead to it from the middle and few from
the edges, so the gradient of the unit falls off like a bell, and the part that matters grows only like the square root
of the depth. Luo, Li, Urtasun and Zemel, 2016, "Understanding the effective receptive field in deep convolutional
neural networks", https://arxiv.org/abs/1701.04128.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_cnn.analysis.receptive.field import Field, receptive_field
from tinygrad_cnn.autograd import enable_grad, grad
from tinygrad_cnn.calls import evaluation, sample_input
from tinygrad_cnn.kernels.geometry import whole
from tinygrad_cnn.nn import Module
from tinygrad_cnn.tensor import Tensor
from tinygrad_cnn.tracing import trace

FAINT = 0.0455  # of the largest: what lies beyond two standard deviations, the paper's border


@dataclass(frozen=True)
class EffectiveField:
    """What matters to a unit, beside what it can see.

    Attributes:
        heat: the mean |d unit / d pixel| over inputs and their channels, float64 of the size of the image.
        field: the theoretical receptive field.
        unit: (row, column).
    """

    heat: ndarray
    field: Field
    unit: tuple[int, ...]

    @property
    def size(self) -> float:
        """The side of a square of as many pixels as matter more than 4.55 % of the one that matters most."""
        return float(np.sqrt((self.heat > FAINT * self.heat.max()).sum()))

    @property
    def theoretical_size(self) -> float:
        """The side of a square of as many pixels as the unit can see."""
        return float(np.sqrt(self.field.mask(*self.unit).sum()))

    def __str__(self) -> str:
        return f"{self.size:.1f} of {self.theoretical_size:.1f} pixels matter"


def effective_field(
    model: Module,
    address: str,
    inputs: Any = None,
    *,
    input_size: Any = None,
    unit: tuple[int, int] | None = None,
    channel: int | None = None,
    count: int = 16,
    generator: np.random.Generator | None = None,
) -> EffectiveField:
    """Return how strongly each pixel acts on a unit: the mean size of the unit's gradient.

    The model runs in evaluation mode; nothing in it changes.

    Args:
        model: a module.
        address: of a call whose result is (N, C, H, W); see `Trace`.
        inputs: images (N, C, H, W), which the mean is taken over.
        input_size: without inputs, the shape of one, such as (3, 224, 224): normal random numbers are taken.
        unit: (row, column); the one in the middle where None.
        channel: of the unit; the sum of all channels where None.
        count: how many random inputs.
        generator: where random inputs come from; a new one with seed 0 where None.

    Raises:
        TypeError: neither inputs nor their size, or both.
        KeyError: there is no such address.
        ValueError: the result of the call is no map.

    >>> from tinygrad_cnn import nn
    >>> deep = nn.Sequential(*(nn.Conv2d(1, 1, 3, padding=1, generator=np.random.default_rng(i)) for i in range(6)))
    >>> found = effective_field(deep, "5", input_size=(1, 15, 15))
    >>> found.field.size, found.theoretical_size, found.size < 11
    ((13, 13), 13.0, True)
    """
    if (inputs is None) == (input_size is None):
        raise TypeError("effective_field: give either inputs, images (N, C, H, W), or the input_size of one of them")
    if inputs is None:
        count = whole("effective_field", "count", count, 1)
        inputs = sample_input("effective_field", model, input_size, count, generator or np.random.default_rng(0))
    x = Tensor(inputs.data if isinstance(inputs, Tensor) else np.asarray(inputs), requires_grad=True)
    with evaluation(model), enable_grad(), trace(model) as calls:
        model(x)
    field = receptive_field(calls, address, relative_to=x)
    y = field.call.output
    if y.ndim != 4 or x.ndim != 4:
        raise ValueError(f"effective_field: needs maps (N, C, H, W), got {x.shape} and {field.address} of {y.shape}")
    if not len(x):
        raise ValueError("effective_field: needs at least one image")
    if y.edge is None:
        raise ValueError(f"effective_field: {field.address} does not depend on the image by operations with a gradient")
    at = unit or (y.shape[2] // 2, y.shape[3] // 2)
    field.box(*at)  # which says what is wrong with a unit that is not there
    with enable_grad():
        value = y[:, slice(None) if channel is None else channel, at[0], at[1]].sum()
    (gx,) = grad(value, x)
    return EffectiveField(np.abs(gx.data).mean((0, 1), dtype=np.float64), field, at)
