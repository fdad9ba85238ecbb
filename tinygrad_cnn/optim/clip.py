"""Clip gradients between backward and step."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from tinygrad_cnn.tensor import Tensor


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> float:
    """Scale all gradients by one factor where their norm, taken over all of them together, is above ``max_norm``.

    The factor is max_norm / (norm + 1e-6), as in PyTorch.

    Args:
        parameters: tensors; those without a gradient do not count.
        max_norm: the largest norm that is left alone.
        norm_type: p of the p-norm; math.inf for the largest absolute value.
        error_if_nonfinite: raise where the norm is infinite or NaN; else such a norm makes gradients 0 or NaN.

    Returns:
        The norm before clipping, computed in float64.

    Raises:
        RuntimeError: the norm is not finite; no gradient was changed.

    >>> w = Tensor([3.0, 4.0], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> float(clip_grad_norm_(w, 1.0))
    10.0
    >>> w.grad.data.round(6)
    array([0.6, 0.8], dtype=float32)
    """
    if not max_norm >= 0:
        raise ValueError(f"clip_grad_norm_: max_norm must be at least 0, got {max_norm}")
    if not norm_type > 0:
        raise ValueError(f"clip_grad_norm_: norm_type must be positive or math.inf, got {norm_type}")
    gradients = _gradients("clip_grad_norm_", parameters)
    norm = _norm(gradients, norm_type)
    if error_if_nonfinite and not math.isfinite(norm):
        raise RuntimeError(
            f"clip_grad_norm_: the norm of the gradients is {norm}. Look for a division by 0 or an overflow in the "
            "model, or lower the learning rate"
        )
    factor = float(max_norm / (norm + 1e-6))
    if not factor >= 1:  # NaN included
        for g in gradients:
            g.data = g.data * factor
    return norm


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Limit every number of every gradient to [-clip_value, clip_value].

    >>> w = Tensor([3.0, 0.25], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> clip_grad_value_(w, 1.0); w.grad
    Tensor([1. , 0.5])
    """
    if not clip_value >= 0:
        raise ValueError(f"clip_grad_value_: clip_value must be at least 0, got {clip_value}")
    for g in _gradients("clip_grad_value_", parameters):
        g.data = np.clip(g.data, -clip_value, clip_value)


def _gradients(op: str, parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    parameters = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    for p in parameters:
        if not isinstance(p, Tensor):
            raise TypeError(f"{op}: needs tensors, got {type(p).__name__}")
    return [p.grad for p in parameters if p.grad is not None]


def _norm(gradients: list[Tensor], p: float) -> float:
    arrays = [np.abs(g.data, dtype=np.float64, order="C") for g in gradients if g.size]
    if not arrays:
        return np.float64(0)
    if p == math.inf:
        return np.max([a.max() for a in arrays])
    return np.sum([(a**p).sum() for a in arrays]) ** (1 / p)
