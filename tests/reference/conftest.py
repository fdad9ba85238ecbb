from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest


@pytest.fixture
def agree() -> Callable[..., None]:
    """Compare with an oracle (an array or a torch tensor): same shape, and max|a - ref| <= bound * max|ref|."""

    def compare(a: np.ndarray, oracle: Any, bound: float = 1e-10) -> None:
        ref = oracle.detach().numpy() if hasattr(oracle, "detach") else np.asarray(oracle)
        assert a.shape == ref.shape
        assert np.abs(a - ref).max(initial=0) <= bound * np.abs(ref).max(initial=0)

    return compare


@pytest.fixture
def slope() -> Callable[..., float]:
    """Return the derivative of f at x along a direction, by central differences."""

    def central(f: Callable[[np.ndarray], np.ndarray], x: np.ndarray, direction: np.ndarray, step: float) -> float:
        return float((f(x + step * direction) - f(x - step * direction)) / (2 * step))

    return central
