from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn.reference import linear, matmul


def test_by_hand() -> None:
    a, b = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), np.array([[1.0, 10.0], [100.0, 1000.0]])
    assert matmul(a, b).tolist() == [[201, 2010], [403, 4030], [605, 6050]]
    assert linear(a[0], b, np.array([0.5, 0.25])).tolist() == [21.5, 2100.25]
    assert linear(a[0], b, None).tolist() == [21, 2100]


@pytest.mark.parametrize(
    ("a", "b"),
    [((3, 4), (4, 5)), ((2, 3, 4), (4, 5)), ((2, 1, 3, 4), (6, 4, 2)), ((3, 0), (0, 2)), ((0, 3), (3, 2))],
)
def test_matmul_equals_numpy(a: tuple, b: tuple, rng: np.random.Generator, agree: Callable[..., None]) -> None:
    left, right = rng.normal(size=a), rng.normal(size=b)
    agree(matmul(left, right), left @ right)


@pytest.mark.parametrize("rows", [(), (3,), (2, 3), (0,)])
def test_linear_equals_torch(rows: tuple, torch: Any, rng: np.random.Generator, agree: Callable[..., None]) -> None:
    x, w, b = rng.normal(size=(*rows, 4)), rng.normal(size=(5, 4)), rng.normal(size=5)
    agree(linear(x, w, b), torch.nn.functional.linear(*map(torch.tensor, (x, w, b))))


def test_float32_is_the_rounded_float64(rng: np.random.Generator) -> None:
    a, b = (rng.normal(size=shape).astype(np.float32) for shape in ((3, 70), (70, 2)))
    exact = matmul(a.astype(np.float64), b.astype(np.float64))
    assert matmul(a, b).dtype == np.float32
    assert (matmul(a, b) == exact.astype(np.float32)).all()
    assert (linear(a, b.T.copy(), None) == exact.astype(np.float32)).all()


def test_inner_sizes_must_agree() -> None:
    with pytest.raises(ValueError, match=r"differ, 3 and 2, in \(2, 3\) @ \(2, 4\)"):
        matmul(np.ones((2, 3)), np.ones((2, 4)))
