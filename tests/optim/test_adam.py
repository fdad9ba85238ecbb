from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import reference as ref
from tinygrad_cnn.nn import Parameter
from tinygrad_cnn.optim import Adam, AdamW

CASES: list[dict[str, Any]] = [
    {},
    {"lr": 0.1, "betas": (0.8, 0.95), "eps": 1e-3},
    {"lr": 0.1, "betas": (0.0, 0.9), "weight_decay": 0.1},
]
RULES = {Adam: ref.adam, AdamW: ref.adamw}


@pytest.mark.parametrize("kind", [Adam, AdamW])
@pytest.mark.parametrize("options", CASES)
def test_equals_the_reference(kind: Any, options: dict[str, Any], ours: Any, reference: Any, agree: Any) -> None:
    decay = 0.01 if kind is AdamW else 0.0
    full = {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": decay, **options}

    def rule(w: np.ndarray, gw: np.ndarray, state: Any) -> Any:
        mean, square, step = state or (np.zeros_like(w), np.zeros_like(w), 0)
        w, mean, square = RULES[kind](w, gw, mean, square, step + 1, **full)
        return w, (mean, square, step + 1)

    agree(ours(kind, **options), reference(rule))


@pytest.mark.parametrize("kind", [Adam, AdamW])
@pytest.mark.parametrize("options", CASES)
def test_equals_torch(kind: Any, options: dict[str, Any], ours: Any, theirs: Any, agree: Any) -> None:
    agree(ours(kind, **options), theirs(kind, **options))
    agree(ours(kind, dtype=np.float32, **options), theirs(kind, dtype=np.float32, **options), 2e-6)


@pytest.mark.parametrize("kind", [Adam, AdamW])
def test_groups_equal_torch(kind: Any, ours: Any, theirs: Any, agree: Any) -> None:
    second = {"lr": 0.02, "betas": (0.7, 0.9), "eps": 1e-4, "weight_decay": 0.2}
    agree(ours(kind, second, lr=0.1), theirs(kind, second, lr=0.1))


def test_steps_are_counted_for_each_parameter() -> None:
    a, b = Parameter([1.0]), Parameter([1.0])
    optimizer = Adam([a, b])
    a.grad = np.ones(1, np.float32)
    optimizer.step()
    b.grad = np.ones(1, np.float32)
    optimizer.step()
    assert (optimizer.state[a]["step"], optimizer.state[b]["step"]) == (2, 1)
    assert b.item() == pytest.approx(1 - 1e-3, abs=1e-6)


@pytest.mark.parametrize("kind", [Adam, AdamW])
def test_errors(kind: Any) -> None:
    p = Parameter([1.0])
    for name in ("lr", "eps", "weight_decay"):
        with pytest.raises(ValueError, match=f"{kind.__name__}: {name} must be at least 0, got -1"):
            kind([p], **{name: -1})
    with pytest.raises(ValueError, match=r"betas\[1\] must lie in \[0, 1\), got 1"):
        kind([p], betas=(0.9, 1))
    with pytest.raises(TypeError, match=r"betas must be two numbers, got 0\.9"):
        kind([p], betas=0.9)
