from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn.bench import ours, peer


def test_without_a_row_pytorch_is_not_imported_nor_anything_of_ours() -> None:
    program = (
        "import importlib.util, sys\n"
        "specification = importlib.util.spec_from_file_location('side', sys.argv[1])\n"
        "specification.loader.exec_module(importlib.util.module_from_spec(specification))\n"
        "assert not {'torch', 'tinygrad_cnn', 'numba'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program, peer.__file__], check=True)


@pytest.mark.parametrize("face", ["forward", "input-grad", "weight-grad"])
def test_same_convolution(face: str) -> None:
    pytest.importorskip("torch")
    arguments: Any = {"face": face, "image": (2, 3, 7, 6), "filters": (4, 3, 2, 3), "padding": 1}
    theirs, found = peer.convolution(**arguments)(), ours.convolution(**arguments)()
    np.testing.assert_allclose(found, theirs.numpy(), rtol=1e-5, atol=1e-5)


def test_same_additions() -> None:
    pytest.importorskip("torch")
    np.testing.assert_array_equal(ours.add(2)().data, peer.add(2)().detach().numpy())
    np.testing.assert_array_equal(ours.chain(5)().data, peer.chain(5)().numpy())


def test_same_network() -> None:
    torch = pytest.importorskip("torch")
    assert sum(p.numel() for p in peer._lenet().parameters()) == 61_706
    assert math.isclose(peer.lenet_training(3)().item(), math.log(10), rel_tol=0.1)
    y = peer.lenet_inference(2)()
    assert y.shape == (2, 10)
    assert not y.requires_grad
    assert torch.is_grad_enabled()
