from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import reference


def test_by_hand(agree: Callable[..., None]) -> None:
    x = np.array([[[[0.0, 2.0], [4.0, 6.0]]]])
    agree(reference.interpolate(x, (2, 4), "nearest"), [[[[0, 0, 2, 2], [4, 4, 6, 6]]]])
    agree(reference.interpolate(x, (3, 3), "bilinear", True), [[[[0, 1, 2], [2, 3, 4], [4, 5, 6]]]])
    agree(reference.interpolate(x, (1, 1), "bicubic"), [[[[3]]]])
    sums = reference.resize(
        x[0], np.array([[0], [1]]), np.array([[1.0], [2.0]]), np.array([[1], [-1]]), np.ones((2, 1))
    )
    agree(sums, [[[2 + 2 * 6]]])


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "bilinear", "bicubic"])
def test_equal_to_torch(mode: str, rng: np.random.Generator, agree: Callable[..., None], torch: Any) -> None:
    x = rng.standard_normal((2, 3, 5, 4))
    for size in ((7, 9), (2, 3), (1, 8)):
        for align in (None,) if mode.startswith("nearest") else (False, True):
            wanted = torch.nn.functional.interpolate(torch.tensor(x), size, mode=mode, align_corners=align)
            agree(reference.interpolate(x, size, mode, bool(align)), wanted)
