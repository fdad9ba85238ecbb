from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import Tensor, grad
from tinygrad_cnn.checks.measure import error, gradient_error, second_gradient_error

STEPS = (1e-6, 1e-5)


@pytest.fixture
def derivatives() -> Callable[..., None]:
    """Compare first and second derivatives with central differences, in float64 and for random cotangents."""

    def check(fn: Callable[..., Any], *arrays: np.ndarray, steps: Sequence[float] = STEPS) -> None:
        inputs = [Tensor(a, requires_grad=True) for a in arrays]
        assert all(x.dtype == np.float64 for x in inputs)
        assert gradient_error(fn, inputs, steps) <= 1e-7
        assert second_gradient_error(fn, inputs, steps) <= 1e-7

    return check


@pytest.fixture
def both_orders() -> Callable[..., None]:
    """Compare the fused gradients with the formula that serves under create_graph, and in float32 with float64."""

    def check(fn: Callable[..., Any], *arrays: np.ndarray) -> None:
        exact: list[np.ndarray] = []
        for dtype, bound in ((np.float64, 1e-12), (np.float32, 2e-6)):
            inputs = [Tensor(a.astype(np.float32), dtype, requires_grad=True) for a in arrays]
            y = fn(*inputs)
            u = np.random.default_rng(1).standard_normal(y.shape).astype(np.float32)
            fused = grad(y, inputs, u, retain_graph=True)
            formula = grad(y, inputs, u, create_graph=True)
            found = [y.data, *(g.data for g in fused)]
            exact = exact or found
            for g, x in zip([y, *fused, *formula], [y, *inputs, *inputs], strict=True):
                assert type(g.data) is np.ndarray
                assert g.dtype == dtype
                assert g.shape == x.shape
            for g, h in zip(fused, formula, strict=True):
                assert error(h.data, g.data) <= bound
            for a, ref in zip(found, exact, strict=True):
                assert error(a, ref) <= bound

    return check


@pytest.fixture
def draw(rng: np.random.Generator) -> Callable[..., np.ndarray]:
    """Return numbers of an interval, at least 0.05 from 0 and from the bounds of clamp, where slopes jump."""

    def numbers(interval: tuple[float, float], *shape: int) -> np.ndarray:
        x = rng.uniform(*interval, shape)
        for kink in (0, -0.5, 1.25):
            x = np.where(np.abs(x - kink) < 0.05, kink + 0.1, x)
        return x

    return numbers


@pytest.fixture
def same_as_torch(torch: Any) -> Callable[..., None]:
    """Compare values and gradients with PyTorch in float64, for a random cotangent; integers are passed as they are."""

    def check(ours: Callable[..., Any], theirs: Callable[..., Any], *arrays: np.ndarray, bound: float = 1e-10) -> None:
        floats = [a.dtype.kind == "f" for a in arrays]
        leaves = [Tensor(a, requires_grad=f) for a, f in zip(arrays, floats, strict=True)]
        others = [torch.tensor(a, requires_grad=f) for a, f in zip(arrays, floats, strict=True)]
        found, wanted = ours(*leaves), theirs(*others)
        pairs = list(zip(found, wanted, strict=True)) if isinstance(found, tuple) else [(found, wanted)]
        for y, z in pairs:
            assert y.shape == tuple(z.shape)
            assert error(y.data, z.detach().numpy()) <= bound
        recorded = [(y, z) for y, z in pairs if z.requires_grad]
        u = [np.asarray(np.random.default_rng(2).standard_normal(y.shape)) for y, _ in recorded]
        g = grad([y for y, _ in recorded], [x for x in leaves if x.requires_grad], u)
        inputs = [x for x in others if x.requires_grad]
        h = torch.autograd.grad([z for _, z in recorded], inputs, [torch.tensor(v) for v in u])
        for a, ref in zip(g, h, strict=True):
            assert error(a.data, ref.numpy()) <= bound

    return check
