from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn.models import SimpleConvNet

BOOK = {"filter_num": 30, "filter_size": 5, "pad": 0, "stride": 1}


def test_shapes_are_the_books(parameter_count):
    model = SimpleConvNet((1, 28, 28), BOOK, hidden_size=100, output_size=10, weight_init_std=0.01)
    assert {name: p.shape for name, p in model.named_parameters()} == {
        "layers.conv1.weight": (30, 1, 5, 5),
        "layers.conv1.bias": (30,),
        "layers.affine1.weight": (100, 4320),
        "layers.affine1.bias": (100,),
        "layers.affine2.weight": (10, 100),
        "layers.affine2.bias": (10,),
    }
    assert parameter_count(model) == 433_890
    assert model.layers.affine1.weight.data.std() == pytest.approx(0.01, rel=0.01)
    assert not model.layers.affine1.bias.data.any()


@pytest.mark.parametrize("conv_param", [BOOK, {"filter_num": 7, "filter_size": 4, "pad": 2, "stride": 3}])
def test_training_step(conv_param, rng, train_step):
    model = SimpleConvNet((2, 18, 27), conv_param, 20, 5, 0.1, generator=rng)
    train_step(model, rng.standard_normal((4, 2, 18, 27)).astype(np.float32))


def test_generator(follows_generator):
    follows_generator(SimpleConvNet)


def test_parameters_are_checked():
    with pytest.raises(ValueError, match=r"needs the keys \['filter_num', 'filter_size', 'pad', 'stride'\]"):
        SimpleConvNet(conv_param={"filters": 30})
    with pytest.raises(ValueError, match=r"images of 5 x 28 leave maps of 1 x 24 after the convolution"):
        SimpleConvNet((1, 5, 28))
