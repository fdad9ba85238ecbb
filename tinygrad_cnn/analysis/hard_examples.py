"""Which examples a network finds hard: the loss of each one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tinygrad_cnn import functional as F
from tinygrad_cnn.analysis.batches import Batches
from tinygrad_cnn.autograd import no_grad
from tinygrad_cnn.calls import evaluation
from tinygrad_cnn.kernels.geometry import whole
from tinygrad_cnn.nn import Module


class SampleLosses(NamedTuple):
    """What `sample_losses` found, in the order of the data set.

    Attributes:
        losses: (N,) float64.
        labels: (N,) the true classes.
        predictions: (N,) the classes with the largest scores.
        confidence: (N,) the probability that each prediction was given, by softmax.
    """

    losses: np.ndarray
    labels: np.ndarray
    predictions: np.ndarray
    confidence: np.ndarray

    def most_wrong(self, count: int | None = None) -> np.ndarray:
        """Return the indices of mistakes, the largest loss first: wrong labels are often among the first.

        >>> labels, predictions = np.array([[0, 1, 1], [0, 0, 0]])
        >>> found = SampleLosses(np.array([0.1, 0.9, 3.0]), labels, predictions, np.array([0.9, 0.6, 0.9]))
        >>> found.most_wrong()
        array([2, 1])
        """
        wrong = np.flatnonzero(self.predictions != self.labels)
        count = None if count is None else whole("most_wrong", "count", count, 0)
        return wrong[np.argsort(-self.losses[wrong], kind="stable")][:count]


def sample_losses(
    model: Module, dataset: Any, loss: Callable[..., Any] = F.cross_entropy, batch_size: int = 500
) -> SampleLosses:
    """Return the loss of a classifier on every example of a data set, in evaluation mode.

    The model's modes are restored; nothing is recorded. `data.HardExampleSampler` makes epochs of the losses.

    Args:
        model: gives scores (N, classes) for a batch of images.
        dataset: a pair of images and labels, or anything with a length whose ``dataset[indices]`` returns such a pair.
        loss: called as loss(scores, labels, reduction="none"); returns one number for each example.
        batch_size: how many at a time; it changes the memory needed and not the result.

    Raises:
        ValueError: there are no images or no labels, or a loss that is not one number for each example.

    >>> from tinygrad_cnn.models import LeNet5
    >>> class Blank:
    ...     def __len__(self): return 5
    ...     def __getitem__(self, indices): return np.zeros((len(indices), 1, 28, 28), np.float32), indices
    >>> found = sample_losses(LeNet5(), Blank())
    >>> found.losses.shape, found.labels
    ((5,), array([0, 1, 2, 3, 4]))
    """
    if not callable(loss):
        raise TypeError(f"sample_losses: loss must be a function of scores and labels, got {loss!r}")
    batches = []
    with evaluation(model), no_grad():
        for _, x, labels in Batches("sample_losses", model, dataset, batch_size):
            if labels is None:
                raise ValueError("sample_losses: needs labels, (images, labels), and was given images alone")
            scores = model(x)
            losses = np.asarray(loss(scores, labels, reduction="none"), np.float64)
            if losses.shape != (len(labels),):
                raise ValueError(
                    f"sample_losses: the loss must be one number for each of {len(labels)} examples, got shape "
                    f"{losses.shape}; pass one with reduction='none' that takes scores and labels"
                )
            predictions = np.asarray(scores).argmax(1)
            confidence = np.asarray(F.softmax(scores, 1))[np.arange(len(labels)), predictions]
            batches.append((losses, np.asarray(labels), predictions, confidence))
    return SampleLosses(*map(np.concatenate, zip(*batches, strict=True)))
