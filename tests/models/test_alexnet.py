from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn import nn
from tinygrad_cnn.models import AlexNet, AlexNet2012


@pytest.mark.usefixtures("undrawn")
def test_parameters_are_torchvisions(parameter_count):
    model = AlexNet()
    assert parameter_count(model) == 61_100_840
    convolutions = [f"features.{i}.{part}" for i in (0, 3, 6, 8, 10) for part in ("weight", "bias")]
    assert list(model.state_dict()) == convolutions + [
        f"classifier.{i}.{part}" for i in (1, 4, 6) for part in ("weight", "bias")
    ]


@pytest.mark.usefixtures("undrawn")
def test_parameters_of_2012(parameter_count):
    model = AlexNet2012()
    assert parameter_count(model) == 60_965_224
    shapes = {name.split(".")[1]: p.shape for name, p in model.named_parameters() if name.endswith("weight")}
    assert shapes == {
        "conv1": (96, 3, 11, 11),
        "conv2": (256, 48, 5, 5),  # half the maps: two groups
        "conv3": (384, 256, 3, 3),
        "conv4": (384, 192, 3, 3),
        "conv5": (256, 192, 3, 3),
        "fc6": (4096, 9216),
        "fc7": (4096, 4096),
        "fc8": (1000, 4096),
    }


def small_head(model: nn.Module, values: int, rng: np.random.Generator) -> nn.Module:
    """Put a small classifier in the place of the large one, which is nothing but size."""
    model.classifier = nn.Sequential(nn.Flatten(), nn.Linear(values, 5, generator=rng))
    return model


@pytest.mark.usefixtures("undrawn")
def test_sizes_of_the_maps():
    for model, side in ((AlexNet(2), 224), (AlexNet2012(2), 227)):
        size, seen = side, []
        for layer in model.features:
            if isinstance(layer, (nn.Conv2d, nn.MaxPool2d)):
                kernel, stride, padding = (
                    value[0] if isinstance(value, tuple) else value
                    for value in (layer.kernel_size, layer.stride, layer.padding)
                )
                size = (size - kernel + 2 * padding) // stride + 1
                seen.append(size)
        assert seen == [55, 27, 27, 13, 13, 13, 13, 6]


def test_other_sizes_reach_the_classifier(rng):
    model = AlexNet(3, generator=rng).eval()
    assert model(rng.random((1, 3, 64, 95)).astype(np.float32)).shape == (1, 3)


def test_training_step(rng, train_step):
    train_step(AlexNet(4, dropout=0.0, generator=rng), rng.standard_normal((2, 3, 95, 127)).astype(np.float32))


def test_training_step_of_2012(rng, train_step):
    model = small_head(AlexNet2012(4, generator=rng), 256 * 2 * 3, rng)
    train_step(model, rng.standard_normal((2, 3, 99, 131)).astype(np.float32))


def test_initial_values_of_2012(rng):
    model = AlexNet2012(3, generator=rng)
    assert model.classifier.fc7.weight.data.std() == pytest.approx(0.01, rel=0.01)
    ones = {name for name, p in model.named_parameters() if name.endswith("bias") and (p.data == 1).all()}
    assert {name.split(".")[1] for name in ones} == {"conv2", "conv4", "conv5", "fc6", "fc7"}


@pytest.mark.usefixtures("undrawn")
def test_response_norm_is_the_papers(rng):
    norm = AlexNet2012(2).features.norm1
    x = rng.standard_normal((1, 7, 2, 3))
    squares = np.pad(x**2, ((0, 0), (2, 2), (0, 0), (0, 0)))
    total = sum(squares[:, i : i + 7] for i in range(5))
    np.testing.assert_allclose(norm(x), x / (2 + 1e-4 * total) ** 0.75, rtol=1e-10)
