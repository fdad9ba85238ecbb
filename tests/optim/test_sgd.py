from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import reference as ref
from tinygrad_cnn.nn import Parameter
from tinygrad_cnn.optim import SGD

CASES: list[dict[str, Any]] = [
    {"lr": 0.1},
    {"lr": 0.1, "weight_decay": 0.3},
    {"lr": 0.1, "momentum": 0.9},
    {"lr": 0.1, "momentum": 0.8, "dampening": 0.3, "weight_decay": 0.1},
    {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
]


@pytest.mark.parametrize("options", CASES)
def test_equals_the_reference(options: dict[str, Any], ours: Any, reference: Any, agree: Any) -> None:
    full = {"momentum": 0.0, "dampening": 0.0, "nesterov": False, "weight_decay": 0.0, **options}
    agree(ours(SGD, **options), reference(lambda w, gw, v: ref.sgd(w, gw, v, **full)))


@pytest.mark.parametrize("options", CASES)
def test_equals_torch(options: dict[str, Any], ours: Any, theirs: Any, agree: Any) -> None:
    agree(ours(SGD, **options), theirs(SGD, **options))
    agree(ours(SGD, dtype=np.float32, **options), theirs(SGD, dtype=np.float32, **options), 2e-6)


@pytest.mark.parametrize("second", [{"lr": 0.5, "momentum": 0.3, "dampening": 0.2}, {"momentum": 0.0}])
def test_groups_equal_torch(second: dict[str, Any], ours: Any, theirs: Any, agree: Any) -> None:
    agree(ours(SGD, second, lr=0.1, momentum=0.9), theirs(SGD, second, lr=0.1, momentum=0.9))


def test_state() -> None:
    p = Parameter([1.0])
    p.grad = np.ones(1, np.float32)
    plain = SGD([p])
    plain.step()
    assert plain.state_dict()["state"] == {}
    moving = SGD([p], momentum=0.5)
    moving.step()
    moving.step()
    assert moving.state[p]["momentum_buffer"].tolist() == [1.5]


def test_errors() -> None:
    p = Parameter([1.0])
    for name in ("lr", "momentum", "weight_decay"):
        with pytest.raises(ValueError, match=f"SGD: {name} must be at least 0, got -1"):
            SGD([p], **{name: -1})
        with pytest.raises(ValueError, match=f"SGD: {name} must be at least 0, got nan"):
            SGD([p], **{name: float("nan")})
    with pytest.raises(TypeError, match=r"SGD: lr must be a number, got '0.1'"):
        SGD([p], lr="0.1")
    for options in ({}, {"momentum": 0.9, "dampening": 0.1}):
        with pytest.raises(ValueError, match="SGD: nesterov needs a momentum and no dampening"):
            SGD([p], nesterov=True, **options)
