from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import reference


def test_by_hand(agree: Callable[..., None]) -> None:
    x, index = np.array([[[1.0, 2.0, 4.0]]]), np.array([[[0, 2], [1, -1]]])
    w, gy = np.array([[[1.0, 0.5], [3.0, 9.0]]]), np.array([[[10.0, 100.0]]])
    agree(reference.sample(x, index, w), [[[7, 2]]])
    agree(reference.sample_input_grad(gy, index, w, 3), [[[10, 30, 50]]])
    agree(reference.sample_weight_grad(gy, x, index), [[[10, 400], [20, 0]]])
    image, corner = np.array([[[[1.0, 2.0], [3.0, 6.0]]]]), np.array([[[[1.0, 1.0]]]])
    agree(reference.grid_sample(image, corner, "bilinear", "zeros", True), [[[[6]]]])
    agree(reference.grid_sample(image, corner, "bilinear", "zeros", False), [[[[1.5]]]])
    agree(reference.grid_sample(image, corner, "bilinear", "border", False), [[[[6]]]])


@pytest.mark.parametrize("options", list(product(("bilinear", "nearest"), ("zeros", "border"), (False, True))))
def test_equal_to_torch(options: Any, rng: np.random.Generator, agree: Callable[..., None], torch: Any) -> None:
    x, grid = rng.standard_normal((2, 3, 4, 5)), rng.uniform(-1.3, 1.3, (2, 6, 3, 2))
    wanted = torch.nn.functional.grid_sample(torch.tensor(x), torch.tensor(grid), *options)
    agree(reference.grid_sample(x, grid, *options), wanted)
