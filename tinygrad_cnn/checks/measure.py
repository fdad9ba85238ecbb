"""How wrong a value or a gradient is, as one number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_cnn.autograd.check import Probe, differentiated, random_cotangent


def error(a: ndarray, ref: ndarray) -> float:
    """Return max|a - ref| / max|ref|; where ref is zero everywhere, 0 if a is too and infinity if not.

    >>> error(np.array([1.0, 2.1]), np.array([1.0, 2.0]))
    0.05...
    """
    if a.shape != ref.shape:
        raise ValueError(f"error: shapes {a.shape} and {ref.shape} differ")
    distance = float(np.abs(np.asarray(a, np.float64) - ref).max(initial=0))
    scale = float(np.abs(ref).max(initial=0))
    return distance / scale if scale else (np.inf if distance else 0.0)


def gradient_error(fn: Callable[..., Any], inputs: Sequence[Any], steps: Sequence[float]) -> float:
    """Return the largest `error` of a gradient of ``fn`` against central differences, with the better of the steps."""
    return _error(Probe(fn, inputs, random_cotangent(None)), steps)


def second_gradient_error(fn: Callable[..., Any], inputs: Sequence[Any], steps: Sequence[float]) -> float:
    """Return `gradient_error` of the gradients of ``fn``, by the inputs and by the incoming gradients."""
    draw = random_cotangent(None)
    derivative, incoming = differentiated(fn, inputs, draw)
    return _error(Probe(derivative, [*inputs, *incoming], draw, constants=True), steps)


def _error(probe: Probe, steps: Sequence[float]) -> float:
    return max(
        min(error(g, probe.differences(i, step)) for step in steps)
        for i, g in zip(probe.wanted, probe.gradients(), strict=True)
    )
