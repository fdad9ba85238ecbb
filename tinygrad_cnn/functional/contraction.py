"""Products and sums written with one letter for each axis, done as matrix products of two operands at a time."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from tinygrad_cnn.functional.arithmetic import mul
from tinygrad_cnn.functional.indexing import index
from tinygrad_cnn.functional.linalg import matmul, same_float
from tinygrad_cnn.functional.reduce import sum
from tinygrad_cnn.functional.shape import expand, permute, reshape
from tinygrad_cnn.state import place

Labels = tuple[str, ...]  # the name of each axis: a letter, or "0", "1", ... from the right for what ... stands for


def einsum(equation: str, *operands: Any) -> Any:
    """Multiply tensors and sum over axes, as an equation says it with a letter for each axis.

    Letters that the result does not have are summed over; one that stands twice in an operand takes its diagonal. The
    dots ... stand for any axes and broadcast. Without "->" the result has the letters that occur once, in order.
    Operands are combined two at a time from the left, each pair as one matrix product.

    Args:
        equation: as "bij,bjk->bik".
        operands: tensors of one float dtype, one for each term.

    Raises:
        ValueError: the equation and the shapes do not fit.

    >>> import numpy as np
    >>> einsum("ij,kj->ik", np.ones((2, 3)), np.ones((4, 3))).shape
    (2, 4)
    >>> float(einsum("ii", np.arange(9.0).reshape(3, 3)))        # the trace
    12.0
    """
    if not isinstance(equation, str) or not operands:
        raise TypeError(f"{place('einsum')}: needs an equation such as 'ij,jk->ik' and then the operands")
    same_float("einsum", **{f"operand {i}": x for i, x in enumerate(operands)})
    terms, result = _labels(equation, [len(x.shape) for x in operands])
    size: dict[str, int] = {}
    for term, x in zip(terms, operands, strict=True):
        for label, n in zip(term, x.shape, strict=True):
            if size.setdefault(label, n) == 1:
                size[label] = n
            elif n not in (1, size[label]):
                raise ValueError(
                    f"{place('einsum')}: {equation!r} for shapes {[x.shape for x in operands]}: axis {label!r} has the "
                    f"sizes {size[label]} and {n}"
                )
    parts = [_without_repeats(x, term, size) for x, term in zip(operands, terms, strict=True)]
    y, labels = parts[0]
    for i, (x, term) in enumerate(parts[1:], 1):
        later = set(result).union(*(t for _, t in parts[i + 1 :]))
        y, labels = _contract(y, labels, x, term, later)
    y, labels = _summed(y, labels, set(result))
    y = _aligned(y, labels, result, size)
    return reshape(y, y.shape) if any(y is x for x in operands) else y


def _labels(equation: str, ndims: list[int]) -> tuple[list[Labels], Labels]:
    """Return the labels of each operand and of the result."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    written = left.split(",")
    where = f"{place('einsum')}: {equation!r}"
    if len(written) != len(ndims):
        raise ValueError(f"{where} has {len(written)} terms for {len(ndims)} operands")
    terms = []
    for text, ndim in zip(written, ndims, strict=True):
        letters = text.replace("...", "", 1)
        dots = ndim - len(letters) if "..." in text else 0
        if not all(c.isascii() and c.isalpha() for c in letters) or dots < 0 or len(letters) + dots != ndim:
            raise ValueError(f"{where}: the term {text!r} must name each of the {ndim} axes by a letter, or use ...")
        before, _, after = text.partition("...")
        terms.append((*before, *map(str, reversed(range(dots))), *after))
    count = Counter(label for term in terms for label in term)
    ellipsis = tuple(sorted((label for label in count if label.isdigit()), key=int, reverse=True))
    if not arrow:
        return terms, ellipsis + tuple(sorted(label for label, n in count.items() if n == 1 and label.isalpha()))
    before, dots_there, after = right.partition("...")
    result = (*before, *(ellipsis if dots_there else ()), *after)
    if len(set(result)) < len(result) or not set(result) <= set(count):
        raise ValueError(f"{where}: the result {right!r} must name axes of the operands, each once")
    return terms, result


def _without_repeats(x: Any, labels: Labels, size: dict[str, int]) -> tuple[Any, Labels]:
    """Take diagonals of labels that stand twice; drop axes of size 1 that other operands broadcast."""
    while len(set(labels)) < len(labels):
        label = next(label for label in labels if labels.count(label) > 1)
        i = labels.index(label)
        j = labels.index(label, i + 1)
        rest = [k for k in range(len(labels)) if k not in (i, j)]
        n = x.shape[i]
        if x.shape[j] != n:
            raise ValueError(
                f"{place('einsum')}: the diagonal of axis {label!r} needs equal sizes, got shape {x.shape}"
            )
        x = permute(x, *rest, i, j)
        x = reshape(x, (*x.shape[:-2], n * n))
        x, labels = index(x, (..., slice(None, None, n + 1))), (*(labels[k] for k in rest), label)
    kept = [i for i, label in enumerate(labels) if x.shape[i] != 1 or size[label] == 1]
    return _shaped(x, [x.shape[i] for i in kept]), tuple(labels[i] for i in kept)


def _summed(x: Any, labels: Labels, needed: set[str]) -> tuple[Any, Labels]:
    """Sum over the axes that nobody needs."""
    gone = tuple(i for i, label in enumerate(labels) if label not in needed)
    return (sum(x, gone) if gone else x), tuple(label for label in labels if label in needed)


def _contract(a: Any, a_labels: Labels, b: Any, b_labels: Labels, later: set[str]) -> tuple[Any, Labels]:
    """Multiply two operands and sum over what both have and nobody needs later."""
    a, a_labels = _summed(a, a_labels, later | set(b_labels))
    b, b_labels = _summed(b, b_labels, later | set(a_labels))
    size = dict(zip(a_labels + b_labels, a.shape + b.shape, strict=True))
    shared = tuple(label for label in a_labels if label in b_labels)
    batch = tuple(label for label in shared if label in later)
    inner = tuple(label for label in shared if label not in later)
    rows = tuple(label for label in a_labels if label not in shared)
    columns = tuple(label for label in b_labels if label not in shared)
    result = batch + rows + columns
    if not inner or not (rows or columns):  # nothing to sum over, or only sums: no matrix product
        y = mul(_aligned(a, a_labels, result + inner), _aligned(b, b_labels, result + inner))
        return _summed(y, result + inner, set(result))
    B, M, K, N = (math.prod(size[label] for label in group) for group in (batch, rows, inner, columns))
    left = _shaped(_aligned(a, a_labels, batch + rows + inner), (B, M, K))
    right = _shaped(_aligned(b, b_labels, batch + inner + columns), (B, K, N))
    return _shaped(matmul(left, right), [size[label] for label in result]), result


def _shaped(x: Any, shape: Sequence[int]) -> Any:
    """Return x itself where nothing changes: a gradient that no view stands before is not copied."""
    return x if x.shape == tuple(shape) else reshape(x, shape)


def _aligned(x: Any, labels: Labels, wanted: Labels, size: dict[str, int] | None = None) -> Any:
    """Return x with its axes in the order ``wanted``; of size 1 (or expanded to ``size``) those that it has not."""
    order = [labels.index(label) for label in wanted if label in labels]
    x = x if order == sorted(order) else permute(x, *order)
    own = iter(x.shape)
    x = _shaped(x, [next(own) if label in labels else 1 for label in wanted])
    shape = x.shape if size is None else tuple(size[label] for label in wanted)
    return x if x.shape == shape else expand(x, shape)
