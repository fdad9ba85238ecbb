"""Learning-rate schedules: the rate as a formula of how many steps the schedule has taken.

Every schedule computes the rate from the step count and the initial rates alone, never from the rate before. So a
resumed run gets the same bits, and PyTorch's rates are met up to rounding.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from tinygrad_cnn.kernels.geometry import number, whole
from tinygrad_cnn.optim.optimizer import Optimizer


class LRScheduler:
    """The base of all schedules: sets the rate at once, and again after each `step`.

    A subclass says in ``rate`` what the learning rate is.

    Args:
        optimizer: its groups' "lr" is written; the rates that it has now are the initial ones.

    Attributes:
        last_epoch: how many steps were taken.
        base_lrs: the initial rate of each group.

    >>> from tinygrad_cnn import Tensor, optim
    >>> class Halving(LRScheduler):
    ...     def rate(self, base, epoch):
    ...         return base / 2 ** epoch
    >>> scheduler = Halving(optim.SGD([Tensor([1.0])], lr=1.0))
    >>> scheduler.step(); scheduler.get_last_lr()
    [0.5]
    """

    optimizer: Optimizer
    last_epoch: int
    base_lrs: list[float]

    def __init__(self, optimizer: Optimizer) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(self).__name__}: needs an optimiser, got {type(optimizer).__name__}")
        self.optimizer = optimizer
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])  # shared with other schedules of a SequentialLR
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.set_epoch(0)

    def rate(self, base: float, epoch: int) -> float:
        """Return the learning rate after ``epoch`` steps of a group whose initial rate was ``base``."""
        raise NotImplementedError(f"{type(self).__name__} has no rate(); define it to say what the learning rate is")

    def set_epoch(self, epoch: int) -> None:
        """Go to a step count and set the learning rates that belong to it."""
        self.last_epoch = epoch
        for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["lr"] = self.rate(base, epoch)

    def step(self) -> None:
        """Go on by one: call it after each epoch, or after each batch if the schedule counts batches."""
        self.set_epoch(self.last_epoch + 1)

    def get_last_lr(self) -> list[float]:
        """Return the learning rate of each group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Return the step count and the settings, as JSON can hold them."""
        return {name: value for name, value in vars(self).items() if name != "optimizer"}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from a state that `state_dict` returned. The rates themselves are in the optimiser's state."""
        self.check_state(state_dict)
        vars(self).update(state_dict)

    def check_state(self, state_dict: Mapping[str, Any]) -> None:
        """Raise ValueError where a state is not one of this schedule."""
        own, op = self.state_dict(), f"{type(self).__name__}.load_state_dict"
        if not isinstance(state_dict, Mapping) or state_dict.keys() != own.keys():
            found = sorted(state_dict) if isinstance(state_dict, Mapping) else type(state_dict).__name__
            raise ValueError(f"{op}: needs {sorted(own)}, got {found}")
        for name, value in own.items():
            if isinstance(value, list) and len(state_dict[name]) != len(value):
                raise ValueError(f"{op}: {name} has length {len(state_dict[name])} in the state, {len(value)} here")


class StepLR(LRScheduler):
    """Multiply the rate by ``gamma`` every ``step_size`` steps.

    >>> from tinygrad_cnn import Tensor, optim
    >>> scheduler = StepLR(optim.SGD([Tensor([1.0])], lr=1.0), step_size=2, gamma=0.5)
    >>> [scheduler.step() or scheduler.get_last_lr()[0] for _ in range(4)]
    [1.0, 0.5, 0.5, 0.25]
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        self.step_size = positive("StepLR", "step_size", step_size)
        self.gamma = number(type(self).__name__, "gamma", gamma, 0)
        super().__init__(optimizer)

    def rate(self, base: float, epoch: int) -> float:
        return base * self.gamma ** (epoch // self.step_size)


class MultiStepLR(LRScheduler):
    """Multiply the rate by ``gamma`` at each of the ``milestones`` (step counts)."""

    def __init__(self, optimizer: Optimizer, milestones: Sequence[int], gamma: float = 0.1) -> None:
        self.milestones = sorted(whole("MultiStepLR", "each milestone", step, 0) for step in milestones)
        self.gamma = number(type(self).__name__, "gamma", gamma, 0)
        super().__init__(optimizer)

    def rate(self, base: float, epoch: int) -> float:
        return base * self.gamma ** bisect_right(self.milestones, epoch)


class LinearLR(LRScheduler):
    """Go from start_factor * rate to end_factor * rate in a straight line of ``total_iters`` steps: a warm-up.

    >>> from tinygrad_cnn import Tensor, optim
    >>> scheduler = LinearLR(optim.SGD([Tensor([1.0])], lr=1.0), start_factor=0.25, total_iters=3)
    >>> [scheduler.step() or scheduler.get_last_lr()[0] for _ in range(4)]
    [0.5, 0.75, 1.0, 1.0]
    """

    def __init__(
        self, optimizer: Optimizer, start_factor: float = 1 / 3, end_factor: float = 1.0, total_iters: int = 5
    ) -> None:
        if not 0 < start_factor <= 1 or not 0 <= end_factor <= 1:
            raise ValueError(
                f"LinearLR: start_factor must lie in (0, 1] and end_factor in [0, 1], got {start_factor}, {end_factor}"
            )
        self.start_factor = start_factor
        self.end_factor = end_factor
        self.total_iters = positive("LinearLR", "total_iters", total_iters)
        super().__init__(optimizer)

    def rate(self, base: float, epoch: int) -> float:
        part = min(epoch / self.total_iters, 1.0)
        return base * (self.start_factor + (self.end_factor - self.start_factor) * part)


class CosineAnnealingLR(LRScheduler):
    """Go from the rate to ``eta_min`` along half a cosine in ``T_max`` steps, and back again in as many more.

        lr = eta_min + (base - eta_min) * (1 + cos(pi * epoch / T_max)) / 2

    Loshchilov and Hutter, 2017, https://arxiv.org/abs/1608.03983 (without restarts).
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:
        self.T_max = positive("CosineAnnealingLR", "T_max", T_max)
        self.eta_min = eta_min
        super().__init__(optimizer)

    def rate(self, base: float, epoch: int) -> float:
        return cosine(base, self.eta_min, epoch / self.T_max)


