from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest

from tinygrad_cnn import optim
from tinygrad_cnn.nn import Parameter
from tinygrad_cnn.optim import CosineAnnealingLR, LinearLR, LRScheduler, MultiStepLR, SequentialLR, StepLR

STEPS = 25


def optimizer() -> optim.SGD:
    return optim.SGD([{"params": Parameter([1.0])}, {"params": Parameter([2.0]), "lr": 0.5}], lr=0.2)


def rates(scheduler: LRScheduler, steps: int = STEPS) -> list[list[float]]:
    found = [scheduler.get_last_lr()]
    for _ in range(steps):
        scheduler.step()
        found.append(scheduler.get_last_lr())
        assert found[-1] == [group["lr"] for group in scheduler.optimizer.param_groups]
    return found


def warm_up(o: Any, source: Any = optim) -> Any:
    parts = [source.LinearLR(o, 0.1, 1.0, 4), source.CosineAnnealingLR(o, 12, 0.01), source.StepLR(o, 2)]
    return source.SequentialLR(o, parts, [4, 15])


BUILDERS: list[Callable[..., Any]] = [
    lambda o, source: source.StepLR(o, 3, 0.5),
    lambda o, source: source.MultiStepLR(o, [9, 4, 4, 20], 0.3),
    lambda o, source: source.LinearLR(o),
    lambda o, source: source.LinearLR(o, 0.2, 0.8, 7),
    lambda o, source: source.CosineAnnealingLR(o, 10),
    lambda o, source: source.CosineAnnealingLR(o, 7, 0.05),
    warm_up,
]


@pytest.mark.parametrize("build", BUILDERS)
def test_equals_torch(build: Callable[..., Any]) -> None:
    torch = pytest.importorskip("torch")
    tensors = [torch.ones(1, requires_grad=True) for _ in range(2)]
    other = torch.optim.SGD([{"params": tensors[0]}, {"params": tensors[1], "lr": 0.5}], lr=0.2)
    theirs = build(other, torch.optim.lr_scheduler)
    expected = [[group["lr"] for group in other.param_groups]]
    for _ in range(STEPS):
        other.step()
        theirs.step()
        expected.append([group["lr"] for group in other.param_groups])
    for ours, ref in zip(rates(build(optimizer(), optim)), expected, strict=True):
        assert ours == pytest.approx(ref, rel=1e-10, abs=1e-15)


FORMULAS: list[tuple[Callable[..., Any], Callable[[int], float]]] = [
    (lambda o: StepLR(o, 3, 0.5), lambda t: 0.5 ** (t // 3)),
    (lambda o: MultiStepLR(o, [9, 4, 4]), lambda t: 1 if t < 4 else 0.01 if t < 9 else 0.001),
    (lambda o: LinearLR(o, 0.2, 0.8, 10), lambda t: 0.2 + 0.06 * min(t, 10)),
    (
        lambda o: SequentialLR(o, [LinearLR(o, 0.1, 1.0, 4), StepLR(o, 2, 0.5)], [3]),
        lambda t: 0.1 + 0.225 * t if t < 3 else 0.5 ** ((t - 3) // 2),
    ),
    (lambda o: CosineAnnealingLR(o, 10), lambda t: (1 + math.cos(math.pi * t / 10)) / 2),
]


@pytest.mark.parametrize(("build", "formula"), FORMULAS)
def test_closed_formulas(build: Callable[..., Any], formula: Callable[[int], float]) -> None:
    for t, (first, second) in enumerate(rates(build(optimizer()))):
        assert first == pytest.approx(0.2 * formula(t), abs=1e-15)
        assert second == pytest.approx(0.5 * formula(t), abs=1e-15)


def test_cosine_reaches_its_ends() -> None:
    o = optimizer()
    found = rates(CosineAnnealingLR(o, 10, eta_min=0.1), 20)
    assert found[0] == found[20] == [0.2, 0.5]
    assert found[10] == pytest.approx([0.1, 0.1])


def test_the_rate_is_used() -> None:
    p = Parameter([0.0])
    o = optim.SGD([p], lr=1.0)
    scheduler = StepLR(o, 1, 0.5)
    moves = []
    for _ in range(3):
        before = p.item()
        p.grad = p.data * 0 + 1
        o.step()
        scheduler.step()
        moves.append(before - p.item())
    assert moves == [1.0, 0.5, 0.25]


@pytest.mark.parametrize("build", BUILDERS)
def test_a_restored_schedule_continues_to_the_same_bits(build: Callable[..., Any]) -> None:
    scheduler = build(optimizer(), optim)
    rates(scheduler, 6)
    text = json.dumps([scheduler.state_dict(), scheduler.optimizer.state_dict()["param_groups"]])
    expected = rates(scheduler, 12)
    o = optimizer()
    resumed = build(o, optim)
    state, groups = json.loads(text)
    o.load_state_dict({"state": {}, "param_groups": groups})
    resumed.load_state_dict(state)
    assert resumed.state_dict() == state
    assert rates(resumed, 12) == expected


def test_load_errors() -> None:
    scheduler = StepLR(optimizer(), 3)
    before = scheduler.state_dict()
    with pytest.raises(ValueError, match=r"StepLR.load_state_dict: needs \['base_lrs', .*'step_size'\], got \['x'\]"):
        scheduler.load_state_dict({"x": 1})
    with pytest.raises(ValueError, match="base_lrs has length 1 in the state, 2 here"):
        scheduler.load_state_dict({**before, "base_lrs": [0.1]})
    with pytest.raises(ValueError, match="got list"):
        scheduler.load_state_dict([])
    assert scheduler.state_dict() == before
    composed = warm_up(optimizer())
    before = composed.state_dict()
    other = {**before["schedulers"][0], "last_epoch": 9}
    with pytest.raises(ValueError, match=r"StepLR\.load_state_dict: needs"):
        composed.load_state_dict({**before, "last_epoch": 3, "schedulers": [other, before["schedulers"][1], {}]})
    with pytest.raises(ValueError, match="schedulers has length 1 in the state, 3 here"):
        composed.load_state_dict({**before, "schedulers": before["schedulers"][:1]})
    assert composed.state_dict() == before


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda o: StepLR(o, 0), ValueError, "StepLR: step_size must be a positive int, got 0"),
        (lambda o: StepLR(None, 3), TypeError, "StepLR: needs an optimiser, got NoneType"),
        (lambda o: CosineAnnealingLR(o, 1.5), ValueError, "T_max must be a positive int"),
        (lambda o: LinearLR(o, 0), ValueError, r"LinearLR: start_factor must lie in \(0, 1\]"),
        (lambda o: LinearLR(o, 0.5, 2), ValueError, r"end_factor in \[0, 1\]"),
        (lambda o: LinearLR(o, total_iters=0), ValueError, "total_iters must be a positive int"),
        (lambda o: SequentialLR(o, [StepLR(o, 1)], [2]), ValueError, "1 schedules have one milestone less, not 1"),
        (lambda o: SequentialLR(o, [StepLR(optimizer(), 1)], []), ValueError, "StepLR belongs to another optimiser"),
        (
            lambda o: SequentialLR(o, [optim.ReduceLROnPlateau(o)], []),
            TypeError,
            "a step of ReduceLROnPlateau needs an argument",
        ),
    ],
)
def test_errors(build: Callable[..., Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        build(optimizer())


def test_the_base_needs_a_formula() -> None:
    with pytest.raises(NotImplementedError, match=r"has no rate\(\)"):
        LRScheduler(optimizer())
