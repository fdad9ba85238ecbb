"""Class labels: integers from 0 to C - 1, checked here because a kernel would read past its arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_cnn.autograd import Function, Variable
from tinygrad_cnn.kernels.geometry import check_elements, whole
from tinygrad_cnn.state import place


def checked_labels(op: str, target: Any, classes: int, ignore_index: int | None = None) -> Any:
    """Return labels as int64, or raise an error that names the first one that is not a class."""
    labels = target._data if isinstance(target, Variable) else np.asarray(target)
    if labels.dtype.kind not in "iu":
        raise TypeError(f"{place(op)}: labels must be integers, got {labels.dtype}; convert with .astype(np.int64)")
    if labels.dtype == np.uint64:  # the largest would become negative, and one of them -100
        labels = np.minimum(labels, np.uint64(2**63 - 1))
    labels = labels.astype(np.int64, copy=False)
    if labels.size and _largest(labels.view(np.uint64)) >= classes:  # in one look: seen unsigned, negatives are large
        wrong = (labels < 0) | (labels >= classes)
        if ignore_index is not None:
            wrong &= labels != ignore_index
        if wrong.any():
            at = tuple(int(i[0]) for i in np.nonzero(np.atleast_1d(wrong)))
            ignored = "" if ignore_index is None else f" (or {ignore_index}, the ignore_index)"
            raise IndexError(
                f"{place(op)}: label {np.atleast_1d(labels)[at]} at position {at} is out of range: with {classes} "
                f"classes labels go from 0 to {classes - 1}{ignored}"
            )
    if not isinstance(target, Variable):
        return labels
    return target if labels is target._data else target.wrap(labels)


def _largest(numbers: ndarray) -> int:
    return max(numbers.tolist()) if numbers.shape == (1,) else numbers.max()


class OneHot(Function):
    """1 at the label and 0 elsewhere, along a new last axis."""

    differentiable = False

    def __init__(self, classes: int) -> None:
        self.classes = classes

    def forward(self, target: ndarray) -> ndarray:
        y = np.zeros((*target.shape, self.classes), np.int64)
        np.put_along_axis(y, target[..., None], 1, -1)
        return y


def one_hot(target: Any, num_classes: int = -1) -> Any:
    """Return int64 zeros with a 1 at each label, along a new last axis.

    Args:
        target: integer labels of any shape.
        num_classes: the size of the new axis; -1 means the largest label + 1.

    >>> import numpy as np
    >>> one_hot(np.array([2, 0]), 3)
    array([[0, 0, 1],
           [1, 0, 0]])
    """
    array = target._data if isinstance(target, Variable) else np.asarray(target)
    if num_classes == -1:
        if not array.size:
            raise ValueError(f"{place('one_hot')}: without labels the number of classes is unknown; give num_classes")
        num_classes = max(int(array.max()) + 1, 1)
    num_classes = whole("one_hot", "num_classes", num_classes, 1)
    check_elements("one_hot", (*array.shape, num_classes))
    return OneHot(num_classes).apply(checked_labels("one_hot", target, num_classes))