class SequentialLR(LRScheduler):
    """One schedule after the other, such as a warm-up and what follows it; each starts its own count at 0.

    Args:
        optimizer: the optimiser of all of them.
        schedulers: the schedules in order.
        milestones: the step counts at which the second, third, ... takes over.

    >>> from tinygrad_cnn import Tensor, optim
    >>> optimizer = optim.SGD([Tensor([1.0])], lr=1.0)
    >>> warm_up = LinearLR(optimizer, start_factor=0.5, total_iters=2)
    >>> scheduler = SequentialLR(optimizer, [warm_up, StepLR(optimizer, 1, gamma=0.5)], milestones=[2])
    >>> optimizer.param_groups[0]["lr"], *[scheduler.step() or scheduler.get_last_lr()[0] for _ in range(4)]
    (0.5, 0.75, 1.0, 0.5, 0.25)
    """

    def __init__(self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int]) -> None:
        if len(schedulers) != len(milestones) + 1:
            raise ValueError(
                f"SequentialLR: {len(schedulers)} schedules have one milestone less, not {len(milestones)}"
            )
        for scheduler in schedulers:
            if scheduler.optimizer is not optimizer:
                raise ValueError(f"SequentialLR: the {type(scheduler).__name__} belongs to another optimiser")
            if type(scheduler).step is not LRScheduler.step:
                raise TypeError(
                    f"SequentialLR: a step of {type(scheduler).__name__} needs an argument; call it by itself"
                )
        self.schedulers = list(schedulers)
        self.milestones = list(milestones)
        super().__init__(optimizer)

    def set_epoch(self, epoch: int) -> None:
        self.last_epoch = epoch
        running = bisect_right(self.milestones, epoch)
        self.schedulers[running].set_epoch(epoch - (self.milestones[running - 1] if running else 0))

    def state_dict(self) -> dict[str, Any]:
        """Return the step count, the settings and the states of the schedules."""
        return {**super().state_dict(), "schedulers": [scheduler.state_dict() for scheduler in self.schedulers]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from a state that `state_dict` returned."""
        self.check_state(state_dict)
        for scheduler, state in zip(self.schedulers, state_dict["schedulers"], strict=True):
            scheduler.load_state_dict(state)
        vars(self).update({name: value for name, value in state_dict.items() if name != "schedulers"})

    def check_state(self, state_dict: Mapping[str, Any]) -> None:
        super().check_state(state_dict)
        for scheduler, state in zip(self.schedulers, state_dict["schedulers"], strict=True):
            scheduler.check_state(state)


def line(start: float, end: float, part: float) -> float:
    """Return what lies ``part`` (0 to 1) of the way from start to end."""
    return start + (end - start) * part


def cosine(start: float, end: float, part: float) -> float:
    """Return what lies ``part`` (0 to 1) of the way from start to end along half a cosine."""
    return end + (start - end) * (1 + math.cos(math.pi * part)) / 2


def for_each_group(name: str, value: float | Sequence[float], optimizer: Optimizer) -> list[float]:
    """Return a list with one value for each parameter group."""
    groups = len(optimizer.param_groups)
    if not isinstance(value, Sequence):
        return [value] * groups
    if len(value) != groups:
        raise ValueError(f"{name}: one value for each of {groups} parameter groups is needed, got {len(value)}")
    return list(value)


def positive(schedule: str, name: str, value: int) -> int:
    """Return a count of at least 1, or raise."""
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"{schedule}: {name} must be a positive int, got {value!r}")
    return value
