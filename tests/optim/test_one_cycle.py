from __future__ import annotations

import json
import math
from typing import Any

import pytest

from tinygrad_cnn import optim
from tinygrad_cnn.nn import Parameter
from tinygrad_cnn.optim import OneCycleLR

CASES: list[dict[str, Any]] = [
    {"max_lr": 0.4, "total_steps": 20},
    {"max_lr": [0.4, 1.0], "epochs": 5, "steps_per_epoch": 5, "anneal_strategy": "linear"},
    {"max_lr": 0.4, "total_steps": 17, "pct_start": 0.45, "div_factor": 10, "final_div_factor": 100},
    {"max_lr": 0.4, "total_steps": 20, "base_momentum": [0.7, 0.8], "max_momentum": 0.9},
    {"max_lr": 0.4, "total_steps": 20, "cycle_momentum": False},
]


def groups(kind: Any, parameter: Any, **options: Any) -> Any:
    return kind([{"params": parameter()}, {"params": parameter()}], lr=0.1, **options)


def cycle(optimizer: Any, scheduler: Any, steps: int) -> list[Any]:
    def now() -> list[float]:
        found = []
        for group in optimizer.param_groups:
            found += [group["lr"], group.get("momentum", 0), *group.get("betas", ())]
        return found

    history = [now()]
    for _ in range(steps):
        optimizer.step()
        scheduler.step()
        history.append(now())
    return history


@pytest.mark.parametrize("options", CASES)
@pytest.mark.parametrize(("kind", "settings"), [("SGD", {"momentum": 0.5}), ("Adam", {}), ("AdamW", {})])
def test_equals_torch(kind: str, settings: dict[str, Any], options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    theirs = groups(getattr(torch.optim, kind), lambda: torch.ones(1, requires_grad=True), **settings)
    ours = groups(getattr(optim, kind), lambda: Parameter([1.0]), **settings)
    steps = options.get("total_steps", 25) - 1
    expected = cycle(theirs, torch.optim.lr_scheduler.OneCycleLR(theirs, **options), steps)
    for found, ref in zip(cycle(ours, OneCycleLR(ours, **options), steps), expected, strict=True):
        assert found == pytest.approx(ref, rel=1e-10)


def test_closed_formula() -> None:
    optimizer = optim.SGD([Parameter([1.0])], momentum=0.9)
    scheduler = OneCycleLR(optimizer, 1.0, 21, pct_start=10 / 21, final_div_factor=4)  # the peak is at step 9
    history = cycle(optimizer, scheduler, 20)
    for t, (lr, momentum) in enumerate(history):
        part = t / 9 if t <= 9 else 1 - (t - 9) / 11
        rise = (1 - math.cos(math.pi * part)) / 2
        low = 0.04 if t <= 9 else 0.01
        assert lr == pytest.approx(low + (1 - low) * rise)
        assert momentum == pytest.approx(0.95 - 0.1 * rise)


def test_only_the_first_of_betas_cycles() -> None:
    optimizer = optim.Adam([Parameter([1.0])], betas=(0.9, 0.98))
    history = cycle(optimizer, OneCycleLR(optimizer, 1.0, 11, pct_start=5 / 11), 10)
    assert history[4][2:] == [pytest.approx(0.85), 0.98]
    assert history[10][2:] == [pytest.approx(0.95), 0.98]


@pytest.mark.parametrize("pct_start", [0.0, 0.05, 1.0])
def test_ends_of_pct_start(pct_start: float) -> None:
    optimizer = optim.SGD([Parameter([1.0])], momentum=0.9)
    history = cycle(optimizer, OneCycleLR(optimizer, 1.0, 20, pct_start=pct_start), 19)
    assert all(0 < lr <= 1 for lr, _ in history)


def test_the_schedule_ends() -> None:
    optimizer = optim.SGD([Parameter([1.0])], momentum=0.9)
    scheduler = OneCycleLR(optimizer, 1.0, 3)
    history = cycle(optimizer, scheduler, 3)  # a step after each of three batches
    assert history[3] == history[2]
    with pytest.raises(ValueError, match="step 4 of a schedule of total_steps = 3"):
        scheduler.step()
    assert scheduler.last_epoch == 3


def test_a_restored_schedule_continues_to_the_same_bits() -> None:
    def build() -> tuple[Any, Any]:
        optimizer = optim.Adam([Parameter([1.0])])
        return optimizer, OneCycleLR(optimizer, 0.1, 20)

    optimizer, scheduler = build()
    cycle(optimizer, scheduler, 7)
    text = json.dumps(scheduler.state_dict())
    expected = cycle(optimizer, scheduler, 12)[1:]
    other, resumed = build()
    resumed.load_state_dict(json.loads(text))
    assert cycle(other, resumed, 12)[1:] == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give total_steps, or epochs and steps_per_epoch"),
        ({"epochs": 3}, "give total_steps, or epochs"),
        ({"total_steps": 0}, "total_steps must be a positive int, got 0"),
        ({"total_steps": 5, "pct_start": 2}, "pct_start is a part, from 0 to 1; got 2"),
        ({"total_steps": 5, "anneal_strategy": "exp"}, "anneal_strategy must be 'cos' or 'linear', got 'exp'"),
        ({"total_steps": 5, "max_lr": -1.0}, "max_lr must be finite and at least 0, got -1.0"),
        ({"total_steps": 5, "max_lr": float("nan")}, "max_lr must be finite and at least 0, got nan"),
        ({"total_steps": 5, "div_factor": 0}, "div_factor and final_div_factor must be positive, got 0, 10000.0"),
        ({"total_steps": 5, "max_lr": [1, 2, 3]}, "max_lr: one value for each of 2 parameter groups is needed, got 3"),
    ],
)
def test_errors(options: dict[str, Any], message: str) -> None:
    optimizer = groups(optim.SGD, lambda: Parameter([1.0]))
    with pytest.raises(ValueError, match=message):
        OneCycleLR(optimizer, **{"max_lr": 1.0, **options})


def test_an_optimiser_without_momentum() -> None:
    class Plain(optim.Optimizer):
        def check(self, group: Any) -> None: ...

    optimizer = Plain([Parameter([1.0])], {"lr": 0.1})
    with pytest.raises(ValueError, match="Plain has no momentum to cycle; pass cycle_momentum=False"):
        OneCycleLR(optimizer, 1.0, 5)
    OneCycleLR(optimizer, 1.0, 5, cycle_momentum=False)
