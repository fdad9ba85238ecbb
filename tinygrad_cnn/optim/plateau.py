"""The schedule that waits for a metric to stop becoming better."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tinygrad_cnn.optim.optimizer import Optimizer
from tinygrad_cnn.optim.schedule import LRScheduler, for_each_group


class ReduceLROnPlateau(LRScheduler):
    """Multiply the rate by ``factor`` when a metric has not become better for more than ``patience`` steps.

    Args:
        optimizer: what is scheduled.
        mode: "min" where a smaller metric is better (a loss), "max" where a larger one is (an accuracy).
        factor: what the rate is multiplied by.
        patience: how many steps without an improvement are borne.
        threshold: how much better counts as better.
        threshold_mode: "rel" takes the threshold as a part of the best metric, "abs" as a number.
        cooldown: how many steps after a reduction do not count.
        min_lr: the lowest rate, one for all groups or one each.
        eps: a reduction by less than this is not made.

    >>> from tinygrad_cnn import Tensor, optim
    >>> scheduler = ReduceLROnPlateau(optim.SGD([Tensor([1.0])], lr=1.0), factor=0.5, patience=1)
    >>> [scheduler.step(loss) or scheduler.get_last_lr()[0] for loss in (3.0, 2.0, 2.0, 2.0)]
    [1.0, 1.0, 1.0, 0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | Sequence[float] = 0.0,
        eps: float = 1e-8,
    ) -> None:
        if mode not in ("min", "max"):
            raise ValueError(f"ReduceLROnPlateau: mode must be 'min' or 'max', got {mode!r}")
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(f"ReduceLROnPlateau: threshold_mode must be 'rel' or 'abs', got {threshold_mode!r}")
        if not 0 <= factor < 1:
            raise ValueError(f"ReduceLROnPlateau: factor must be below 1, got {factor}")
        self.mode = mode
        self.factor = factor
        self.patience = patience
        self.threshold = threshold
        self.threshold_mode = threshold_mode
        self.cooldown = cooldown
        self.min_lrs = for_each_group("min_lr", min_lr, optimizer)
        self.eps = eps
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = 0
        self.cooldown_counter = 0
        super().__init__(optimizer)

    def set_epoch(self, epoch: int) -> None:
        self.last_epoch = epoch  # the rate follows the metric, not the count

    def step(self, metrics: float) -> None:  # type: ignore[override]
        """Take the metric of one more epoch into account (NaN counts as no improvement)."""
        self.set_epoch(self.last_epoch + 1)
        metric = float(metrics)
        if self._better(metric):
            self.best = metric
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0
            for group, least in zip(self.optimizer.param_groups, self.min_lrs, strict=True):
                reduced = max(group["lr"] * self.factor, least)
                if group["lr"] - reduced > self.eps:
                    group["lr"] = reduced

    def _better(self, metric: float) -> bool:
        sign = 1 if self.mode == "min" else -1
        margin = self.threshold * (self.best if self.threshold_mode == "rel" else 1)
        return sign * metric < sign * self.best - margin if math.isfinite(self.best) else metric == metric
