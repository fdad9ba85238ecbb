from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import reference

THEIRS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "celu": ((0.7,), {}),
    "elu": ((1.5,), {}),
    "gelu": (("none",), {"approximate": "none"}),
    "hardsigmoid": ((), {}),
    "hardswish": ((), {}),
    "hardtanh": ((-0.5, 2.0), {}),
    "logsigmoid": ((), {}),
    "mish": ((), {}),
    "selu": ((), {}),
    "silu": ((), {}),
    "softplus": ((0.5, 3.0), {}),
    "softsign": ((), {}),
}


@pytest.mark.parametrize("name", THEIRS)
def test_equals_torch(name: str, rng: np.random.Generator, torch: Any, agree: Callable[..., None]) -> None:
    args, named = THEIRS[name]
    x = rng.uniform(-8, 8, (20, 6))
    x[0] = [-3, 3, 0, 6, -0.5, 2]
    theirs = getattr(torch.nn.functional, name)(torch.tensor(x), *(() if named else args), **named)
    agree(getattr(reference, name)(x, *args), theirs)


def test_gelu_with_tanh_equals_torch(rng: np.random.Generator, torch: Any, agree: Callable[..., None]) -> None:
    x = rng.uniform(-8, 8, (20, 6))
    agree(reference.gelu(x, "tanh"), torch.nn.functional.gelu(torch.tensor(x), approximate="tanh"))


def test_known_values() -> None:
    one = np.array([1.0])
    np.testing.assert_allclose(reference.silu(one), 0.7310585786300049)
    np.testing.assert_allclose(reference.gelu(one, "none"), 0.8413447460685429)
    np.testing.assert_allclose(reference.mish(one), 0.8650983882673103)
    np.testing.assert_allclose(reference.softplus(one, 1.0, 20.0), 1.3132616875182228)
    np.testing.assert_allclose(reference.selu(-one), -1.1113307378125625)
    assert reference.silu(one.astype(np.float32)).dtype == np.float32
