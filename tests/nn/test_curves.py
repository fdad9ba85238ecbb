from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import Tensor, nn
from tinygrad_cnn import functional as F

X = np.random.default_rng(0).normal(size=(4, 3, 5)) * 4
# layer, what it computes, PyTorch's arguments
CASES: list[tuple[Any, np.ndarray, dict[str, Any]]] = [
    (nn.CELU(0.7), F.celu(X, 0.7), {"alpha": 0.7}),
    (nn.ELU(), F.elu(X), {}),
    (nn.ELU(0.5), F.elu(X, 0.5), {"alpha": 0.5}),
    (nn.GELU(), F.gelu(X), {}),
    (nn.GELU("tanh"), F.gelu(X, "tanh"), {"approximate": "tanh"}),
    (nn.Hardsigmoid(), F.hardsigmoid(X), {}),
    (nn.Hardswish(), F.hardswish(X), {}),
    (nn.Hardtanh(), F.hardtanh(X), {}),
    (nn.Hardtanh(-2.0, 0.5), F.hardtanh(X, -2.0, 0.5), {"min_val": -2.0, "max_val": 0.5}),
    (nn.LogSigmoid(), F.logsigmoid(X), {}),
    (nn.Mish(), F.mish(X), {}),
    (nn.ReLU6(), F.relu6(X), {}),
    (nn.SELU(), F.selu(X), {}),
    (nn.SiLU(), F.silu(X), {}),
    (nn.Softplus(), F.softplus(X), {}),
    (nn.Softplus(2.0, 5.0), F.softplus(X, 2.0, 5.0), {"beta": 2.0, "threshold": 5.0}),
    (nn.Softsign(), F.softsign(X), {}),
]


@pytest.mark.parametrize(("layer", "expected", "_"), CASES, ids=[repr(case[0]) for case in CASES])
def test_value(layer: Any, expected: np.ndarray, _: Any) -> None:
    assert (layer(X) == expected).all()
    assert not list(layer.parameters())


@pytest.mark.parametrize(
    "name", ["CELU", "ELU", "Hardsigmoid", "Hardswish", "Hardtanh", "Mish", "ReLU6", "SELU", "SiLU"]
)
def test_inplace_computes_out_of_place(name: str) -> None:
    x = Tensor(X.copy())
    assert (getattr(nn, name)(inplace=True)(x).data != X).any()
    assert (x.data == X).all()


def test_prelu_learns_its_slope() -> None:
    layer = nn.PReLU(3, 0.1, dtype=np.float64)
    assert list(layer.state_dict()) == ["weight"]
    assert layer.weight.tolist() == [0.1, 0.1, 0.1]
    layer(X).sum().backward()
    np.testing.assert_allclose(layer.weight.grad.data, np.minimum(X, 0).sum((0, 2)))
    assert nn.PReLU().weight.data.tolist() == [0.25]
    assert nn.PReLU().weight.dtype == np.float32
    with pytest.raises(ValueError, match="PReLU: num_parameters must be at least 1, got 0"):
        nn.PReLU(0)
    with pytest.raises(ValueError, match=r"prelu.*one slope for each channel"):
        nn.PReLU(4, dtype=np.float64)(X)


def test_reprs_equal_torch() -> None:
    torch = pytest.importorskip("torch")
    for layer, _, arguments in CASES:
        assert repr(layer) == repr(getattr(torch.nn, type(layer).__name__)(**arguments))
    assert repr(nn.PReLU(3)) == repr(torch.nn.PReLU(3))
