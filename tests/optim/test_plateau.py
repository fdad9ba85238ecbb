from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import Tensor, optim
from tinygrad_cnn.nn import Parameter
from tinygrad_cnn.optim import ReduceLROnPlateau

METRICS = [*np.random.default_rng(0).normal(size=30).cumsum().tolist(), *[1.0] * 12, math.nan, 0.5, *[0.49995] * 9]

CASES: list[dict[str, Any]] = [
    {},
    {"patience": 2, "factor": 0.5},
    {"mode": "max", "patience": 1, "cooldown": 3},
    {"patience": 0, "threshold": 0.1, "threshold_mode": "abs", "min_lr": [0.05, 0.001]},
    {"mode": "max", "patience": 0, "threshold": 0.2, "factor": 0.9, "eps": 0.01},
]


def rates(optimizer: Any, scheduler: Any, metrics: list[float]) -> list[list[float]]:
    found = []
    for metric in metrics:
        optimizer.step()
        scheduler.step(metric)
        found.append([group["lr"] for group in optimizer.param_groups])
    return found


def build(**options: Any) -> tuple[Any, ReduceLROnPlateau]:
    optimizer = optim.SGD([{"params": Parameter([1.0])}, {"params": Parameter([2.0]), "lr": 0.5}], lr=0.2)
    return optimizer, ReduceLROnPlateau(optimizer, **options)


@pytest.mark.parametrize("options", CASES)
def test_equals_torch(options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    tensors = [torch.ones(1, requires_grad=True) for _ in range(2)]
    other = torch.optim.SGD([{"params": tensors[0]}, {"params": tensors[1], "lr": 0.5}], lr=0.2)
    expected = rates(other, torch.optim.lr_scheduler.ReduceLROnPlateau(other, **options), METRICS)
    assert rates(*build(**options), METRICS) == expected
    assert len({tuple(pair) for pair in expected}) > 1


def test_patience_and_cooldown() -> None:
    optimizer, scheduler = build(factor=0.5, patience=1, cooldown=2)
    found = [first for first, _ in rates(optimizer, scheduler, [1.0] * 9)]
    assert found == [0.2, 0.2, 0.1, 0.1, 0.1, 0.1, 0.05, 0.05, 0.05]


def test_the_lowest_rate_and_the_smallest_reduction() -> None:
    optimizer, scheduler = build(patience=0, factor=0.5, min_lr=0.06)
    assert [first for first, _ in rates(optimizer, scheduler, [1.0] * 4)] == [0.2, 0.1, 0.06, 0.06]
    optimizer, scheduler = build(patience=0, factor=0.5, eps=0.06)
    assert [first for first, _ in rates(optimizer, scheduler, [1.0] * 4)] == [0.2, 0.1, 0.1, 0.1]


def test_nan_is_no_improvement() -> None:
    optimizer, scheduler = build(patience=0, factor=0.5)
    assert [first for first, _ in rates(optimizer, scheduler, [math.nan, 1.0, math.nan, 0.5])] == [0.1, 0.1, 0.05, 0.05]
    assert scheduler.best == 0.5


def test_a_tensor_is_a_metric() -> None:
    _, scheduler = build()
    scheduler.step(Tensor([3.0]))
    assert scheduler.best == 3.0


@pytest.mark.parametrize("options", CASES)
def test_a_restored_schedule_continues_to_the_same_bits(options: dict[str, Any]) -> None:
    optimizer, scheduler = build(**options)
    rates(optimizer, scheduler, METRICS[:17])
    text = json.dumps([scheduler.state_dict(), optimizer.state_dict()["param_groups"]])
    expected = rates(optimizer, scheduler, METRICS[17:])
    other, resumed = build(**options)
    state, groups = json.loads(text)
    other.load_state_dict({"state": {}, "param_groups": groups})
    resumed.load_state_dict(state)
    assert rates(other, resumed, METRICS[17:]) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "low"}, "mode must be 'min' or 'max', got 'low'"),
        ({"threshold_mode": "x"}, "threshold_mode must be 'rel' or 'abs', got 'x'"),
        ({"factor": 1.0}, "factor must be below 1, got 1"),
        ({"min_lr": [0.1]}, "min_lr: one value for each of 2 parameter groups is needed, got 1"),
    ],
)
def test_errors(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(**options)
