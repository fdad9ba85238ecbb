from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn import functional as F
from tinygrad_cnn import nn
from tinygrad_cnn.data import synthetic_digits
from tinygrad_cnn.models import LeNet5
from tinygrad_cnn.report.results import results


@pytest.mark.parametrize("batch_size", [4, 100])
def test_answers_are_those_of_the_model(batch_size):
    model, dataset = LeNet5(generator=np.random.default_rng(0)), synthetic_digits(11)
    model.train()
    x, labels = dataset[:]
    scores = model(x).data
    found = results(model, dataset, batch_size)
    np.testing.assert_array_equal(found.labels, labels)
    np.testing.assert_array_equal(found.predictions, scores.argmax(1))
    np.testing.assert_allclose(found.losses, F.cross_entropy(scores, labels, reduction="none"), rtol=1e-5)
    np.testing.assert_allclose(found.sure, F.softmax(scores, 1).max(1), rtol=1e-5)
    assert found.classes == 10
    assert found.accuracy == (labels == scores.argmax(1)).mean()
    wrong = [n for n in np.argsort(-found.losses) if labels[n] != scores[n].argmax()]
    assert found.worst(3) == wrong[:3]
    assert found.worst(100) == wrong
    assert all(module.training for module in model.modules())


def test_without_labels_or_scores_there_are_none():
    x = np.zeros((3, 1, 5, 6), np.float32)
    assert results(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten()), x, 2) is None
    assert results(nn.Conv2d(1, 2, 3), (x, np.zeros(3, int)), 2) is None
