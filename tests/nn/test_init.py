from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from tinygrad_cnn import Tensor, manual_seed
from tinygrad_cnn.nn import Parameter, init

SHAPE = (40, 30, 5, 7)
FAN_IN, FAN_OUT = 30 * 35, 40 * 35
SPREADS: list[tuple[Callable[..., Tensor], dict, float]] = [
    (init.uniform_, {"a": -3, "b": 1}, 4 / math.sqrt(12)),
    (init.normal_, {"mean": -1, "std": 0.5}, 0.5),
    (init.xavier_uniform_, {"gain": 2}, 2 * math.sqrt(2 / (FAN_IN + FAN_OUT))),
    (init.xavier_normal_, {"gain": 2}, 2 * math.sqrt(2 / (FAN_IN + FAN_OUT))),
    (init.kaiming_uniform_, {"a": 1}, 1 / math.sqrt(FAN_IN)),
    (init.kaiming_normal_, {"nonlinearity": "relu", "mode": "fan_out"}, math.sqrt(2 / FAN_OUT)),
]


@pytest.mark.parametrize(("fill", "options", "std"), SPREADS)
def test_spread(fill: Callable[..., Tensor], options: dict, std: float) -> None:
    w = Parameter(np.empty(SHAPE))
    assert fill(w, **options, generator=np.random.default_rng(0)) is w
    assert w.requires_grad
    assert w.is_leaf
    assert w.data.std() == pytest.approx(std, rel=0.02)
    mean = {"uniform_": -1, "normal_": -1}.get(fill.__name__, 0)
    assert w.data.mean() == pytest.approx(mean, abs=5 * std / math.sqrt(w.size))
    if "uniform" in fill.__name__:
        assert np.abs(w.data - mean).max() == pytest.approx(std * math.sqrt(3), rel=1e-3)
    else:
        assert np.abs(w.data - mean).max() > 3 * std


@pytest.mark.parametrize(("fill", "options", "std"), SPREADS)
def test_randomness_comes_from_the_generator(fill: Callable[..., Tensor], options: dict, std: float) -> None:
    def values(dtype: type, generator: np.random.Generator | None = None) -> np.ndarray:
        return fill(Tensor(np.empty((4, 3, 2, 5), dtype)), **options, generator=generator).data

    manual_seed(5)
    by_default = values(np.float64)
    assert (values(np.float64) != by_default).any()
    given = values(np.float64, np.random.default_rng(5))
    assert (given == by_default).all()
    assert (values(np.float32, np.random.default_rng(5)) == given.astype(np.float32)).all()


def test_constants() -> None:
    w = Parameter(np.empty((2, 3)))
    assert (init.constant_(w, 2.5).data == 2.5).all()
    assert (init.ones_(w).data == 1).all()
    assert (init.zeros_(w).data == 0).all()


def test_writing_after_recording_is_noticed() -> None:
    w = Parameter([[1.0, 2.0]])
    y = (w * w).sum()
    init.ones_(w)
    with pytest.raises(RuntimeError, match="Mul"):
        y.backward()


def test_gains() -> None:
    assert init.calculate_gain("linear") == init.calculate_gain("conv2d") == init.calculate_gain("sigmoid") == 1
    assert init.calculate_gain("tanh") == 5 / 3
    assert init.calculate_gain("relu") == math.sqrt(2)
    assert init.calculate_gain("leaky_relu") == math.sqrt(2 / (1 + 0.01**2))
    assert init.calculate_gain("leaky_relu", 0) == math.sqrt(2)
    with pytest.raises(ValueError, match=r"unknown nonlinearity 'gelu'.*'leaky_relu'"):
        init.calculate_gain("gelu")


def test_errors() -> None:
    with pytest.raises(ValueError, match=r"xavier_uniform_: needs a weight .* got shape \(3,\)"):
        init.xavier_uniform_(Parameter(np.empty(3)))
    with pytest.raises(ValueError, match=r"kaiming_normal_: .* got shape \(3, 0\)"):
        init.kaiming_normal_(Parameter(np.empty((3, 0))))
    with pytest.raises(ValueError, match="mode must be 'fan_in' or 'fan_out', got 'fan'"):
        init.kaiming_uniform_(Parameter(np.empty((3, 2))), mode="fan")


@pytest.mark.parametrize("name", ["linear", "conv2d", "sigmoid", "tanh", "relu", "leaky_relu"])
def test_gains_equal_torch(name: str) -> None:
    torch = pytest.importorskip("torch")
    for param in (None, 0.3) if name == "leaky_relu" else (None,):
        assert init.calculate_gain(name, param) == torch.nn.init.calculate_gain(name, param)
