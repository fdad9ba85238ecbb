from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn.reference import adam, adamw, rmsprop, sgd

STEPS = 4


@pytest.fixture
def start(rng: np.random.Generator) -> tuple[np.ndarray, list[np.ndarray]]:
    return rng.normal(size=(3, 4)), [rng.normal(size=(3, 4)) for _ in range(STEPS)]


def torch_run(torch: Any, optimizer: str, start: tuple, **options: Any) -> Iterator[Any]:
    w, gradients = start
    tw = torch.tensor(w, requires_grad=True)
    stepper = getattr(torch.optim, optimizer)([tw], **options)
    for gw in gradients:
        tw.grad = torch.tensor(gw)
        stepper.step()
        yield tw.detach().clone()


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize(
    ("momentum", "dampening", "nesterov"), [(0.0, 0.0, False), (0.9, 0.0, False), (0.8, 0.3, False), (0.9, 0.0, True)]
)
def test_sgd_equals_torch(
    momentum: float, dampening: float, nesterov: bool, weight_decay: float, torch: Any, start: tuple, agree: Any
) -> None:
    options = dict(lr=0.1, momentum=momentum, dampening=dampening, nesterov=nesterov, weight_decay=weight_decay)
    (w, gradients), velocity = start, None
    for gw, expected in zip(gradients, torch_run(torch, "SGD", start, **options), strict=True):
        w, velocity = sgd(w, gw, velocity, **options)
        agree(w, expected)
    assert (velocity is None) == (momentum == 0)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize(("name", "rule"), [("Adam", adam), ("AdamW", adamw)])
def test_adam_equals_torch(
    name: str, rule: Any, weight_decay: float, torch: Any, start: tuple, agree: Callable[..., None]
) -> None:
    options = dict(lr=0.1, betas=(0.8, 0.95), eps=1e-3, weight_decay=weight_decay)
    w, gradients = start
    mean = square = np.zeros(w.shape)
    expectations = torch_run(torch, name, start, **options)
    for step, (gw, expected) in enumerate(zip(gradients, expectations, strict=True), start=1):
        w, mean, square = rule(w, gw, mean, square, step, **options)
        agree(w, expected)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("centered", [False, True])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_rmsprop_equals_torch(
    momentum: float, centered: bool, weight_decay: float, torch: Any, start: tuple, agree: Callable[..., None]
) -> None:
    options = dict(lr=0.1, alpha=0.9, eps=1e-3, weight_decay=weight_decay, momentum=momentum, centered=centered)
    w, gradients = start
    state = (np.zeros(w.shape),) * 3
    for gw, expected in zip(gradients, torch_run(torch, "RMSprop", start, **options), strict=True):
        w, *state = rmsprop(w, gw, *state, **options)
        agree(w, expected)
    _, velocity, mean = state
    assert velocity.any() == (momentum > 0)
    assert mean.any() == centered


def test_sgd_by_hand() -> None:
    w, gw, v = np.array([1.0]), np.array([2.0]), np.array([4.0])
    assert sgd(w, gw, None, 0.5, 0.0, 0.0, False, 1.0) == (np.array([-0.5]), None)  # g = 2 + 1
    assert sgd(w, gw, None, 0.5, 0.5, 0.5, False, 0.0) == (0, 2)  # the first velocity is not dampened
    assert sgd(w, gw, v, 0.5, 0.5, 0.5, False, 0.0) == (-0.5, 3)
    assert sgd(w, gw, v, 0.5, 0.5, 0.0, True, 0.0) == (-1, 4)  # g + 0.5 * 4


def test_adam_by_hand() -> None:
    w, gw, one = np.array([1.0]), np.array([2.0]), np.array([1.0])
    new, mean, square = adam(w, gw, one, one, 2, 0.5, (0.5, 0.5), eps=0.5, weight_decay=0.0)
    assert (mean, square) == (1.5, 2.5)
    assert new == pytest.approx(1 - 0.5 * (1.5 / 0.75) / (np.sqrt(2.5 / 0.75) + 0.5), rel=1e-15)
    assert adam(w, gw, one, one, 2, 0.5, (0.5, 0.5), 0.5, weight_decay=2.0)[1] == 2.5  # decay enters the mean
    decayed, mean, _ = adamw(w, gw, one, one, 2, 0.5, (0.5, 0.5), 0.5, weight_decay=0.2)
    assert mean == 1.5  # here it does not
    assert decayed == pytest.approx(new - 0.1, rel=1e-15)


def test_rmsprop_by_hand() -> None:
    w, gw, one = np.array([1.0]), np.array([2.0]), np.array([1.0])
    new, square, velocity, mean = rmsprop(w, gw, one, one, one, 0.5, 0.5, 0.5, 0.0, momentum=0.0, centered=False)
    assert (square, velocity, mean) == (2.5, 1, 1)
    assert new == pytest.approx(1 - 0.5 * 2 / (np.sqrt(2.5) + 0.5), rel=1e-15)
    new, square, velocity, mean = rmsprop(w, gw, one, one, one, 0.5, 0.5, 0.0, 0.0, momentum=0.5, centered=True)
    assert (square, mean) == (2.5, 1.5)
    assert velocity == pytest.approx(0.5 + 2 / np.sqrt(2.5 - 1.5**2), rel=1e-15)
    assert new == pytest.approx(1 - 0.5 * velocity[0], rel=1e-15)


def test_float32_stays_float32_and_nothing_is_written(start: tuple) -> None:
    w, gw = start[0].astype(np.float32), start[1][0].astype(np.float32)
    before, zero = w.copy(), np.zeros_like(w)
    results = (
        *sgd(w, gw, zero, 0.1, 0.9, 0.0, True, 0.1),
        *adam(w, gw, zero, zero, 1, 0.1, (0.9, 0.999), 1e-8, 0.1),
        *adamw(w, gw, zero, zero, 1, 0.1, (0.9, 0.999), 1e-8, 0.1),
        *rmsprop(w, gw, zero, zero, zero, 0.1, 0.9, 1e-8, 0.1, 0.9, True),
    )
    assert {result.dtype for result in results} == {np.dtype(np.float32)}
    assert (w == before).all()
    assert not zero.any()
