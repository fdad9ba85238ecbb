from __future__ import annotations

import math

import numpy as np
import pytest

from tinygrad_cnn import Tensor, is_grad_enabled
from tinygrad_cnn.bench import ours


def test_add_records() -> None:
    y = ours.add(3)()
    assert y.grad_fn is not None
    assert y.shape == (4, 4)


def test_chain_gives_the_gradient_of_one_pass() -> None:
    step = ours.chain(5)
    for _ in range(2):
        np.testing.assert_array_equal(step().data, np.ones((4, 4)))


def test_training_moves_the_weights_a_little(monkeypatch: pytest.MonkeyPatch) -> None:
    models = []
    monkeypatch.setattr(ours, "LeNet5", lambda make=ours.LeNet5: models.append(make()) or models[0])
    step = ours.lenet_training(3)
    before = {name: p.data.copy() for name, p in models[0].named_parameters()}
    assert math.isclose(step().item(), math.log(10), rel_tol=0.1)
    for name, p in models[0].named_parameters():
        assert p.grad is not None
        assert 0 < np.abs(p.data - before[name]).max() < 1e-4


def test_inference_does_not_record() -> None:
    y = ours.lenet_inference(2)()
    assert isinstance(y, Tensor)
    assert y.shape == (2, 10)
    assert not y.requires_grad
    assert is_grad_enabled()


@pytest.mark.parametrize(
    ("face", "shape"), [("forward", (2, 4, 8, 6)), ("input-grad", (2, 3, 7, 6)), ("weight-grad", (4, 3, 2, 3))]
)
def test_faces_of_a_convolution(face: str, shape: tuple[int, ...]) -> None:
    y = ours.convolution(face, (2, 3, 7, 6), (4, 3, 2, 3), 1)()
    assert type(y) is np.ndarray  # nothing is recorded
    assert y.dtype == np.float32
    assert y.shape == shape
