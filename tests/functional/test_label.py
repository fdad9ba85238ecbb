from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import Tensor
from tinygrad_cnn import functional as F
from tinygrad_cnn.functional.label import checked_labels


def test_one_hot() -> None:
    y = F.one_hot(Tensor([[2, 0]]))
    assert isinstance(y, Tensor)
    assert y.dtype == np.int64
    assert y.tolist() == [[[0, 0, 1], [1, 0, 0]]]
    assert F.one_hot(np.uint8(1), 2).tolist() == [0, 1]
    assert F.one_hot(np.zeros((0, 2), int), 3).shape == (0, 2, 3)


def test_labels_become_int64_and_stay_what_they_are() -> None:
    labels = np.array([2, 0])
    assert checked_labels("op", labels, 3) is labels
    tensor = checked_labels("op", Tensor(labels), 3)
    assert isinstance(tensor, Tensor)
    assert np.shares_memory(tensor.data, labels)  # so that a later write to it is noticed
    assert checked_labels("op", labels.astype(np.uint8), 3).dtype == np.int64
    assert checked_labels("op", [2, 0], 3).tolist() == [2, 0]


def test_only_the_ignored_label_may_be_out_of_range() -> None:
    checked_labels("op", np.array([0, -7]), 3, -7)
    with pytest.raises(IndexError, match=r"op: label 9 at position \(1, 0\) .* 0 to 2 \(or -7, the ignore_index\)"):
        checked_labels("op", np.array([[0, -7], [9, 3]]), 3, -7)
    with pytest.raises(IndexError, match=r"label 3 at position \(0,\)"):
        checked_labels("op", np.array(3), 3)


@pytest.mark.parametrize(
    ("call", "error_type", "message"),
    [
        (lambda: F.one_hot(np.array([0, 3]), 3), IndexError, "one_hot: label 3 .* from 0 to 2$"),
        (lambda: F.one_hot(np.array([-1, 3])), IndexError, "one_hot: label -1"),
        (lambda: F.one_hot(np.array([0.0])), TypeError, "one_hot: labels must be integers, got float64"),
        (lambda: F.one_hot(np.zeros(0, int)), ValueError, "give num_classes"),
        (lambda: F.one_hot(np.array([0]), 0), ValueError, "num_classes must be at least 1"),
        (lambda: F.one_hot(np.array([0]), 10**12), ValueError, "one_hot: this would need an array .* above the limit"),
    ],
)
def test_errors_teach(call: Callable[[], Any], error_type: type[Exception], message: str) -> None:
    with pytest.raises(error_type, match=message):
        call()


def test_labels_beyond_int64_are_out_of_range() -> None:
    with pytest.raises(IndexError, match="out of range"):
        F.cross_entropy(np.zeros((2, 3), np.float32), np.array([0, 2**64 - 100], np.uint64))
    loss = F.nll_loss(np.zeros((2, 3), np.float32), np.array([0, 2], np.uint64), ignore_index=2**70)
    assert loss == 0
