from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn import nn
from tinygrad_cnn.models import MobileNetV2
from tinygrad_cnn.models.mobilenet import InvertedResidual


@pytest.mark.usefixtures("undrawn")
def test_parameters_and_names_are_torchvisions(parameter_count):
    model = MobileNetV2()
    assert parameter_count(model) == 3_504_872
    names = [name for name in model.state_dict() if name.startswith("features.2.") and name.endswith("weight")]
    layers = ("conv.0.0", "conv.0.1", "conv.1.0", "conv.1.1", "conv.2", "conv.3")
    assert names == [f"features.2.{layer}.weight" for layer in layers]
    assert len(model.features) == 19


def test_a_block_ends_without_activation_and_adds_where_the_shape_stays(rng):
    block = InvertedResidual(8, 8, 1, 6, generator=rng).eval()
    assert isinstance(block.conv[-1], nn.BatchNorm2d)
    x = rng.standard_normal((2, 8, 6, 9)).astype(np.float32)
    np.testing.assert_allclose(block(x).detach().numpy(), x + block.conv(x).detach().numpy(), rtol=1e-6)
    assert not InvertedResidual(8, 8, 2, 6).has_shortcut
    assert not InvertedResidual(8, 16, 1, 6).has_shortcut
    assert len(InvertedResidual(8, 16, 1, 1).conv) == 3  # nothing to expand


def test_training_step(rng, train_step):
    train_step(MobileNetV2(5, 0.0, generator=rng), rng.standard_normal((4, 3, 48, 64)).astype(np.float32))


def test_generator(follows_generator):
    follows_generator(lambda generator: MobileNetV2(3, generator=generator))
