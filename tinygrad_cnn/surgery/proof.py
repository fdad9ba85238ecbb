"""An operation on a network is done when the network has shown that it still computes the same.

Outputs may hardly depend on the image: those of a deep network before training are the bias of its last layer. So
errors are measured against how far the outputs of different samples lie apart, and every changed layer is compared by
itself too, on numbers that do not come through the network.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_cnn.autograd import no_grad
from tinygrad_cnn.calls import evaluation, sample_input
from tinygrad_cnn.nn import Module
from tinygrad_cnn.tensor import Tensor
from tinygrad_cnn.tracing import Shape

TOLERANCE = {np.dtype(np.float32): 2e-5, np.dtype(np.float64): 1e-10}
ROUNDING = 32  # what a long sum may be off, in units of the last place of the largest output
WEAK = 1e-3  # of the size of the outputs: samples less far apart than this prove little


@dataclass
class Surgery:
    """What an operation on a network returns.

    Attributes:
        model: the network as it is now.
        changes: what was done, one line for each module.
        error: max|after - before| / max|y0 - y1|, where y0 and y1 are the outputs before of two random images.
        spread: max|y0 - y1| / max|y|. Near 0 the outputs hardly depend on the image, and the proof rests on that of
            every changed layer by itself.
        alone: the largest error of a changed layer by itself, measured in the same way.
    """

    model: Any
    changes: list[str]
    error: float
    spread: float
    alone: float

    def __str__(self) -> str:
        said = f"outputs agree to {self.error:.1e} of the distance between those of two images"
        if self.spread < WEAK:
            said = (
                f"outputs agree, but hardly depend on the image (by {self.spread:.1e} of their size); the proof is "
                f"that each layer alone agrees to {self.alone:.1e} of the distance between two samples"
            )
        return "\n".join([*(self.changes or ["nothing was changed"]), said])


def sample(op: str, model: Module, input_size: Any) -> Tensor:
    """Return two random inputs of this size, the same for every call."""
    return sample_input(op, model, input_size, 2, np.random.default_rng(0))


def run(model: Module, input: Any) -> np.ndarray:
    """Return what a model makes of an input in evaluation mode; nothing in the model changes."""
    with evaluation(model), no_grad():
        output = model(input if isinstance(input, Tensor) else Tensor(input))
    if not isinstance(output, Tensor | np.ndarray):
        raise TypeError(
            f"the model returns a {type(output).__name__}; to compare before and after it must return one tensor"
        )
    return np.array(output)


def prove(op: str, before: np.ndarray, after: np.ndarray, what: str, advice: str = "") -> tuple[float, float]:
    """Return the error between outputs that must agree and their spread (see `Surgery`), or raise RuntimeError."""
    if before.shape != after.shape:
        raise RuntimeError(f"{op}: {what}: expected shape {before.shape}, got {after.shape}; nothing was returned")
    if not before.size:
        return 0.0, 0.0
    expected = before.astype(np.float64)
    size, apart = abs(expected).max(), np.ptp(expected, axis=0).max()
    scale = apart or size or 1.0
    error = float(abs(after - expected).max() / scale)
    allowed = float(TOLERANCE[before.dtype] + ROUNDING * np.finfo(before.dtype).eps * size / scale)
    if not error <= allowed:
        raise RuntimeError(
            f"{op}: {what}: outputs differ by {error:.1e} of the distance between two samples, allowed are "
            f"{allowed:.0e}; nothing was returned{advice}"
        )
    return error, float(apart / (size or 1.0))


def prove_part(
    op: str, path: str, before: Module, after: Module, shape: Shape, dtype: Any, lifted: Shape = ()
) -> float:
    """Return the error of what a layer is now, on normal numbers, or raise RuntimeError.

    Args:
        op: what changed it.
        path: how it is called.
        before: what it was.
        after: what it is.
        shape: of an input as it was.
        dtype: of an input.
        lifted: the shape of an input as it is; () where it is the same.
    """
    x = np.random.default_rng(2).standard_normal(shape, np.float32).astype(dtype)
    expected, found = run(before, x), run(after, x.reshape(lifted or shape))
    found = found.reshape(expected.shape) if found.size == expected.size else found
    return prove(op, expected, found, f"{path} by itself")[0]


def replace(model: Module, old: Module, new: Module) -> None:
    """Put a module in the place of another one, wherever that is a part."""
    new.training = old.training
    for parent in list(model.modules()):
        for name, part in list(vars(parent).items()):
            if part is old:
                setattr(parent, name, new)
