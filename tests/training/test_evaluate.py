from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn import Tensor, nn
from tinygrad_cnn.data import ArrayDataset
from tinygrad_cnn.functional import cross_entropy
from tinygrad_cnn.training import evaluate


class Brightness(nn.Module):
    """Scores by the mean brightness: class 1 for bright images; remembers the mode it ran in."""

    def forward(self, x):
        self.ran_in_training = self.training
        mean = Tensor(x).mean((1, 2, 3))
        return mean[:, None] * np.array([[-4.0, 4.0]], np.float32)


def dataset(labels):
    images = np.zeros((5, 3, 4), np.uint8)
    images[[1, 3]] = 255
    return ArrayDataset(images, np.array(labels), classes=("dark", "bright"), mean=0.5)


@pytest.mark.parametrize("batch_size", [1, 2, 500])
def test_the_score_is_that_of_the_whole_dataset(batch_size):
    labels = [0, 1, 1, 1, 0]
    score = evaluate(Brightness(), dataset(labels), batch_size)
    assert score.predictions.tolist() == [0, 1, 0, 1, 0]
    assert score.labels.tolist() == labels
    assert score.correct == 4
    assert score.accuracy == 0.8
    x, y = dataset(labels)[:]
    np.testing.assert_allclose(score.loss, float(cross_entropy(Brightness()(x), y)), rtol=1e-6)


@pytest.mark.parametrize("mode", [True, False])
def test_it_runs_in_evaluation_mode_and_restores_the_mode(mode):
    model = Brightness().train(mode)
    evaluate(model, dataset([0] * 5))
    assert model.ran_in_training is False
    assert model.training is mode


def test_the_mode_is_restored_after_an_error():
    model = nn.Sequential(nn.Linear(7, 2))
    with pytest.raises(ValueError, match="linear"):
        evaluate(model, dataset([0] * 5))
    assert model.training


def test_nothing_to_evaluate():
    with pytest.raises(ValueError, match="empty"):
        evaluate(Brightness(), ArrayDataset(np.zeros((0, 3, 4), np.uint8), np.zeros(0, int), classes=("a",)))
