"""What losses share: their arguments are checked, and their values reduced."""

from __future__ import annotations

from typing import Any

from tinygrad_cnn.functional.linalg import same_float
from tinygrad_cnn.functional.reduce import mean, sum
from tinygrad_cnn.state import place


def check_reduction(op: str, reduction: str) -> None:
    """Raise ValueError unless ``reduction`` is one of the three words."""
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"{place(op)}: reduction must be 'mean', 'sum' or 'none', got {reduction!r}")


def check_pair(op: str, input: Any, target: Any, reduction: str) -> None:
    """Raise an error unless input and target have one shape and one float dtype."""
    check_reduction(op, reduction)
    same_float(op, input=input, target=target)
    if input.shape != target.shape:
        raise ValueError(
            f"{place(op)}: input {input.shape} and target {target.shape} must have one shape, or broadcasting "
            "would compare every input with every target; reshape() or squeeze() one of them"
        )


def reduced(losses: Any, reduction: str) -> Any:
    """Return the losses, their mean, or their sum."""
    return losses if reduction == "none" else mean(losses) if reduction == "mean" else sum(losses)
