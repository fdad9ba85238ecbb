from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import Tensor, nn
from tinygrad_cnn import functional as F

X = np.random.default_rng(0).normal(size=(4, 3, 5))
CASES = [
    (nn.ReLU(), F.relu(X)),
    (nn.LeakyReLU(), F.leaky_relu(X, 0.01)),
    (nn.LeakyReLU(0.3), F.leaky_relu(X, 0.3)),
    (nn.Sigmoid(), F.sigmoid(X)),
    (nn.Tanh(), F.tanh(X)),
    (nn.Softmax(1), F.softmax(X, 1)),
    (nn.Softmax(dim=-1), F.softmax(X, 2)),
    (nn.LogSoftmax(0), F.log_softmax(X, 0)),
    (nn.Softmin(1), F.softmin(X, 1)),
]


@pytest.mark.parametrize(("layer", "expected"), CASES)
def test_value(layer: Any, expected: np.ndarray) -> None:
    assert (layer(X) == expected).all()
    assert not list(layer.parameters())


@pytest.mark.parametrize("layer", [nn.ReLU(inplace=True), nn.LeakyReLU(0.1, True)])
def test_inplace_computes_out_of_place(layer: Any) -> None:
    x = Tensor(X.copy())
    assert (layer(x).data != X).any()
    assert (x.data == X).all()


def test_axis_is_needed() -> None:
    with pytest.raises(TypeError):
        nn.Softmax()
    with pytest.raises(TypeError, match="Softmax: dim must be an int"):
        nn.Softmax("1")


def test_softmax2d_is_over_the_channels() -> None:
    x = X[:, :, :, None]
    np.testing.assert_array_equal(nn.Softmax2d()(x), F.softmax(x, 1))
    with pytest.raises(ValueError, match=r"Softmax2d: needs shape \(N, C, H, W\), got \(4, 3, 5\)"):
        nn.Softmax2d()(X)
    with pytest.raises(TypeError, match="Softmin: dim must be an int"):
        nn.Softmin("1")


def test_reprs_equal_torch() -> None:
    torch = pytest.importorskip("torch")
    for layer, _ in CASES:
        name = type(layer).__name__
        args = [getattr(layer, key) for key in ("negative_slope", "dim") if hasattr(layer, key)]
        assert repr(layer) == repr(getattr(torch.nn, name)(*args))
