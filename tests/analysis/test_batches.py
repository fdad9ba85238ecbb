from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn import Tensor, nn
from tinygrad_cnn.analysis.batches import Batches, addresses_of
from tinygrad_cnn.data import synthetic_digits

X = np.arange(5 * 9, dtype=np.uint8).reshape(5, 1, 3, 3)
LABELS = np.array([3, 1, 4, 1, 5])


class Images:
    """A data set without labels."""

    def __len__(self):
        return 5

    def __getitem__(self, indices):
        return X[indices]


@pytest.mark.parametrize(
    "data", [X, Tensor(X.astype(np.float64)), Images(), (X, LABELS), [Tensor(X / 1.0), Tensor(LABELS)]]
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_images_come_in_order_and_in_the_dtype_of_the_model(data, dtype):
    batches = Batches("op", nn.Conv2d(1, 2, 3, dtype=dtype), data, 2)
    assert len(batches) == 5
    starts, images, labels = zip(*batches, strict=True)
    assert starts == (0, 2, 4)
    assert all(x.dtype == dtype for x in images)
    np.testing.assert_array_equal(np.concatenate([x.data for x in images]), X)
    if isinstance(data, tuple | list):
        np.testing.assert_array_equal(np.concatenate(labels), LABELS)
    else:
        assert labels == (None,) * 3
    np.testing.assert_array_equal(batches.take([4, 0])[0].data, X[[4, 0]])


def test_data_sets_give_both():
    dataset = synthetic_digits(7)
    ((_, x, labels),) = Batches("op", nn.ReLU(), dataset, 10)
    np.testing.assert_array_equal(x.data, dataset[:][0])
    np.testing.assert_array_equal(labels, dataset.labels)


def test_without_parameters_images_are_floats():
    ((_, x, _),) = Batches("op", nn.ReLU(), X, 10)
    assert x.dtype == np.float32
    ((_, x, _),) = Batches("op", nn.ReLU(), X / 1.0, 10)
    assert x.dtype == np.float64


@pytest.mark.parametrize(
    ("data", "size", "message"),
    [
        (X[:0], 1, "op: there are no images"),
        ((X, LABELS[:4]), 1, r"op: expected a pair of images and as many labels, got shapes .*\(4,\)\]"),
        ((X, LABELS, LABELS), 1, r"got shapes .*\(5,\), \(5,\)\]"),
        (X, 0, "op: batch_size must be at least 1, got 0"),
    ],
)
def test_what_cannot_be_taken(data, size, message):
    with pytest.raises(ValueError, match=message):
        Batches("op", nn.ReLU(), data, size)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: Batches("op", nn.Linear(1, 1), 3, 1), TypeError, "op: expected images .* got 3"),
        (lambda: Batches("op", nn.Linear(1, 1), "images", 1), TypeError, "got 'images'"),
        (lambda: Batches("op", nn.Linear(1, 1), np.zeros(()), 1), TypeError, "expected images"),
        (lambda: Batches("op", "net", X, 1), TypeError, "model must be an nn.Module, got str"),
        (lambda: Batches("op", nn.Linear(1, 1), X, 1.5), TypeError, "batch_size must be an int, got 1.5"),
        (lambda: Batches("op", nn.Linear(1, 1), [], 1), ValueError, "expected a pair of images and as many labels"),
        (lambda: Batches("op", nn.Linear(1, 1), [(X[0], 3), (X[1], 4)], 1), ValueError, "not a list of samples"),
        (lambda: addresses_of("op", 3), TypeError, "op: addresses are text"),
        (lambda: addresses_of("op", ["a", 3]), TypeError, "addresses are text"),
    ],
)
def test_arguments_of_another_kind_are_told(call, kind, message):
    with pytest.raises(kind, match=message):
        call()


def test_addresses_are_one_several_or_none():
    assert addresses_of("op", None) is None
    assert addresses_of("op", "conv1") == ["conv1"]
    assert addresses_of("op", ("conv1", "relu#2")) == ["conv1", "relu#2"]
