"""An operation on a network is done when the network has shown that it still computes the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_cnn.autograd import no_grad
from tinygrad_cnn.calls import evaluation, sample_input
from tinygrad_cnn.nn import Module
from tinygrad_cnn.tensor import Tensor

TOLERANCE = {np.dtype(np.float32): 2e-5, np.dtype(np.float64): 1e-10}


@dataclass
class Surgery:
    """What an operation on a network returns.

    Attributes:
        model: the network as it is now.
        changes: what was done, one line for each module.
        error: max|after - before| / max|before| of its outputs on random images.
    """

    model: Any
    changes: list[str]
    error: float

    def __str__(self) -> str:
        return "\n".join([*self.changes, f"outputs agree to {self.error:.1e}"])


def sample(op: str, model: Module, input_size: Any) -> Tensor:
    """Return two random inputs of this size, the same for every call."""
    return sample_input(op, model, input_size, 2, np.random.default_rng(0))


def run(model: Module, input: Any) -> np.ndarray:
    """Return what a model makes of an input in evaluation mode; nothing in the model changes."""
    with evaluation(model), no_grad():
        return np.array(model(input))


def prove(op: str, before: np.ndarray, after: np.ndarray, what: str) -> float:
    """Return the error between outputs that must agree, or raise RuntimeError."""
    if before.shape != after.shape:
        raise RuntimeError(f"{op}: {what}: expected shape {before.shape}, got {after.shape}; nothing was returned")
    error = float(abs(after.astype(np.float64) - before).max(initial=0) / (abs(before).max(initial=0) or 1))
    if not error <= TOLERANCE[before.dtype]:
        raise RuntimeError(
            f"{op}: {what}: outputs differ by {error:.1e} of the largest, allowed are {TOLERANCE[before.dtype]:.0e}; "
            "nothing was returned"
        )
    return error


def replace(model: Module, old: Module, new: Module) -> None:
    """Put a module in the place of another one, wherever that is a part."""
    new.training = old.training
    for parent in list(model.modules()):
        for name, part in list(vars(parent).items()):
            if part is old:
                setattr(parent, name, new)
