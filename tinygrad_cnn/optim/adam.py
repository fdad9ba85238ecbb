"""Adam, and AdamW with its decoupled weight decay."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import numpy as np

from tinygrad_cnn.kernels import update as kernel
from tinygrad_cnn.optim.optimizer import Group, Optimizer, at_least_zero, fraction, slot


class Adam(Optimizer):
    """Step by the running mean of the gradient over the root of its running square.

        g = gradient + weight_decay * w
        m = beta1 * m + (1 - beta1) * g
        s = beta2 * s + (1 - beta2) * g^2
        w = w - lr * m / (1 - beta1^t) / (sqrt(s / (1 - beta2^t)) + eps)      in step t of the parameter

    Kingma and Ba, 2015, https://arxiv.org/abs/1412.6980. Arguments, defaults and arithmetic are PyTorch's.

    Args:
        params: tensors or groups, see `Optimizer`.
        lr: the learning rate: about how far each number moves in a step.
        betas: how much of the two running means is kept.
        eps: what keeps the denominator away from 0.
        weight_decay: pulls parameters towards 0, through the gradient.

    >>> from tinygrad_cnn import Tensor
    >>> w = Tensor([1.0, -3.0], requires_grad=True)
    >>> optimizer = Adam([w], lr=0.5)
    >>> (w * w).sum().backward(); optimizer.step(); w.data.round(6)      # the first step has length lr
    array([ 0.5, -2.5], dtype=float32)
    """

    required = ("step", "exp_avg", "exp_avg_sq")
    kernel: ClassVar[Callable[..., None]] = staticmethod(kernel.adam)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    def check(self, group: Group) -> None:
        at_least_zero(self, group, "lr", "eps", "weight_decay")
        if not isinstance(group["betas"], (tuple, list)) or len(group["betas"]) != 2:
            raise TypeError(f"{self.name}: betas must be two numbers, got {group['betas']!r}")
        for i, beta in enumerate(group["betas"]):
            fraction(self, f"betas[{i}]", beta)

    def update(
        self, kept: list[dict[str, Any]], w: list[np.ndarray], gw: list[np.ndarray], settings: Mapping[str, Any],
        variant: Any,
    ) -> None:  # fmt: skip
        means, squares = slot("exp_avg", kept, w), slot("exp_avg_sq", kept, w)
        steps = [slots.get("step", 0) + 1 for slots in kept]
        step = steps if len(set(steps)) > 1 else steps[0]
        betas = settings["betas"]
        if isinstance(betas, list):  # of several groups: from pairs to a list of each
            betas = np.asarray(betas).T
        self.kernel(w, gw, means, squares, step, settings["lr"], betas, settings["eps"], settings["weight_decay"])
        for slots, t, mean, square in zip(kept, steps, means, squares, strict=True):
            slots["step"], slots["exp_avg"], slots["exp_avg_sq"] = t, mean, square


class AdamW(Adam):
    """Shrink the parameters by lr * weight_decay, then step as `Adam` does without decay.

    Loshchilov and Hutter, 2019, https://arxiv.org/abs/1711.05101.

    Args:
        params: tensors or groups, see `Optimizer`.
        lr: the learning rate: about how far each number moves in a step.
        betas: how much of the two running means is kept.
        eps: what keeps the denominator away from 0.
        weight_decay: how fast parameters shrink.
    """

    kernel = staticmethod(kernel.adamw)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay)
