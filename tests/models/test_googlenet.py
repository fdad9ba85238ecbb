from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn.models import GoogLeNet


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(("kernel_size", "count"), [(3, 6_624_904), (5, 7_005_832)])
def test_parameters(kernel_size, count, parameter_count):
    model = GoogLeNet(kernel_size=kernel_size)
    assert parameter_count(model) == count
    assert model.inception4c.branch3[1].conv.kernel_size == (kernel_size, kernel_size)


@pytest.mark.usefixtures("undrawn")
def test_names_are_torchvisions():
    names = list(GoogLeNet(3).state_dict())
    assert names[:3] == ["conv1.conv.weight", "conv1.bn.weight", "conv1.bn.bias"]
    assert "inception3a.branch4.1.conv.weight" in names
    assert "inception5b.branch2.0.bn.running_var" in names
    assert names[-2:] == ["fc.weight", "fc.bias"]


def test_training_step(rng, train_step):
    train_step(GoogLeNet(5, 0.0, generator=rng), rng.standard_normal((3, 3, 48, 64)).astype(np.float32))


def test_initial_values(rng, follows_generator):
    model = GoogLeNet(3, generator=rng)
    assert model.inception4a.branch2[1].conv.weight.data.std() == pytest.approx(0.01, rel=0.01)
    follows_generator(lambda generator: GoogLeNet(3, generator=generator))


def test_kernel_size_is_checked():
    with pytest.raises(ValueError, match=r"kernel_size must be 3 \(torchvision\) or 5 \(the paper\), got 4"):
        GoogLeNet(kernel_size=4)
