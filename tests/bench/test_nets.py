from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import nn
from tinygrad_cnn.bench import nets
from tinygrad_cnn.models import LeNet5

PARAMETERS = {"lenet": 61_706, "mnist_net": 1_199_882, "vgg": 2_196_810, "resnet": 11_173_962}


@pytest.mark.parametrize("net", nets.IMAGES)
def test_each_takes_its_images_and_has_its_parameters(net: str) -> None:
    model = getattr(nets, net)(nn)
    assert sum(p.size for p in model.parameters()) == PARAMETERS[net]
    assert model(np.zeros((2, *nets.IMAGES[net]), np.float32)).shape == (2, 10)


def test_lenet_is_the_models() -> None:
    shapes = [[p.shape for p in model.parameters()] for model in (nets.lenet(nn), LeNet5())]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("net", nets.IMAGES)
def test_the_same_in_pytorch(net: str, torch: Any) -> None:
    """With our weights and, in the running statistics, our history PyTorch's net gives our scores."""
    ours, theirs = getattr(nets, net)(nn), getattr(nets, net)(torch.nn)
    x = np.random.default_rng(0).standard_normal((2, *nets.IMAGES[net]), np.float32)
    theirs.load_state_dict({name: torch.tensor(value) for name, value in ours.state_dict().items()})
    found = ours.eval()(x).data
    wanted = theirs.eval()(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(found, wanted, atol=1e-4 * np.abs(wanted).max())


def test_it_imports_nothing() -> None:
    program = "import runpy, sys; runpy.run_path(sys.argv[1]); assert not {'numpy', 'tinygrad_cnn'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program, nets.__file__], check=True)
