from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn import models, nn
from tinygrad_cnn.models import VGG

COUNTS = {
    "vgg11": 132_863_336,
    "vgg11_bn": 132_868_840,
    "vgg13": 133_047_848,
    "vgg13_bn": 133_053_736,
    "vgg16": 138_357_544,
    "vgg16_bn": 138_365_992,
    "vgg19": 143_667_240,
    "vgg19_bn": 143_678_248,
}


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("name", COUNTS)
def test_parameters_are_torchvisions(name, parameter_count):
    model = getattr(models, name)()
    assert parameter_count(model) == COUNTS[name]
    depth = int(name[3:5])
    assert sum(isinstance(layer, (nn.Conv2d, nn.Linear)) for layer in model.modules()) == depth


@pytest.mark.usefixtures("undrawn")
def test_names_are_torchvisions():
    convolutions = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
    assert [name for name in models.vgg16(7).state_dict() if name.endswith("weight")] == [
        f"features.{i}.weight" for i in convolutions
    ] + [f"classifier.{i}.weight" for i in (0, 3, 6)]
    names = list(models.vgg11_bn(7).state_dict())
    assert names[:4] == ["features.0.weight", "features.0.bias", "features.1.weight", "features.1.bias"]


@pytest.mark.parametrize("name", COUNTS)
def test_training_step_with_a_small_head(name, rng, train_step, undrawn, monkeypatch):
    model = getattr(models, name)(5)
    monkeypatch.undo()  # the convolutions get values now, the 120 million weights of the large head never
    model.avgpool, model.classifier = nn.AdaptiveAvgPool2d(1), nn.Linear(512, 5, generator=rng)
    models.blocks.draw_for_relu(model, rng)
    train_step(model, rng.standard_normal((3, 3, 48, 64)).astype(np.float32))


def test_depth_is_checked():
    with pytest.raises(ValueError, match=r"VGG: depth must be one of \[11, 13, 16, 19\], got 12"):
        VGG(12)
