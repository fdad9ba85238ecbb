from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn import nn
from tinygrad_cnn.models import EfficientNetLite0
from tinygrad_cnn.models.efficientnet import MBConv


@pytest.mark.usefixtures("undrawn")
def test_parameters(parameter_count):
    model = EfficientNetLite0()
    assert parameter_count(model) == 4_652_008
    assert len(model.state_dict()) == 296
    names = list(model.state_dict())
    assert names[0] == "features.0.0.weight"
    assert "features.2.0.block.1.0.weight" in names  # stage 2, first block, the depthwise convolution
    assert names[-2:] == ["classifier.1.weight", "classifier.1.bias"]


def test_a_block_is_wide_inside_and_adds_where_the_shape_stays(rng):
    block = MBConv(8, 8, 5, 1, 6, generator=rng).eval()
    assert block.block[1][0].weight.shape == (48, 1, 5, 5)
    x = rng.standard_normal((2, 8, 9, 12)).astype(np.float32)
    np.testing.assert_allclose(block(x).detach().numpy(), x + block.block(x).detach().numpy(), rtol=1e-6)
    halved = MBConv(8, 8, 5, 2, 1, generator=rng)
    assert len(halved.block) == 2  # nothing to expand
    assert halved(x).shape == (2, 8, 5, 6)


def test_padding_and_normalisation_are_tensorflows(rng):
    layers = [layer for layer in EfficientNetLite0(2, generator=rng).modules()]
    assert {layer.padding for layer in layers if isinstance(layer, nn.Conv2d)} == {"same_tf"}
    assert {(layer.eps, layer.momentum) for layer in layers if isinstance(layer, nn.BatchNorm2d)} == {(1e-3, 0.01)}


def test_training_step(rng, train_step):
    model = EfficientNetLite0(5, 0.0, generator=rng)
    train_step(model, rng.standard_normal((3, 3, 37, 48)).astype(np.float32))


def test_features_are_what_the_last_layer_sees(rng):
    model = EfficientNetLite0(5, generator=rng).eval()
    x = rng.standard_normal((2, 3, 40, 64)).astype(np.float32)
    features = model.embed(x)
    assert features.shape == (2, 1280)
    np.testing.assert_array_equal(model.classifier(features).detach().numpy(), model(x).detach().numpy())


def test_generator(follows_generator):
    follows_generator(lambda generator: EfficientNetLite0(3, generator=generator))
