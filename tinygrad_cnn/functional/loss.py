"""Losses. Classes lie along axis 1; everything is checked before a kernel runs, because kernels do not check."""

from __future__ import annotations

import math
from builtins import sum as add_up
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_cnn.autograd import Function, Variable, no_derivative
from tinygrad_cnn.functional.activation import log_softmax, softmax
from tinygrad_cnn.functional.arithmetic import mul, sub
from tinygrad_cnn.functional.elementwise import astype, neg, where
from tinygrad_cnn.functional.label import checked_labels, one_hot
from tinygrad_cnn.functional.linalg import same_float
from tinygrad_cnn.functional.reduce import sum
from tinygrad_cnn.functional.reduction import check_pair, check_reduction, reduced
from tinygrad_cnn.functional.shape import expand, permute, reshape, shape_of, unsqueeze
from tinygrad_cnn.kernels import loss as kernel
from tinygrad_cnn.kernels.geometry import whole
from tinygrad_cnn.state import place

# NumPy needs longer to begin than to add so few numbers.
_FEW = 32


def scores(x: Any) -> Any:
    """(N, C, ...) -> (N, C, S)"""
    return x.reshape(x.shape[0], x.shape[1], math.prod(x.shape[2:]))


def samples(v: Any) -> Any:
    """(N, ...) -> (N, S)"""
    return v.reshape(v.shape[0], math.prod(v.shape[1:]))


def flat(x: ndarray, target: ndarray) -> tuple[ndarray, ndarray]:
    """Scores and labels with one axis of positions, or none."""
    return (x, target) if x.ndim == 2 else (scores(x), samples(target))


class LabelLoss(Function):
    """What the losses on labels share: - sum over c of a[n, c] * logp[n, c] for a sample n with label t, where

        a[n, c] = weight[c] * ((1 - e) * (c == t) + e / C),  0 where the label is ignored

    and e is the label smoothing. The mean divides by the sum of weight[t] over the samples that count.
    """

    smoothing = 0.0

    def __init__(self, ignore_index: int, reduction: str) -> None:
        self.ignore_index, self.reduction = ignore_index, reduction

    def reduced(self, results: ndarray, x: ndarray) -> ndarray:
        """Reduce float64 losses and weights, the first two of the results; answer in the dtype of x (N, C, ...)."""
        if self.reduction == "none":
            self.divisor = 1.0
            return results[0].reshape(x.shape[:1] + x.shape[2:]).astype(x.dtype)
        rows = results if results.ndim == 2 else results.reshape(len(results), -1)
        few = rows.shape[1] <= _FEW
        total, weights, *_ = map(add_up, rows.tolist()) if few else np.add.reduce(rows, 1).tolist()
        self.divisor = weights if self.reduction == "mean" else 1.0
        return np.array(total / self.divisor if self.divisor else np.nan, x.dtype)

    def per_sample(self, gy: Any, labels: Any) -> Any:
        """Return the gradient of the loss of each sample, (N, S); on arrays one number stands for N*S equal ones."""
        if self.reduction == "none":
            return samples(gy)
        divisor = self.divisor or 1.0  # where none counts, the gradients are 0 anyway
        return np.array([float(gy) / divisor]) if type(gy) is ndarray else expand(gy / divisor, labels.shape)

    def coefficients(self, x: Any, labels: Any, weight: Any) -> Any:
        """Return a (N, C, S) for x (N, C, S) and labels (N, S)."""
        counts, classes = labels != self.ignore_index, x.shape[1]
        chosen = astype(one_hot(where(counts, labels, 0), classes), x.dtype)
        a = permute(chosen, 0, 2, 1) * (1 - self.smoothing) + self.smoothing / classes  # (N, S, C) -> (N, C, S)
        if weight is not None:
            a = a * reshape(weight, classes, 1)
        return where(unsqueeze(counts, 1), a, 0.0)


class NLLLoss(LabelLoss):
    """The negative log-likelihood of labels: linear in the log-probabilities."""

    def forward(self, x: ndarray, target: ndarray, weight: ndarray | None) -> ndarray:
        return self.reduced(kernel.nll_loss(scores(x), samples(target), weight, self.ignore_index), x)

    def grad_x(self, gy: Any, x: Any, target: Any, weight: Any) -> Any:
        labels = samples(target)
        g = self.per_sample(gy, labels)
        if type(gy) is ndarray:
            shape = scores(x).shape
            return kernel.nll_loss_grad(g, labels, weight, self.ignore_index, shape, x.dtype).reshape(x.shape)
        gx = -self.coefficients(scores(x), labels, weight) * unsqueeze(g, 1)
        return gx.reshape(x.shape)

    grad_target = grad_weight = no_derivative


