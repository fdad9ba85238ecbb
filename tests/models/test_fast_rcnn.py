from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn import functional as F
from tinygrad_cnn.models import FastRCNNHead

BOXES = np.array([[0, 16, 32, 200, 150], [1, 0, 0, 99, 79], [0, 100, 20, 319, 223]], np.float32)


def test_names_and_initial_values(rng, follows_generator):
    head = FastRCNNHead(8, 4, hidden_size=64, generator=rng)
    assert {name: p.shape for name, p in head.named_parameters() if name.endswith("weight")} == {
        "fc6.weight": (64, 8 * 49),
        "fc7.weight": (64, 64),
        "cls_score.weight": (4, 64),
        "bbox_pred.weight": (16, 64),
    }
    assert head.bbox_pred.weight.data.std() == pytest.approx(0.001, rel=0.1)
    assert head.cls_score.weight.data.std() == pytest.approx(0.01, rel=0.1)
    follows_generator(lambda generator: FastRCNNHead(2, 3, hidden_size=8, generator=generator))


def test_every_region_is_pooled_from_its_image(rng):
    head = FastRCNNHead(8, 4, 3, hidden_size=16, generator=rng)
    maps = rng.standard_normal((2, 8, 14, 20)).astype(np.float32)
    scores, offsets = head(maps, BOXES)
    assert (scores.shape, offsets.shape) == ((3, 4), (3, 16))
    alone, _ = head(maps[1:], np.array([[0, 0, 0, 99, 79]], np.float32))
    np.testing.assert_allclose(alone.detach().numpy(), scores.detach().numpy()[1:2], rtol=1e-5)


def test_training_step(rng, train_step):
    target = rng.standard_normal((3, 16)).astype(np.float32)

    def loss(found):
        scores, offsets = found
        return F.cross_entropy(scores, np.array([0, 3, 1])) + F.mse_loss(offsets, target)

    head = FastRCNNHead(8, 4, 3, hidden_size=16, generator=rng)
    train_step(head, rng.standard_normal((2, 8, 14, 20)).astype(np.float32), BOXES, loss=loss)
