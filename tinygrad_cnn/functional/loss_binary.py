"""Losses of yes or no: the target is the probability of yes, or (soft margin) the sign 1 or -1."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_cnn.autograd import Function, Variable
from tinygrad_cnn.functional.activation import sigmoid
from tinygrad_cnn.functional.arithmetic import add, mul, pow, sub
from tinygrad_cnn.functional.curves import logsigmoid
from tinygrad_cnn.functional.elementwise import clamp, log, neg, where
from tinygrad_cnn.functional.linalg import same_float
from tinygrad_cnn.functional.reduction import check_pair, reduced
from tinygrad_cnn.functional.shape import expand
from tinygrad_cnn.kernels import loss_pairs as kernel
from tinygrad_cnn.kernels.geometry import number
from tinygrad_cnn.state import place


def _log(x: Any) -> Any:
    """Return log(x), but at least -100."""
    return where(x > 0, clamp(log(where(x > 0, x, 1.0)), min=-100.0), -100.0)


class BinaryCrossEntropy(Function):
    """-(t log x + (1 - t) log(1 - x)), logarithms at least -100; the slope is bounded as in PyTorch."""

    def forward(self, x: ndarray, target: ndarray) -> ndarray:
        return -(target * _log(x) + (1 - target) * _log(1 - x))

    def grad_x(self, gy: Any, x: Any, target: Any) -> Any:
        return gy * (x - target) / clamp(x * (1 - x), min=1e-12)

    def grad_target(self, gy: Any, x: Any) -> Any:
        return gy * (_log(1 - x) - _log(x))


class BCEWithLogits(Function):
    """The sum of the binary cross-entropies of sigmoid(x), over ``divisor``."""

    def __init__(self, divisor: int) -> None:
        self.divisor = divisor or math.nan  # the mean of nothing

    def forward(self, x: ndarray, target: ndarray) -> ndarray:
        return np.asarray(kernel.binary_cross_entropy_with_logits(x, target) / self.divisor, x.dtype)

    def grad_x(self, gy: Any, x: Any, target: Any) -> Any:
        if type(gy) is ndarray:
            return kernel.binary_cross_entropy_with_logits_grad(float(gy) / self.divisor, x, target)
        return (sigmoid(x) - target) * (gy / self.divisor)

    def grad_target(self, gy: Any, x: Any) -> Any:
        return x * (gy / -self.divisor)


def _times(op: str, losses: Any, **weight: Any) -> Any:
    """Multiply by a weight (None is 1), given by its name, that broadcasts to the losses."""
    ((name, factors),) = weight.items()
    if factors is None:
        return losses
    same_float(op, input=losses, **weight)
    try:
        return mul(losses, expand(factors, losses.shape))
    except ValueError:
        raise ValueError(
            f"{place(op)}: {name} {factors.shape} must broadcast to the input {losses.shape}: read from the right, "
            "each size must be equal or 1"
        ) from None


def binary_cross_entropy(input: Any, target: Any, weight: Any = None, reduction: str = "mean") -> Any:
    """Return the cross-entropy between probabilities of yes: -(target * log(input) + (1 - target) * log(1 - input)).

    A logarithm is at least -100, so the loss is finite where the input is 0 or 1. Scores should go to
    `binary_cross_entropy_with_logits` instead, which loses no digits.

    Args:
        input: probabilities from 0 to 1, any shape.
        target: probabilities of the same shape and dtype.
        weight: factors of the losses, of a shape that broadcasts to the input's.
        reduction: 'mean', 'sum' or 'none'.

    Raises:
        ValueError: an input or a target is not from 0 to 1.

    >>> import numpy as np
    >>> binary_cross_entropy(np.array([0.5, 1.0]), np.array([1.0, 0.0]), reduction="none")
    array([  0.69314718, 100.        ])
    """
    op = "binary_cross_entropy"
    check_pair(op, input, target, reduction)
    for name, p in (("input", input), ("target", target)):
        p = p._data if isinstance(p, Variable) else p
        if p.size and not 0 <= p.min() <= p.max() <= 1:
            raise ValueError(
                f"{place(op)}: {name} must be probabilities from 0 to 1, got {p.min()} to {p.max()}; for scores there "
                "is binary_cross_entropy_with_logits()"
            )
    return reduced(_times(op, BinaryCrossEntropy().apply(input, target), weight=weight), reduction)


def binary_cross_entropy_with_logits(
    input: Any, target: Any, weight: Any = None, reduction: str = "mean", pos_weight: Any = None
) -> Any:
    """Return the cross-entropy of the probabilities sigmoid(input), without overflow or lost digits.

        loss = -(pos_weight * target * log(sigmoid(input)) + (1 - target) * log(1 - sigmoid(input)))

    Args:
        input: scores, any real numbers and any shape.
        target: probabilities of the same shape and dtype.
        weight: factors of the losses, of a shape that broadcasts to the input's.
        reduction: 'mean', 'sum' or 'none'.
        pos_weight: factors of the first term, of a shape that broadcasts to the input's: above 1 they favour recall.

    >>> import numpy as np
    >>> binary_cross_entropy_with_logits(np.array([0.0, 1000.0]), np.array([1.0, 0.0]), reduction="none")
    array([6.93147181e-01, 1.00000000e+03])
    """
    op = "binary_cross_entropy_with_logits"
    check_pair(op, input, target, reduction)
    if weight is None and pos_weight is None and reduction != "none":
        return BCEWithLogits(math.prod(input.shape) if reduction == "mean" else 1).apply(input, target)
    yes, no = _times(op, logsigmoid(input), pos_weight=pos_weight), logsigmoid(neg(input))
    return reduced(_times(op, neg(add(mul(target, yes), mul(sub(1, target), no))), weight=weight), reduction)


def sigmoid_focal_loss(
    inputs: Any, targets: Any, alpha: float = 0.25, gamma: float = 2, reduction: str = "none"
) -> Any:
    """Return the focal loss: a cross-entropy of sigmoid(inputs) in which easy samples count less.

        loss = a * (1 - p)**gamma * -log(p),  where p is the probability that is given to the target and a is alpha
        where the target is 1, 1 - alpha where it is 0

    Names and defaults are torchvision's; Lin et al. (2017), https://arxiv.org/abs/1708.02002.

    Args:
        inputs: scores, any shape.
        targets: 0 or 1, of the same shape and dtype.
        alpha: the weight of yes, from 0 to 1; -1 gives weight 1 to both.
        gamma: how much easy samples are played down; 0 gives the cross-entropy.
        reduction: 'none', 'mean' or 'sum'.

    >>> import numpy as np
    >>> sigmoid_focal_loss(np.array([0.0]), np.array([1.0]))        # 0.25 * 0.5**2 * log(2)
    array([0.0433217])
    """
    op = "sigmoid_focal_loss"
    check_pair(op, inputs, targets, reduction)
    if not (0 <= alpha <= 1 or alpha == -1):
        raise ValueError(f"{place(op)}: alpha must be from 0 to 1, or -1 for no weights, got {alpha}")
    gamma = number(op, "gamma", gamma, 0)
    others = sub(1, targets)
    entropy = binary_cross_entropy_with_logits(inputs, targets, reduction="none")
    missing = add(mul(targets, sigmoid(neg(inputs))), mul(others, sigmoid(inputs)))  # 1 - p, without cancellation
    losses = mul(entropy, pow(missing, gamma))
    if alpha >= 0:
        losses = mul(losses, add(mul(targets, alpha), mul(others, 1 - alpha)))
    return reduced(losses, reduction)


def soft_margin_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """Return log(1 + exp(-target * input)) for targets 1 and -1: the logistic loss.

    input and target of one shape and dtype; the mean is over all elements.

    >>> import numpy as np
    >>> soft_margin_loss(np.array([0.0, 1000.0]), np.array([1.0, -1.0]), "none")
    array([6.93147181e-01, 1.00000000e+03])
    """
    check_pair("soft_margin_loss", input, target, reduction)
    return reduced(neg(logsigmoid(mul(target, input))), reduction)
