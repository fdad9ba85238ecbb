"""Losses as modules: the functions of `functional.loss` with their settings kept."""

from __future__ import annotations

from typing import Any, ClassVar

from tinygrad_cnn import functional as F
from tinygrad_cnn.nn.module import Module
from tinygrad_cnn.tensor import Tensor


class Loss(Module):
    """What losses share.

    Args:
        reduction: "mean", "sum" or "none" (one loss for each sample).
    """

    REDUCTIONS: ClassVar[tuple[str, ...]] = ("mean", "sum", "none")

    reduction: str

    def __init__(self, *, reduction: str = "mean") -> None:
        if reduction not in self.REDUCTIONS:
            raise ValueError(f"{type(self).__name__}: reduction must be one of {self.REDUCTIONS}, got {reduction!r}")
        self.reduction = reduction


class WeightedLoss(Loss):
    """What losses over classes share.

    Args:
        weight: one weight for each class (C,), all 1 where None; a buffer.
        ignore_index: the label of samples that do not count.
        reduction: "mean", "sum" or "none".
    """

    weight: Tensor | None
    ignore_index: int

    def __init__(self, weight: Any = None, *, ignore_index: int = -100, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.register_buffer("weight", None if weight is None else Tensor(weight))
        self.ignore_index = ignore_index


class NLLLoss(WeightedLoss):
    """Minus the log-probability of the right class, from log-probabilities; see `functional.nll_loss`.

    Arguments as in `WeightedLoss`.
    """

    def forward(self, input: Any, target: Any) -> Any:
        return F.nll_loss(input, target, self.weight, self.ignore_index, self.reduction)


class CrossEntropyLoss(WeightedLoss):
    """Minus the log-probability of the right class, from scores (N, C); see `functional.cross_entropy`.

    Args:
        weight: one weight for each class (C,), all 1 where None; a buffer.
        ignore_index: the label of samples that do not count.
        reduction: "mean", "sum" or "none".
        label_smoothing: how much of the target, in [0, 1], is spread evenly over all classes.

    >>> import numpy as np
    >>> loss = CrossEntropyLoss()(np.zeros((3, 2), np.float32), np.array([0, 1, 1]))    # log 2
    >>> round(float(loss), 4)
    0.6931
    """

    label_smoothing: float

    def __init__(
        self,
        weight: Any = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, ignore_index=ignore_index, reduction=reduction)
        if not 0 <= label_smoothing <= 1:
            raise ValueError(f"CrossEntropyLoss: label_smoothing must lie in [0, 1], got {label_smoothing}")
        self.label_smoothing = label_smoothing

    def forward(self, input: Any, target: Any) -> Any:
        return F.cross_entropy(
            input, target, self.weight, self.ignore_index, self.reduction, label_smoothing=self.label_smoothing
        )


class MSELoss(Loss):
    """The squared difference; see `functional.mse_loss`."""

    def forward(self, input: Any, target: Any) -> Any:
        return F.mse_loss(input, target, self.reduction)
