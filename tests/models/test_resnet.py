from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn import models, nn
from tinygrad_cnn.models.resnet import BasicBlock, Bottleneck, ResNet

COUNTS = {
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
}


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("name", COUNTS)
def test_parameters_are_torchvisions(name, parameter_count):
    model = getattr(models, name)()
    assert parameter_count(model) == COUNTS[name]
    layers = [
        layer
        for path, layer in model.named_modules()
        if isinstance(layer, (nn.Conv2d, nn.Linear)) and "downsample" not in path
    ]
    assert len(layers) == int(name[6:])


@pytest.mark.usefixtures("undrawn")
def test_names_are_torchvisions():
    names = [name for name in models.resnet50(3).state_dict() if name.startswith("layer2.0.") and "weight" in name]
    layers = ("conv1", "bn1", "conv2", "bn2", "conv3", "bn3", "downsample.0", "downsample.1")
    assert names == [f"layer2.0.{layer}.weight" for layer in layers]


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"])
def test_training_step(name, rng, train_step):
    model = getattr(models, name)(5, generator=rng)
    train_step(model, rng.standard_normal((3, 3, 40, 64)).astype(np.float32))


@pytest.mark.parametrize("block", [BasicBlock, Bottleneck])
def test_a_block_adds_to_its_input(block, rng):
    same = block(8 * block.expansion, 8, generator=rng).eval()
    last = same.bn2 if block is BasicBlock else same.bn3
    nn.init.zeros_(last.weight)
    x = rng.random((2, 8 * block.expansion, 6, 9)).astype(np.float32)
    assert same.downsample is None
    np.testing.assert_array_equal(same(x).detach().numpy(), x)
    assert block(8, 4, 2, generator=rng)(x[:, :8]).shape == (2, 4 * block.expansion, 3, 5)


def test_a_bottleneck_is_cheap():
    def per_pixel(*layers: nn.Conv2d) -> int:
        return sum(layer.weight.size for layer in layers)

    block = Bottleneck(256, 64)
    assert per_pixel(block.conv1, block.conv2, block.conv3) == 69_632
    assert per_pixel(nn.Conv2d(256, 256, 3, bias=False)) == 589_824


def test_initial_values(rng, follows_generator):
    model = ResNet(Bottleneck, (1, 1, 1, 1), 3, generator=rng)
    assert model.layer3[0].conv2.weight.data.std() == pytest.approx(np.sqrt(2 / (256 * 9)), rel=0.01)
    follows_generator(lambda generator: ResNet(BasicBlock, (1, 1, 1, 1), 3, generator=generator))
