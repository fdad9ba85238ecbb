"""RMSprop."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tinygrad_cnn.kernels import update as kernel
from tinygrad_cnn.optim.optimizer import Group, Optimizer, at_least_zero, fraction, slot


class RMSprop(Optimizer):
    """Step by the gradient over the root of its running square.

        g = gradient + weight_decay * w
        s = alpha * s + (1 - alpha) * g^2
        m = alpha * m + (1 - alpha) * g                     if centered
        d = g / (sqrt(s) + eps),  or  g / (sqrt(s - m^2) + eps)  if centered
        v = momentum * v + d                                if momentum > 0
        w = w - lr * (v  if momentum > 0, else  d)

    Tieleman and Hinton, 2012, lecture 6.5 of "Neural Networks for Machine Learning"; centered: Graves, 2013,
    https://arxiv.org/abs/1308.0850. Arguments, defaults and arithmetic are PyTorch's.

    Args:
        params: tensors or groups, see `Optimizer`.
        lr: the learning rate.
        alpha: how much of the running square is kept.
        eps: what keeps the denominator away from 0.
        weight_decay: pulls parameters towards 0.
        momentum: how much of the velocity is kept.
        centered: divide by the standard deviation of the gradient instead of its root mean square.

    >>> from tinygrad_cnn import Tensor
    >>> w = Tensor([1.0], requires_grad=True)
    >>> optimizer = RMSprop([w], lr=0.25, alpha=0.75)
    >>> (w * w).sum().backward(); optimizer.step(); w
    Tensor([0.5], requires_grad=True)
    """

    required = ("square_avg",)
    optional = ("momentum_buffer", "grad_avg")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "alpha": alpha,
                "eps": eps,
                "weight_decay": weight_decay,
                "momentum": momentum,
                "centered": centered,
            },
        )

    def check(self, group: Group) -> None:
        at_least_zero(self, group, "lr", "eps", "weight_decay", "momentum")
        fraction(self, "alpha", group["alpha"])

    def variant(self, group: Group) -> tuple[bool, bool]:
        return group["momentum"] > 0, bool(group["centered"])

    def update(
        self, kept: list[dict[str, Any]], w: list[np.ndarray], gw: list[np.ndarray], settings: Mapping[str, Any],
        variant: tuple[bool, bool],
    ) -> None:  # fmt: skip
        moving, centered = variant
        names = ["square_avg", *["momentum_buffer"] * moving, *["grad_avg"] * centered]
        found = {name: slot(name, kept, w) for name in names}
        options = {key: settings[key] for key in ("lr", "alpha", "eps", "weight_decay", "momentum")}
        velocities, means = found.get("momentum_buffer"), found.get("grad_avg")
        kernel.rmsprop(w, gw, found["square_avg"], velocities, means, **options, centered=centered)
        for name, arrays in found.items():
            for slots, array in zip(kept, arrays, strict=True):
                slots[name] = array
