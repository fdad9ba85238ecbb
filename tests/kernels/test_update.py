from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import reference, state
from tinygrad_cnn.kernels import update

rng = np.random.default_rng(0)
DTYPES = [np.float32, np.float64]
SHAPES = [(6, 1, 5, 4), (6,), (), (3, 0), (17, 9)]
Arrays = list[np.ndarray]


@pytest.fixture
def set_threads() -> Iterator[Callable[[int], None]]:
    before = state.get_num_threads()
    yield state.set_num_threads
    state.set_num_threads(before)


def randoms(dtype: type, shapes: list[tuple[int, ...]] = SHAPES) -> Arrays:
    return [np.asarray(rng.normal(size=shape), dtype) for shape in shapes]


def zeros(like: Arrays) -> Arrays:
    return [np.zeros_like(x) for x in like]


SGD = [
    {"momentum": 0.0, "dampening": 0.0, "nesterov": False, "weight_decay": 0.0},
    {"momentum": 0.0, "dampening": 0.0, "nesterov": False, "weight_decay": 0.1},
    {"momentum": 0.9, "dampening": 0.0, "nesterov": False, "weight_decay": 0.1},
    {"momentum": 0.9, "dampening": 0.3, "nesterov": False, "weight_decay": 0.0},
    {"momentum": 0.8, "dampening": 0.0, "nesterov": True, "weight_decay": 0.1},
]
ADAM = [{"betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": decay} for decay in (0.0, 0.1)]
RMSPROP = [
    {"alpha": 0.9, "eps": 1e-6, "weight_decay": decay, "momentum": momentum, "centered": centered}
    for decay, momentum, centered in [(0.0, 0.0, False), (0.1, 0.9, False), (0.0, 0.0, True), (0.1, 0.7, True)]
]
RECIPES = [("sgd", o) for o in SGD] + [(name, o) for name in ("adam", "adamw") for o in ADAM]
RECIPES += [("rmsprop", o) for o in RMSPROP]


class Run:
    """The same steps twice: by the kernels on all parameters at once, by the reference one at a time."""

    def __init__(self, name: str, options: dict[str, Any], start: Arrays) -> None:
        self.name, self.options, self.step = name, options, 0
        self.w, self.slots = [x.copy() for x in start], [zeros(start) for _ in range(3)]
        self.expected: list[tuple] = [
            (x, *({"sgd": [None]}.get(name) or [np.zeros_like(x)] * (3 if name == "rmsprop" else 2))) for x in start
        ]

    def advance(self, gradients: Arrays, lr: float) -> None:
        self.step += 1
        o, slots = self.options, self.slots
        if self.name == "sgd":
            velocities = slots[0] if o["momentum"] else None
            update.sgd(self.w, gradients, velocities, lr, **o, first=self.step == 1)
        elif self.name == "rmsprop":
            velocities, means = slots[1] if o["momentum"] else None, slots[2] if o["centered"] else None
            update.rmsprop(self.w, gradients, slots[0], velocities, means, lr, **o)
        else:
            getattr(update, self.name)(self.w, gradients, *slots[:2], self.step, lr, **o)
        step = getattr(reference, self.name)
        count = [self.step] if self.name.startswith("adam") else []
        self.expected = [
            step(w, g, *rest, *count, lr, **o) for (w, *rest), g in zip(self.expected, gradients, strict=True)
        ]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "options"), RECIPES)
def test_eight_steps_equal_the_reference(name: str, options: dict[str, Any], dtype: type) -> None:
    start = randoms(dtype)
    run = Run(name, options, start)
    for _ in range(8):
        run.advance(randoms(dtype), lr=0.05)
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    for i, (w, *slots) in enumerate(run.expected):
        np.testing.assert_allclose(run.w[i], w, rtol=tolerance, atol=tolerance)
        for result, expected in zip(run.slots, slots, strict=False):
            if expected is not None:
                np.testing.assert_allclose(result[i], expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("name", "options"), RECIPES)
