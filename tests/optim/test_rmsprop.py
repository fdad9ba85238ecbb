from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import reference as ref
from tinygrad_cnn.nn import Parameter
from tinygrad_cnn.optim import RMSprop

CASES: list[dict[str, Any]] = [
    {},
    {"lr": 0.1, "alpha": 0.9, "eps": 1e-3, "weight_decay": 0.1},
    {"momentum": 0.9},
    {"centered": True, "alpha": 0.8},
    {"centered": True, "momentum": 0.5, "weight_decay": 0.1},
]


@pytest.mark.parametrize("options", CASES)
def test_equals_the_reference(options: dict[str, Any], ours: Any, reference: Any, agree: Any) -> None:
    full = {"lr": 0.01, "alpha": 0.99, "eps": 1e-8, "weight_decay": 0.0, "momentum": 0.0, "centered": False, **options}

    def rule(w: np.ndarray, gw: np.ndarray, state: Any) -> Any:
        w, *state = ref.rmsprop(w, gw, *(state or [np.zeros_like(w)] * 3), **full)
        return w, state

    agree(ours(RMSprop, **options), reference(rule))


@pytest.mark.parametrize("options", CASES)
def test_equals_torch(options: dict[str, Any], ours: Any, theirs: Any, agree: Any) -> None:
    agree(ours(RMSprop, **options), theirs(RMSprop, **options))


@pytest.mark.parametrize(
    "second", [{"lr": 0.02, "alpha": 0.7, "eps": 1e-4}, {"momentum": 0.3}, {"centered": True}, {"momentum": 0}]
)
def test_groups_equal_torch(second: dict[str, Any], ours: Any, theirs: Any, agree: Any) -> None:
    agree(ours(RMSprop, second, momentum=0.9), theirs(RMSprop, second, momentum=0.9))


def test_only_what_is_needed_is_kept() -> None:
    for options, slots in (
        ({}, {"square_avg"}),
        ({"momentum": 0.5}, {"square_avg", "momentum_buffer"}),
        ({"centered": True}, {"square_avg", "grad_avg"}),
    ):
        p = Parameter([1.0])
        p.grad = np.ones(1, np.float32)
        optimizer = RMSprop([p], **options)
        optimizer.step()
        assert optimizer.state[p].keys() == slots


def test_errors() -> None:
    p = Parameter([1.0])
    for name in ("lr", "eps", "weight_decay", "momentum"):
        with pytest.raises(ValueError, match=f"RMSprop: {name} must be at least 0, got -1"):
            RMSprop([p], **{name: -1})
    with pytest.raises(ValueError, match=r"alpha must lie in \[0, 1\), got 1"):
        RMSprop([p], alpha=1)
