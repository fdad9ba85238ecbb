"""What a classifier answered to every image of a data set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_cnn import functional as F
from tinygrad_cnn.analysis.batches import Batches
from tinygrad_cnn.autograd import no_grad
from tinygrad_cnn.calls import evaluation
from tinygrad_cnn.nn import Module


@dataclass
class Results:
    """Answers in the order of the data.

    Attributes:
        labels: (N,) the true classes.
        predictions: (N,) the classes of the highest scores.
        losses: (N,) the cross-entropy of each image.
        sure: (N,) the probability that the softmax gives the prediction.
        classes: how many scores there are.
    """

    labels: np.ndarray
    predictions: np.ndarray
    losses: np.ndarray
    sure: np.ndarray
    classes: int

    @property
    def accuracy(self) -> float:
        """The part of the predictions that is right, 0 to 1."""
        return float((self.labels == self.predictions).mean())

    def worst(self, count: int) -> list[int]:
        """Return the numbers of the mistakes with the greatest losses, worst first."""
        order = np.argsort(-self.losses, kind="stable")
        return [int(n) for n in order if self.labels[n] != self.predictions[n]][:count]


def results(model: Module, data: Any, batch_size: int) -> Results | None:
    """Return the answers to all images; None without labels, or where the model gives no scores (N, classes).

    >>> from tinygrad_cnn.models import LeNet5
    >>> found = results(LeNet5(), (np.zeros((3, 1, 28, 28)), np.array([3, 1, 4])), 2)
    >>> found.labels, found.predictions.shape, found.classes
    (array([3, 1, 4]), (3,), 10)
    """
    parts = []
    with evaluation(model), no_grad():
        for _, x, labels in Batches("report", model, data, batch_size):
            y = model(x)
            if labels is None or len(getattr(y, "shape", ())) != 2 or labels.shape != y.shape[:1]:
                return None
            scores = y.data.astype(np.float64)
            probabilities = F.softmax(scores, 1)
            losses = F.cross_entropy(scores, labels, reduction="none")
            parts.append((labels, scores.argmax(1), losses, probabilities.max(1)))
    labels, predictions, losses, sure = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Results(labels, predictions, losses, sure, y.shape[1])