class CrossEntropy(LabelLoss):
    """The negative log-likelihood of labels under the softmax of scores, fused so that nothing overflows."""

    keeps = ("log_sums",)  # used by the fused kernel only

    def __init__(self, ignore_index: int, reduction: str, smoothing: float) -> None:
        super().__init__(ignore_index, reduction)
        self.smoothing = smoothing

    def forward(self, x: ndarray, target: ndarray, weight: ndarray | None) -> ndarray:
        results = kernel.cross_entropy(*flat(x, target), weight, self.ignore_index, self.smoothing)
        self.log_sums = results[2]
        return self.reduced(results, x)

    def grad_x(self, gy: Any, x: Any, target: Any, weight: Any) -> Any:
        x_shape = x.shape
        if type(gy) is ndarray:
            x, labels = flat(x, target)
            g = self.per_sample(gy, labels)
            gx = kernel.cross_entropy_grad(g, x, labels, weight, self.log_sums, self.ignore_index, self.smoothing)
            return gx if gx.shape == x_shape else gx.reshape(x_shape)
        x, labels = scores(x), samples(target)
        g = self.per_sample(gy, labels)
        a = self.coefficients(x, labels, weight)
        gx = (softmax(x, 1) * sum(a, 1, True) - a) * unsqueeze(g, 1)
        return gx.reshape(x_shape)

    grad_target = grad_weight = no_derivative


class MSELoss(Function):
    """The sum of squared differences over ``divisor``."""

    def __init__(self, divisor: int) -> None:
        self.divisor = divisor or np.nan  # the mean of nothing

    def forward(self, x: ndarray, target: ndarray) -> ndarray:
        return np.asarray(kernel.mse_loss(x, target) / self.divisor, x.dtype)

    def grad_x(self, gy: Any, x: Any, target: Any) -> Any:
        if type(gy) is ndarray:
            return kernel.mse_loss_grad(float(gy) / self.divisor, x, target)
        return (x - target) * (gy * (2 / self.divisor))

    def grad_target(self, gy: Any, x: Any, target: Any) -> Any:
        return self.grad_x(gy, target, x)


def nll_loss(input: Any, target: Any, weight: Any = None, ignore_index: int = -100, reduction: str = "mean") -> Any:
    """Return the negative log-likelihood of labels under log-probabilities, as `log_softmax` gives them.

        loss[n] = -weight[t] * input[n, t],  t = target[n];  0 where t is ignore_index

    The mean divides by the sum of weight[t] over the samples that are not ignored; it is NaN if there are none.

    Args:
        input: log-probabilities (N, C), (C,) or (N, C, d1, ...).
        target: integer labels (N,), () or (N, d1, ...).
        weight: one number for each class, (C,).
        ignore_index: the label of samples that do not count.
        reduction: 'mean', 'sum' or 'none'.

    Raises:
        IndexError: a label is not one of the C classes.
        TypeError: labels that are not integers, or other inputs that are not of one float dtype.

    >>> import numpy as np
    >>> round(float(nll_loss(np.log([[0.5, 0.5], [0.2, 0.8]]), np.array([0, 1]))), 4)
    0.4581
    """
    op = "nll_loss"
    ignore_index = min(whole(op, "ignore_index", ignore_index, -(2**63)), 2**63 - 1)
    x, labels = _scores_and_target(op, input, target, weight, reduction)
    labels = checked_labels(op, labels, x.shape[1], ignore_index)
    y = NLLLoss(ignore_index, reduction).apply(x, labels, weight)
    return _without_batch(y, input, reduction)


