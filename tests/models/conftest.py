from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import functional as F
from tinygrad_cnn import nn, optim
from tinygrad_cnn.nn import init
from tinygrad_cnn.state import default_generator


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks get their shapes and no initial values: drawing 138 million numbers takes seconds."""
    monkeypatch.setattr(init, "uniform_", lambda tensor, *args, **kwargs: tensor)
    monkeypatch.setattr(init, "normal_", lambda tensor, *args, **kwargs: tensor)


@pytest.fixture
def parameter_count() -> Callable[[nn.Module], int]:
    return lambda model: sum(p.size for p in model.parameters())


@pytest.fixture
def train_step() -> Callable[..., None]:
    """One step of training on random inputs: all is finite, every parameter receives a gradient and moves."""

    def step(model: nn.Module, *inputs: np.ndarray, loss: Callable[[Any], Any] | None = None) -> None:
        before = {name: p.data.copy() for name, p in model.named_parameters()}
        optimizer = optim.SGD(model.parameters(), 0.1)
        y = model(*inputs)
        total = F.cross_entropy(y, np.arange(len(y)) % y.shape[1]) if loss is None else loss(y)
        total.backward()
        assert np.isfinite(total.item())
        for name, p in model.named_parameters():
            assert p.grad is not None, f"{name} receives no gradient"
            assert np.isfinite(p.grad.data).all(), name
            assert np.abs(p.grad.data).max() > 0, name
        optimizer.step()
        assert [name for name, p in model.named_parameters() if np.array_equal(p.data, before[name])] == []

    return step


@pytest.fixture
def follows_generator() -> Callable[..., None]:
    """The generator decides all initial values, and the default generator is left alone."""

    def check(build: Callable[..., nn.Module]) -> None:
        untouched = default_generator().bit_generator.state
        first, second, third = (build(generator=np.random.default_rng(seed)).state_dict() for seed in (0, 0, 1))
        assert default_generator().bit_generator.state == untouched
        assert all((first[name] == second[name]).all() for name in first)
        assert any((first[name] != third[name]).any() for name in first)

    return check
