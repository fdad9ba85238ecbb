from __future__ import annotations

import math

import numpy as np
import pytest

from tinygrad_cnn import manual_seed, nn


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_value_and_gradients(dtype: type) -> None:
    rng = np.random.default_rng(0)
    layer = nn.Linear(4, 3, dtype=dtype, generator=rng)
    x = rng.normal(size=(2, 5, 4)).astype(dtype)
    y = layer(x)
    assert y.dtype == dtype
    np.testing.assert_allclose(y.data, x @ layer.weight.data.T + layer.bias.data, rtol=1e-5)
    y.sum().backward()
    assert layer.bias.grad.tolist() == [10, 10, 10]
    np.testing.assert_allclose(layer.weight.grad.data, np.tile(x.sum((0, 1)), (3, 1)), rtol=1e-5)


def test_without_bias() -> None:
    layer = nn.Linear(4, 3, bias=False)
    assert [name for name, _ in layer.named_parameters()] == ["weight"]
    assert (layer(np.zeros((2, 4), np.float32)).data == 0).all()
    assert repr(layer) == "Linear(in_features=4, out_features=3, bias=False)"


def test_initial_values() -> None:
    layer = nn.Linear(400, 120, generator=np.random.default_rng(0))
    bound = 1 / math.sqrt(400)
    for p in layer.parameters():
        assert bound * 0.97 < np.abs(p.data).max() <= bound
        assert p.data.std() == pytest.approx(bound / math.sqrt(3), rel=0.1)
    manual_seed(0)
    assert (nn.Linear(400, 120).weight.data == layer.weight.data).all()
    before = layer.weight.data.copy()
    layer.reset_parameters()
    assert (layer.weight.data != before).any()


def test_errors() -> None:
    with pytest.raises(ValueError, match="Linear: in_features must be at least 1, got 0"):
        nn.Linear(0, 3)
    with pytest.raises(TypeError, match=r"Linear: out_features must be an int, got 2\.5"):
        nn.Linear(3, 2.5)
    with pytest.raises(ValueError, match=r"must agree in I, got input \(2, 3\) and weight \(3, 4\)"):
        nn.Linear(4, 3)(np.zeros((2, 3), np.float32))
