"""Losses of the difference between input and target, element by element, and of two distributions."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_cnn.autograd import Function
from tinygrad_cnn.functional.arithmetic import div, mul, sub
from tinygrad_cnn.functional.elementwise import abs, clamp, exp, log, neg, where
from tinygrad_cnn.functional.reduce import Reduction, sum
from tinygrad_cnn.functional.reduction import check_pair, reduced
from tinygrad_cnn.kernels import buffers
from tinygrad_cnn.kernels import loss_pairs as kernel
from tinygrad_cnn.state import place


class SmoothL1Loss(Function):
    """The sum of d*d / (2*beta) where d = |x - t| < beta, and d - beta/2 elsewhere, over ``divisor``; beta > 0."""

    def __init__(self, beta: float, divisor: float) -> None:
        self.beta, self.divisor = beta, divisor or math.nan  # the mean of nothing

    def forward(self, x: ndarray, target: ndarray) -> ndarray:
        return np.asarray(kernel.smooth_l1_loss(x, target, self.beta) / self.divisor, x.dtype)

    def grad_x(self, gy: Any, x: Any, target: Any) -> Any:
        if type(gy) is ndarray:
            return kernel.smooth_l1_loss_grad(float(gy) / self.divisor, x, target, self.beta)
        return clamp(x - target, -self.beta, self.beta) * (gy / (self.divisor * self.beta))

    def grad_target(self, gy: Any, x: Any, target: Any) -> Any:
        return self.grad_x(gy, target, x)


class KLDiv(Reduction):
    """The sum of t * (log(t) - x) over all axes, over ``divisor``; t = 0 contributes 0."""

    def __init__(self, axes: Iterable[int], divisor: int) -> None:
        super().__init__(tuple(axes), keepdims=False)
        self.divisor = divisor or math.nan  # the mean of nothing

    def forward(self, x: ndarray, target: ndarray) -> ndarray:
        return np.asarray(kernel.kl_div(x, target) / self.divisor, x.dtype)

    def grad_x(self, gy: Any, target: Any) -> Any:
        factor = gy / -self.divisor
        if type(gy) is ndarray:
            return np.multiply(target, factor, out=buffers.empty(target.shape, target.dtype))
        return target * factor

    def grad_target(self, gy: Any, x: Any, target: Any) -> Any:
        return where(target == 0, neg(x), log(where(target == 0, 1.0, target)) + 1 - x) * (gy / self.divisor)


def l1_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """Return the absolute differences |input - target|; input and target of one shape and dtype.

    >>> import numpy as np
    >>> float(l1_loss(np.array([1.0, 5.0]), np.array([1.0, 3.0])))
    1.0
    """
    check_pair("l1_loss", input, target, reduction)
    return reduced(abs(sub(input, target)), reduction)


def smooth_l1_loss(input: Any, target: Any, reduction: str = "mean", beta: float = 1.0) -> Any:
    """Return d**2 / (2 * beta) where d = |input - target| is below beta, and d - beta / 2 elsewhere.

    With beta 0 it is the L1 loss; Girshick (2015), https://arxiv.org/abs/1504.08083. Input and target are of one shape
    and dtype.

    >>> import numpy as np
    >>> smooth_l1_loss(np.array([0.5, 3.0]), np.zeros(2), "none")
    array([0.125, 2.5  ])
    """
    check_pair("smooth_l1_loss", input, target, reduction)
    if not beta >= 0:
        raise ValueError(f"{place('smooth_l1_loss')}: beta must not be negative, got {beta}")
    if beta and reduction != "none":
        return SmoothL1Loss(beta, math.prod(input.shape) if reduction == "mean" else 1).apply(input, target)
    d = abs(sub(input, target))
    return reduced(where(d < beta, mul(mul(d, d), 0.5 / beta), sub(d, 0.5 * beta)) if beta else d, reduction)


def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0) -> Any:
    """Return d**2 / 2 where d = |input - target| is at most delta, and delta * (d - delta / 2) elsewhere.

    Huber (1964), https://doi.org/10.1214/aoms/1177703732. It is delta times `smooth_l1_loss` with beta = delta.

    >>> import numpy as np
    >>> huber_loss(np.array([0.5, 3.0]), np.zeros(2), "none", delta=2.0)
    array([0.125, 4.   ])
    """
    check_pair("huber_loss", input, target, reduction)
    if not delta > 0:
        raise ValueError(f"{place('huber_loss')}: delta must be positive, got {delta}")
    if reduction != "none":
        count = math.prod(input.shape) if reduction == "mean" else 1
        return SmoothL1Loss(delta, count / delta).apply(input, target)
    d = abs(sub(input, target))
    return reduced(where(d <= delta, mul(mul(d, d), 0.5), mul(sub(d, 0.5 * delta), delta)), reduction)


def kl_div(input: Any, target: Any, reduction: str = "mean", log_target: bool = False) -> Any:
    """Return target * (log(target) - input): summed, the divergence of the target from the input's distribution.

    Args:
        input: log-probabilities, any shape.
        target: probabilities of the same shape and dtype (0 contributes 0); log-probabilities with ``log_target``.
        reduction: 'none', 'sum', 'mean' over all elements, or 'batchmean': the sum over the size of the first axis,
            which is the divergence per sample.
        log_target: whether the target holds logarithms.

    >>> import numpy as np
    >>> p = np.array([[0.5, 0.5]])
    >>> float(kl_div(np.log(p), np.array([[1.0, 0.0]]), "batchmean"))        # log 2
    0.693147...
    """
    check_pair("kl_div", input, target, "sum" if reduction == "batchmean" else reduction)
    rows = input.shape[0] if input.shape else 1
    if reduction != "none" and not log_target:
        divisor = {"batchmean": rows, "mean": math.prod(input.shape), "sum": 1}[reduction]
        return KLDiv(range(len(input.shape)), divisor).apply(input, target)
    if log_target:
        losses = mul(exp(target), sub(target, input))
    else:
        losses = sub(mul(target, log(where(target == 0, 1.0, target))), mul(target, input))
    return div(sum(losses), rows) if reduction == "batchmean" else reduced(losses, reduction)