def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """Return the cross-entropy between scores and labels, or the probabilities that the classes should have.

        loss[n] = - sum over c of weight[c] * q[n, c] * log_softmax(input)[n, c],  0 where the label is ignore_index
        q       = (1 - e) * target + e / C,  where a label t is probability 1 of class t, and e = label_smoothing

    The mean divides by the sum of weight[t] over the labels that are not ignored (NaN if there are none), but by the
    number of samples where the target is probabilities.

    Args:
        input: scores (N, C), (C,) or (N, C, d1, ...), any real numbers.
        target: integer labels (N,), () or (N, d1, ...); or probabilities, floats of the shape of the input.
        weight: one number for each class, (C,).
        ignore_index: the label of samples that do not count; must be negative for probabilities, which have no labels.
        reduction: 'mean', 'sum' or 'none'.
        label_smoothing: from 0 to 1; Szegedy et al., https://arxiv.org/abs/1512.00567.

    Raises:
        IndexError: a label is not one of the C classes.
        TypeError: labels that are not integers, or other inputs that are not of one float dtype.

    >>> import numpy as np
    >>> round(float(cross_entropy(np.zeros((2, 10)), np.array([3, 9]))), 4)        # log(10)
    2.3026
    """
    op = "cross_entropy"
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"{place(op)}: label_smoothing must be from 0 to 1, got {label_smoothing}")
    ignore_index = min(whole(op, "ignore_index", ignore_index, -(2**63)), 2**63 - 1)
    x, target = _scores_and_target(op, input, target, weight, reduction, probabilities=True)
    if target.dtype.kind == "f":
        if ignore_index >= 0:
            raise ValueError(f"{place(op)}: ignore_index {ignore_index} is a label, but the target is probabilities")
        y = _cross_entropy_of_probabilities(x, target, weight, reduction, label_smoothing)
    else:
        labels = checked_labels(op, target, x.shape[1], ignore_index)
        if len(x.shape) > 2 and not label_smoothing:  # scores of one position lie far apart: two ops along S are faster
            return NLLLoss(ignore_index, reduction).apply(log_softmax(x, 1), labels, weight)
        y = CrossEntropy(ignore_index, reduction, float(label_smoothing)).apply(x, labels, weight)
    return _without_batch(y, input, reduction)


def _cross_entropy_of_probabilities(x: Any, target: Any, weight: Any, reduction: str, e: float) -> Any:
    classes = x.shape[1]
    q = target * (1 - e) + e / classes if e else target
    if weight is not None:
        q = mul(q, reshape(weight, classes, *(1,) * (len(x.shape) - 2)))
    return reduced(neg(sum(mul(q, log_softmax(x, 1)), 1)), reduction)


def mse_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """Return the squared differences (input - target)**2; the mean is over all elements.

    Args:
        input: any shape.
        target: the same shape and dtype.
        reduction: 'mean', 'sum' or 'none'.

    >>> import numpy as np
    >>> float(mse_loss(np.array([1.0, 5.0]), np.array([1.0, 3.0])))
    2.0
    """
    check_pair("mse_loss", input, target, reduction)
    if reduction != "none":
        return MSELoss(math.prod(input.shape) if reduction == "mean" else 1).apply(input, target)
    difference = sub(input, target)
    return mul(difference, difference)


# --- arguments ---------------------------------------------------------------------------------------------------


def _without_batch(y: Any, input: Any, reduction: str) -> Any:
    return reshape(y, ()) if len(input.shape) == 1 and reduction == "none" else y


def _scores_and_target(
    op: str, input: Any, target: Any, weight: Any, reduction: str, probabilities: bool = False
) -> tuple[Any, Any]:
    """Check everything but the labels; return input (N, C, ...) and target, with a batch axis."""
    check_reduction(op, reduction)
    same_float(op, input=input, weight=weight)
    target = target if isinstance(target, Variable) else np.asarray(target)
    x_shape, shape = input.shape, target.shape
    batch = (1,) if len(x_shape) == 1 else ()
    if not x_shape or not (classes := (batch + x_shape)[1]):
        raise ValueError(f"{place(op)}: input must be (N, C), (C,) or (N, C, d1, ...) with C >= 1, got {x_shape}")
    if weight is not None and shape_of(weight) != (classes,):
        raise ValueError(f"{place(op)}: weight must be ({classes},), one for each class, got {shape_of(weight)}")
    expected = x_shape[:1] + x_shape[2:] if len(x_shape) > 1 else ()
    if target.dtype.kind == "f":
        if not probabilities or shape != x_shape:
            other = f", or be probabilities of shape {x_shape}" if probabilities else ""
            raise TypeError(
                f"{place(op)}: labels must be integers{other}; got {target.dtype} of shape {shape}. Convert labels "
                "with .astype(np.int64)"
            )
        same_float(op, input=input, target=target)
    elif shape != expected:
        dim = int(len(x_shape) > 1)
        cure = f"of one-hot integers take argmax({dim})" if shape == x_shape else "reshape() or squeeze() them"
        raise ValueError(
            f"{place(op)}: input {x_shape} has its {classes} classes along dim {dim}, so labels must have shape "
            f"{expected}, got {shape}; {cure}"
        )
    if not batch:
        return input, target
    return reshape(input, batch + x_shape), reshape(target, batch + shape)
