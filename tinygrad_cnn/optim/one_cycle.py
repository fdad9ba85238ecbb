"""The 1cycle schedule."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tinygrad_cnn.optim.optimizer import Optimizer
from tinygrad_cnn.optim.schedule import LRScheduler, cosine, for_each_group, line, positive


class OneCycleLR(LRScheduler):
    """Rise from max_lr / div_factor to ``max_lr``, then fall to far below the start; momentum does the reverse.

    It counts batches: call `step` after each. Smith and Topin, 2018, https://arxiv.org/abs/1708.07120.

    Args:
        optimizer: what is scheduled; its own rate is replaced.
        max_lr: the highest rate, one for all groups or one each.
        total_steps: how many batches the training has; or give the next two.
        epochs: how many epochs,
        steps_per_epoch: of how many batches.
        pct_start: the part of the steps that rises.
        anneal_strategy: "cos" or "linear".
        cycle_momentum: whether "momentum" (or the first of "betas") falls from ``max_momentum`` to ``base_momentum``
            while the rate rises, and rises while it falls.
        base_momentum: the lowest momentum, one for all groups or one each.
        max_momentum: the highest momentum, one for all groups or one each.
        div_factor: max_lr over the first rate.
        final_div_factor: the first rate over the last.

    >>> from tinygrad_cnn import Tensor, optim
    >>> optimizer = optim.SGD([Tensor([1.0])], momentum=0.9)
    >>> scheduler = OneCycleLR(optimizer, max_lr=1.0, total_steps=5, pct_start=0.4, anneal_strategy="linear")
    >>> [round(optimizer.param_groups[0]["lr"], 2)] + [
    ...     scheduler.step() or round(scheduler.get_last_lr()[0], 2) for _ in range(4)]
    [0.04, 1.0, 0.67, 0.33, 0.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | Sequence[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | Sequence[float] = 0.85,
        max_momentum: float | Sequence[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
    ) -> None:
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError("OneCycleLR: give total_steps, or epochs and steps_per_epoch")
            total_steps = epochs * steps_per_epoch
        if not 0 <= pct_start <= 1:
            raise ValueError(f"OneCycleLR: pct_start is a part, from 0 to 1; got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"OneCycleLR: anneal_strategy must be 'cos' or 'linear', got {anneal_strategy!r}")
        self.total_steps = positive("OneCycleLR", "total_steps", total_steps)
        self.peak = pct_start * self.total_steps - 1
        self.anneal_strategy = anneal_strategy
        self.max_lrs = for_each_group("max_lr", max_lr, optimizer)
        if not all(0 <= high < math.inf for high in self.max_lrs):  # NaN included
            raise ValueError(f"OneCycleLR: max_lr must be finite and at least 0, got {max_lr}")
        if not (div_factor > 0 and final_div_factor > 0):
            raise ValueError(
                f"OneCycleLR: div_factor and final_div_factor must be positive, got {div_factor}, {final_div_factor}"
            )
        self.div_factor = div_factor
        self.final_div_factor = final_div_factor
        self.cycle_momentum = cycle_momentum
        self.base_momenta = for_each_group("base_momentum", base_momentum, optimizer)
        self.max_momenta = for_each_group("max_momentum", max_momentum, optimizer)
        if cycle_momentum and not {"momentum", "betas"} & optimizer.defaults.keys():
            raise ValueError(f"OneCycleLR: {optimizer.name} has no momentum to cycle; pass cycle_momentum=False")
        for group, high in zip(optimizer.param_groups, self.max_lrs, strict=True):
            group["initial_lr"] = high / div_factor
        super().__init__(optimizer)

    def set_epoch(self, epoch: int) -> None:
        # The step after the last batch is allowed, as in PyTorch: a loop calls step() after every batch.
        if epoch > self.total_steps:
            raise ValueError(
                f"OneCycleLR: step {epoch} of a schedule of total_steps = {self.total_steps}; call step() once "
                "after each batch"
            )
        self.last_epoch = epoch
        epoch = min(epoch, self.total_steps - 1)
        momenta = zip(self.max_momenta, self.base_momenta, strict=True)
        for group, high, (most, least) in zip(self.optimizer.param_groups, self.max_lrs, momenta, strict=True):
            low = high / self.div_factor
            group["lr"] = self._value(low, high, low / self.final_div_factor, epoch)
            if self.cycle_momentum:
                momentum = self._value(most, least, most, epoch)
                if "betas" in group:
                    group["betas"] = (momentum, *group["betas"][1:])
                else:
                    group["momentum"] = momentum

    def _value(self, start: float, peak: float, end: float, epoch: int) -> float:
        anneal = cosine if self.anneal_strategy == "cos" else line
        if epoch <= self.peak:
            return anneal(start, peak, epoch / self.peak if self.peak else 1.0)
        return anneal(peak, end, (epoch - self.peak) / (self.total_steps - 1 - self.peak))
