from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn.nn import Parameter

SHAPES = [(3, 4), (5,), (2, 1, 3, 2), (4, 2)]
STEPS = 8

Run = Callable[..., Iterator[list[np.ndarray]]]


def gradients(step: int) -> list[np.ndarray | None]:
    """The last parameter never has a gradient; the second has none at first, the third now and then."""
    rng = np.random.default_rng(step)
    values: list[np.ndarray | None] = [rng.normal(size=shape) for shape in SHAPES]
    values[3] = None
    if step < 2:
        values[1] = None
    if step % 3 == 1:
        values[2] = None
    return values


def start(dtype: type = np.float64) -> list[np.ndarray]:
    return [np.random.default_rng(99).normal(size=shape).astype(dtype) for shape in SHAPES]


@pytest.fixture
def ours() -> Run:
    """Take eight steps, and yield the parameters after each; two groups where ``second`` holds settings of its own."""

    def run(kind: Any, second: dict[str, Any] | None = None, dtype: type = np.float64, **options: Any) -> Any:
        ps = [Parameter(w) for w in start(dtype)]
        optimizer = kind(ps if second is None else [{"params": ps[::2]}, {"params": ps[1::2], **second}], **options)
        for step in range(STEPS):
            for p, g in zip(ps, gradients(step), strict=True):
                p.grad = None if g is None else g.astype(dtype)
            optimizer.step()
            yield [p.data.copy() for p in ps]

    return run


@pytest.fixture
def theirs() -> Run:
    """Do the same with torch."""
    torch = pytest.importorskip("torch")

    def run(kind: Any, second: dict[str, Any] | None = None, dtype: type = np.float64, **options: Any) -> Any:
        ps = [torch.tensor(w, requires_grad=True) for w in start(dtype)]
        optimizer = getattr(torch.optim, kind.__name__)(
            ps if second is None else [{"params": ps[::2]}, {"params": ps[1::2], **second}], **options
        )
        for step in range(STEPS):
            for p, g in zip(ps, gradients(step), strict=True):
                p.grad = None if g is None else torch.tensor(g.astype(dtype))
            optimizer.step()
            yield [p.detach().numpy().copy() for p in ps]

    return run


@pytest.fixture
def reference() -> Run:
    """Do the same with a rule(w, gw, state) -> (w, state) of one parameter."""

    def run(rule: Callable[..., Any]) -> Any:
        ws = start()
        states: list[Any] = [None] * len(ws)
        for step in range(STEPS):
            for i, g in enumerate(gradients(step)):
                if g is not None:
                    ws[i], states[i] = rule(ws[i], g, states[i])
            yield [w.copy() for w in ws]

    return run


@pytest.fixture
def agree() -> Callable[..., None]:
    """Compare two runs: max|a - ref| <= bound * max|ref| after every step."""

    def compare(run: Any, oracle: Any, bound: float = 1e-10) -> None:
        first = start()
        for ws, refs in zip(run, oracle, strict=True):
            for w, ref in zip(ws, refs, strict=True):
                assert np.abs(w - ref).max() <= bound * np.abs(ref).max()
        assert (ws[3] == first[3].astype(ws[3].dtype)).all()  # without a gradient: left alone, weight decay included
        assert (ws[1] != first[1]).all()

    return compare
