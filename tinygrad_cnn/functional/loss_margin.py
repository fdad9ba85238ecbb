"""Distances of vectors, and losses that ask for a margin between what belongs together and what does not."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_cnn.autograd import Variable
from tinygrad_cnn.functional.activation import relu
from tinygrad_cnn.functional.arithmetic import add, div, minimum, mul, sub
from tinygrad_cnn.functional.elementwise import clamp, neg, sqrt, where
from tinygrad_cnn.functional.indexing import index
from tinygrad_cnn.functional.label import checked_labels, one_hot
from tinygrad_cnn.functional.linalg import same_float
from tinygrad_cnn.functional.picking import gather
from tinygrad_cnn.functional.reduce import Reduction, sum
from tinygrad_cnn.functional.reduction import check_reduction, reduced
from tinygrad_cnn.functional.shape import axis_index, expand, reshape, shape_of, unsqueeze
from tinygrad_cnn.functional.sums import norm
from tinygrad_cnn.kernels import loss_pairs as kernel
from tinygrad_cnn.kernels.geometry import number
from tinygrad_cnn.state import place


class EuclideanDistance(Reduction):
    """The length of each row of x1 - x2 + eps; the slope of a length of 0 is 0."""

    def __init__(self, keepdims: bool, eps: float) -> None:
        super().__init__((1,), keepdims)
        self.eps = eps

    def forward(self, x1: ndarray, x2: ndarray) -> ndarray:
        y = kernel.euclidean_distance(x1, x2, self.eps)
        return y[:, None] if self.keepdims else y

    def backward(self, gy: Any, x1: Any, x2: Any, y: Any) -> tuple[Any, Any]:
        if type(gy) is ndarray:
            return kernel.euclidean_distance_grad(gy.reshape(-1), x1, x2, y.reshape(-1), self.eps)
        g = (x1 - x2 + self.eps) * self.restore(gy / where(y == 0, 1.0, y), x1.shape)
        return g, -g


def _check_vectors(op: str, **vectors: Any) -> tuple[int, ...]:
    """Return the shape to which the vectors broadcast; raise an error where they do not."""
    same_float(op, **vectors)
    shapes = {name: x.shape for name, x in vectors.items()}
    try:
        return np.broadcast_shapes(*shapes.values())
    except ValueError:
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(f"{place(op)}: the shapes must broadcast, got {listed}") from None


def _signs(op: str, target: Any, shape: tuple[int, ...]) -> Any:
    """Return a target that holds 1 and -1 only and has one for each sample."""
    signs = target._data if isinstance(target, Variable) else np.asarray(target)
    if signs.shape != shape:
        raise ValueError(f"{place(op)}: target must have shape {shape}, one for each sample, got {signs.shape}")
    if (wrong := np.abs(signs) != 1).any():
        raise ValueError(f"{place(op)}: target must hold 1 and -1 only, got {signs[wrong][0]}")
    return signs


def pairwise_distance(x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Any:
    """Return the p-norm of x1 - x2 + eps over the last axis; (N, D), (D,) or shapes that broadcast.

    >>> import numpy as np
    >>> pairwise_distance(np.array([[3.0, 4.0]]), np.zeros((1, 2)), eps=0)
    array([5.])
    """
    if not _check_vectors("pairwise_distance", x1=x1, x2=x2):
        raise ValueError(f"{place('pairwise_distance')}: needs vectors (..., D), got numbers")
    p, eps = number("pairwise_distance", "p", p, 0), number("pairwise_distance", "eps", eps)
    if p == 2 and x1.shape == x2.shape and len(x1.shape) == 2:
        return EuclideanDistance(keepdim, eps).apply(x1, x2)
    return norm(add(sub(x1, x2), eps), p, -1, keepdim)


def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    """Return the cosine of the angle between vectors along ``dim``: x1 . x2 / (max(|x1|, eps) * max(|x2|, eps)).

    >>> import numpy as np
    >>> cosine_similarity(np.array([[1.0, 0.0]]), np.array([[3.0, 3.0]]))
    array([0.70710678])
    """
    shape = _check_vectors("cosine_similarity", x1=x1, x2=x2)
    at, eps = axis_index("cosine_similarity", dim, len(shape)) - len(shape), number("cosine_similarity", "eps", eps, 0)
    directions = [div(x, clamp(norm(x, 2, at, True), min=eps)) for x in (expand(x1, shape), expand(x2, shape))]
    return sum(mul(*directions), at)


def cosine_embedding_loss(input1: Any, input2: Any, target: Any, margin: float = 0.0, reduction: str = "mean") -> Any:
    """Return 1 - cos(input1, input2) where the target is 1, and max(0, cos - margin) where it is -1.

    Args:
        input1: vectors (N, D) or (D,).
        input2: the same shape and dtype.
        target: 1 (alike) or -1 (unlike) for each pair, (N,) or ().
        margin: how alike unlike vectors may be, from -1 to 1.
        reduction: 'mean', 'sum' or 'none'.

    >>> import numpy as np
    >>> x = np.array([[1.0, 0.0], [1.0, 0.0]])
    >>> cosine_embedding_loss(x, x, np.array([1, -1]), reduction="none").round(6)
    array([0., 1.])
    """
    op = "cosine_embedding_loss"
    check_reduction(op, reduction)
    same_float(op, input1=input1, input2=input2)
    if input1.shape != input2.shape or len(input1.shape) not in (1, 2):
        raise ValueError(f"{place(op)}: needs two inputs (N, D) or (D,), got {input1.shape} and {input2.shape}")
    signs, margin = _signs(op, target, input1.shape[:-1]), number(op, "margin", margin)
    squares = [add(sum(mul(x, x), -1), 1e-12) for x in (input1, input2)]  # PyTorch's guard against 0 / 0
    cosine = div(sum(mul(input1, input2), -1), sqrt(mul(*squares)))
    return reduced(where(signs == 1, sub(1, cosine), clamp(sub(cosine, margin), min=0)), reduction)


def triplet_margin_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> Any:
    """Return max(0, d(anchor, positive) - d(anchor, negative) + margin), d being `pairwise_distance`.

    Args:
        anchor: vectors (N, D) or (D,).
        positive: of the same kind as the anchors.
        negative: of another kind.
        margin: by how much the negative should be farther away.
        p: the norm of the distance.
        eps: added to each difference.
        swap: take the negative's distance from the positive where that is smaller; Balntas et al. (2016),
            https://doi.org/10.5244/C.30.119.
        reduction: 'mean', 'sum' or 'none'.

    >>> import numpy as np
    >>> a, b = np.array([[0.0, 0.0]]), np.array([[0.0, 0.5]])
    >>> round(float(triplet_margin_loss(a, a, b)), 4)
    0.5
    """
    op = "triplet_margin_loss"
    check_reduction(op, reduction)
    if not _check_vectors(op, anchor=anchor, positive=positive, negative=negative):
        raise ValueError(f"{place(op)}: needs vectors (N, D) or (D,), got numbers")
    p, margin = number(op, "p", p, 0), number(op, "margin", margin, 0)
    near, far = pairwise_distance(anchor, positive, p, eps), pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = minimum(far, pairwise_distance(positive, negative, p, eps))
    return reduced(clamp(add(sub(near, far), margin), min=0), reduction)


def margin_ranking_loss(input1: Any, input2: Any, target: Any, margin: float = 0.0, reduction: str = "mean") -> Any:
    """Return max(0, -target * (input1 - input2) + margin): with target 1 the first should be larger, with -1 smaller.

    The inputs are of one shape and dtype, and so is the target, which may hold integers.

    >>> import numpy as np
    >>> margin_ranking_loss(np.array([1.0, 1.0]), np.array([3.0, 3.0]), np.array([1, -1]), reduction="none")
    array([2., 0.])
    """
    op = "margin_ranking_loss"
    check_reduction(op, reduction)
    same_float(op, input1=input1, input2=input2)
    if input1.shape != input2.shape:
        raise ValueError(f"{place(op)}: the inputs must have one shape, got {input1.shape} and {input2.shape}")
    signs, margin = _signs(op, target, input1.shape).astype(input1.dtype), number(op, "margin", margin)
    return reduced(clamp(add(mul(neg(signs), sub(input1, input2)), margin), min=0), reduction)


def hinge_embedding_loss(input: Any, target: Any, margin: float = 1.0, reduction: str = "mean") -> Any:
    """Return the input (a distance) where the target is 1, and max(0, margin - input) where it is -1.

    >>> import numpy as np
    >>> hinge_embedding_loss(np.array([0.2, 0.2]), np.array([1, -1]), reduction="none")
    array([0.2, 0.8])
    """
    op = "hinge_embedding_loss"
    check_reduction(op, reduction)
    same_float(op, input=input)
    signs, margin = _signs(op, target, input.shape), number(op, "margin", margin)
    return reduced(where(signs == 1, input, clamp(sub(margin, input), min=0)), reduction)


def multi_margin_loss(
    input: Any, target: Any, p: int = 1, margin: float = 1.0, weight: Any = None, reduction: str = "mean"
) -> Any:
    """Return the hinge loss of many classes: the right score should exceed each other one by the margin.

        loss[n] = weight[t] / C * sum over c != t of max(0, margin - input[n, t] + input[n, c])**p,  t = target[n]

    Args:
        input: scores (N, C) or (C,).
        target: integer labels (N,) or ().
        p: 1 or 2.
        margin: by how much the right score should be larger.
        weight: one number for each class, (C,).
        reduction: 'mean' over the samples, 'sum' or 'none'.

    >>> import numpy as np
    >>> float(multi_margin_loss(np.array([[0.0, 0.5, 2.0]]), np.array([2])))
    0.0
    """
    op = "multi_margin_loss"
    check_reduction(op, reduction)
    same_float(op, input=input, weight=weight)
    if p not in (1, 2):
        raise ValueError(f"{place(op)}: p must be 1 or 2, got {p}")
    shape, margin = input.shape, number(op, "margin", margin)
    if len(shape) not in (1, 2) or not shape[-1]:
        raise ValueError(f"{place(op)}: input must be (N, C) or (C,) with C >= 1, got {shape}")
    C = shape[-1]
    if weight is not None and shape_of(weight) != (C,):
        raise ValueError(f"{place(op)}: weight must be ({C},), one for each class, got {shape_of(weight)}")
    labels = checked_labels(op, target, C)
    labels = labels._data if isinstance(labels, Variable) else labels
    if labels.shape != shape[:-1]:
        raise ValueError(f"{place(op)}: target must have shape {shape[:-1]} for input {shape}, got {labels.shape}")
    x, labels = reshape(input, -1, C), labels.reshape(-1)
    over = relu(add(sub(x, gather(x, 1, unsqueeze(labels, 1))), margin))
    over = where(one_hot(labels, C) == 1, 0.0, mul(over, over) if p == 2 else over)
    losses = div(sum(over, 1), C)
    if weight is not None:
        losses = mul(losses, index(weight, labels))
    return reduced(reshape(losses, shape[:-1]), reduction)
