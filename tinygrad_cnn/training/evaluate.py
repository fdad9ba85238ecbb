"""Score a model on a whole dataset."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tinygrad_cnn.autograd import no_grad
from tinygrad_cnn.data import DataLoader, Dataset
from tinygrad_cnn.functional import cross_entropy
from tinygrad_cnn.nn import Module


class Score(NamedTuple):
    """What `evaluate` found.

    Attributes:
        loss: the mean cross-entropy.
        correct: how many predictions are right.
        labels: (N,) the true classes.
        predictions: (N,) the predicted ones.
    """

    loss: float
    correct: int
    labels: np.ndarray
    predictions: np.ndarray

    @property
    def accuracy(self) -> float:
        """The part of the predictions that is right, 0 to 1."""
        return self.correct / len(self.labels)


def evaluate(model: Module, dataset: Dataset, batch_size: int = 500) -> Score:
    """Return the loss and the predictions of a classifier on every element of a dataset, in evaluation mode.

    The model's mode is restored; nothing is recorded.

    Args:
        model: gives scores (N, classes) for a batch of images.
        dataset: gives (images, labels) for an array of indices.
        batch_size: how many at a time; it changes the memory needed and not the result.

    Raises:
        ValueError: the dataset is empty.
    """
    if not len(dataset):
        raise ValueError("evaluate: the dataset is empty")
    mode = model.training
    model.eval()
    losses: list[Any] = []
    labels, predictions = [], []
    try:
        with no_grad():
            for x, y in DataLoader(dataset, batch_size):
                scores = model(x)
                losses.append(cross_entropy(scores, y, reduction="sum").item())
                labels.append(y)
                predictions.append(scores.argmax(1).numpy())
    finally:
        model.train(mode)
    truth, found = np.concatenate(labels), np.concatenate(predictions)
    return Score(sum(losses) / len(truth), int((truth == found).sum()), truth, found)
