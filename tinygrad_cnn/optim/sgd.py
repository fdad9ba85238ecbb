"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tinygrad_cnn.kernels import update as kernel
from tinygrad_cnn.optim.optimizer import Group, Optimizer, at_least_zero, slot


class SGD(Optimizer):
    """Step down the gradient, with momentum.

        g = gradient + weight_decay * w
        v = momentum * v + (1 - dampening) * g      (the very first v is g)
        w = w - lr * (g + momentum * v)  if nesterov,  else  w - lr * v

    Without momentum w = w - lr * g. Arguments, defaults and arithmetic are PyTorch's.

    Args:
        params: tensors or groups, see `Optimizer`.
        lr: the learning rate.
        momentum: how much of the velocity is kept.
        dampening: how much of the gradient is held back from the velocity.
        weight_decay: pulls parameters towards 0.
        nesterov: look ahead along the velocity (Sutskever et al., 2013); needs momentum and no dampening.

    >>> from tinygrad_cnn import Tensor
    >>> w = Tensor([1.0], requires_grad=True)
    >>> optimizer = SGD([w], lr=0.25)
    >>> (w * w).sum().backward(); optimizer.step(); w
    Tensor([0.5], requires_grad=True)
    """

    optional = ("momentum_buffer",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "dampening": dampening,
                "weight_decay": weight_decay,
                "nesterov": nesterov,
            },
        )

    def check(self, group: Group) -> None:
        at_least_zero(self, group, "lr", "momentum", "weight_decay")
        if group["nesterov"] and not (group["momentum"] > 0 and group["dampening"] == 0):
            raise ValueError(
                f"SGD: nesterov needs a momentum and no dampening, got momentum {group['momentum']} and dampening "
                f"{group['dampening']}"
            )

    def variant(self, group: Group) -> bool:
        return group["momentum"] != 0

    def update(
        self, kept: list[dict[str, Any]], w: list[np.ndarray], gw: list[np.ndarray], settings: Mapping[str, Any],
        variant: bool,
    ) -> None:  # fmt: skip
        options = {key: settings[key] for key in ("lr", "momentum", "dampening", "nesterov", "weight_decay")}
        if not variant:
            kernel.sgd(w, gw, None, **options)
            return
        velocities: list[Any] = [slots.get("momentum_buffer") for slots in kept]
        first = [velocity is None for velocity in velocities]
        if True not in first:
            kernel.sgd(w, gw, velocities, **options)
            return
        velocities = slot("momentum_buffer", kept, w)
        kernel.sgd(w, gw, velocities, **options, first=first)
        for slots, velocity in zip(kept, velocities, strict=True):
            slots["momentum_buffer"] = velocity
