from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn import nn
from tinygrad_cnn.models.blocks import conv_norm, draw_for_relu


def test_a_row_keeps_the_size_and_halves_it_by_stride(rng):
    x = rng.random((2, 3, 9, 12)).astype(np.float32)
    assert conv_norm(3, 4, 5)(x).shape == (2, 4, 9, 12)
    assert conv_norm(3, 4, 3, 2)(x).shape == (2, 4, 5, 6)
    assert conv_norm(3, 6, 1, groups=3)[0].weight.shape == (6, 1, 1, 1)


def test_names_and_settings():
    row = conv_norm(3, 4, eps=1e-3, momentum=0.01)
    assert list(row.state_dict()) == ["0.weight"] + [
        f"1.{name}" for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    ]
    assert (row[1].eps, row[1].momentum) == (1e-3, 0.01)
    assert len(conv_norm(3, 4, activation=None)) == 2
    assert isinstance(conv_norm(3, 4, activation=nn.Tanh)[2], nn.Tanh)


def test_weights_keep_the_variance_of_the_backward_pass(rng):
    model = nn.Sequential(nn.Conv2d(20, 30, (3, 5)), nn.Linear(300, 200), nn.Linear(300, 200))
    kept = model[2].weight.data.copy()
    draw_for_relu(model[:2], rng, linear_std=0.01)
    assert model[0].weight.data.std() == pytest.approx(np.sqrt(2 / (30 * 15)), rel=0.05)
    assert model[1].weight.data.std() == pytest.approx(0.01, rel=0.05)
    assert not model[0].bias.data.any()
    assert not model[1].bias.data.any()
    draw_for_relu(model[2], rng)
    assert (model[2].weight.data == kept).all()
    assert model[2].bias.data.all()