def test_eight_steps_equal_torch(name: str, options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    start = randoms(np.float64)
    run = Run(name, options, start)
    w = [torch.tensor(x.copy(), requires_grad=True) for x in start]
    classes = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    optimizer = classes.get(name, torch.optim.RMSprop)(w, lr=0.05, **options)
    for _ in range(8):
        gradients = randoms(np.float64)
        for x, g in zip(w, gradients, strict=True):
            x.grad = torch.tensor(g)
        optimizer.step()
        run.advance(gradients, lr=0.05)
    for result, expected in zip(run.w, w, strict=True):
        np.testing.assert_allclose(result, expected.detach().numpy(), rtol=1e-10, atol=1e-12)


def test_settings_may_differ_between_parameters() -> None:
    start, gradients = randoms(np.float64), randoms(np.float64)
    lr, momentum = np.linspace(0.1, 0.5, 5), [0.0, 0.5, 0.9, 0.5, 0.3]
    nesterov, first, decay = [True, False, True, False, False], [True, False, False, True, True], [0, 0.1, 0, 0.2, 0]
    w, velocities = [x.copy() for x in start], randoms(np.float64)
    before = [v.copy() for v in velocities]
    update.sgd(w, gradients, velocities, lr, momentum, 0.25, nesterov, decay, first)
    for i in (1, 2, 3, 4):
        velocity = None if first[i] else before[i]
        rest = lr[i], momentum[i], 0.25, nesterov[i], decay[i]
        expected, velocity = reference.sgd(start[i], gradients[i], velocity, *rest)
        np.testing.assert_allclose(w[i], expected, rtol=1e-13)
        np.testing.assert_allclose(velocities[i], velocity, rtol=1e-13)

    w, means, squares, steps = [x.copy() for x in start], zeros(start), zeros(start), [1, 2, 30, 4, 500]
    update.adam(w, gradients, means, squares, steps, lr, (np.full(5, 0.9), 0.99), [1e-8] * 5, decay)
    for i in range(5):
        zero = np.zeros_like(start[i])
        expected, *_ = reference.adam(start[i], gradients[i], zero, zero, steps[i], lr[i], (0.9, 0.99), 1e-8, decay[i])
        np.testing.assert_allclose(w[i], expected, rtol=1e-12)


def test_nothing_but_the_parameters_and_their_state_is_written() -> None:
    rooms = [np.full(60, 7.0) for _ in range(3)]
    views = [room[20:40] for room in rooms]  # a wrong address or length would reach the sevens around
    gradients = [rng.normal(size=20)]
    copy = gradients[0].copy()
    update.adam(views[:1], gradients, views[1:2], views[2:], 1, 0.1, (0.9, 0.99), 1e-8, 0.0)
    np.testing.assert_array_equal(gradients[0], copy)
    for room in rooms:
        assert (room[:20] == 7).all()
        assert (room[40:] == 7).all()
        assert (room[20:40] != 7).all()


def test_no_parameters_is_no_step() -> None:
    update.sgd([], [], None, 0.1, 0.0, 0.0, False, 0.0)
    update.sgd([np.zeros((0, 3))], [np.zeros((0, 3))], None, 0.1, 0.0, 0.0, False, 0.0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "options"), [("sgd", SGD[0]), ("sgd", SGD[-1]), ("adamw", ADAM[1]), RECIPES[-1]])
def test_same_bits_for_every_number_of_threads(
    name: str,
    options: dict[str, Any],
    dtype: type,
    set_threads: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shapes = [(301, 407), (5,), (13, 999), (1,)]
    start, gradients = randoms(dtype, shapes), randoms(dtype, shapes)
    monkeypatch.setattr(reference, name, lambda w, g, *rest, **options: (w, *rest[:1]))
    results = []
    for threads in (1, 2, 3, 0):
        set_threads(threads or 1)
        if not threads:
            monkeypatch.setattr("tinygrad_cnn.kernels.threads.SERIAL_BELOW", 10**9)
        run = Run(name, options, start)
        for _ in range(2):
            run.advance(gradients, lr=0.1)
        results.append([*run.w, *run.slots[0], *run.slots[1], *run.slots[2]])
    for result in results[1:]:
        for a, b in zip(result, results[0], strict=True):
            np.testing.assert_array_equal(a, b)


def test_one_compilation_for_each_dtype() -> None:
    for name in ("_plain_sgd", "_momentum_sgd", "_adam", "_rmsprop"):
        assert set(getattr(update, name).dispatchers) <= {"f", "d"}


def test_runs_without_numba() -> None:
    program = """
import numpy as np
from tinygrad_cnn import reference
from tinygrad_cnn.kernels import update
rng = np.random.default_rng(0)
for dtype in (np.float32, np.float64):
    start, gradients = rng.normal(size=(2, 2, 3)).astype(dtype), rng.normal(size=(2, 2, 3)).astype(dtype)
    make = lambda: ([x.copy() for x in start], *(list(np.zeros_like(start)) for _ in range(3)))
    zero, close = np.zeros((2, 3), dtype), lambda a, b: np.testing.assert_allclose(a, b[0], rtol=1e-5)
    w, v, *_ = make()
    update.sgd(w, gradients, v, 0.1, 0.9, 0.0, True, 0.1, True)
    close(w[1], reference.sgd(start[1], gradients[1], None, 0.1, 0.9, 0.0, True, 0.1))
    w, *_ = make()
    update.sgd(w, gradients, None, 0.1, 0.0, 0.0, False, 0.1)
    close(w[1], reference.sgd(start[1], gradients[1], None, 0.1, 0.0, 0.0, False, 0.1))
    w, m, s, v = make()
    update.adam(w, gradients, m, s, 3, 0.1, (0.9, 0.99), 1e-8, 0.1)
    close(w[1], reference.adam(start[1], gradients[1], zero, zero, 3, 0.1, (0.9, 0.99), 1e-8, 0.1))
    w, m, s, v = make()
    update.rmsprop(w, gradients, s, v, m, 0.1, 0.9, 1e-8, 0.1, 0.9, True)
    close(w[1], reference.rmsprop(start[1], gradients[1], zero, zero, zero, 0.1, 0.9, 1e-8, 0.1, 0.9, True))
"""
    subprocess.run([sys.executable, "-c", program], check=True, env={**os.environ, "NUMBA_DISABLE_JIT": "1"})
