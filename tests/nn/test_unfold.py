from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import functional as F
from tinygrad_cnn import nn


def test_settings_reach_the_functions(rng: np.random.Generator) -> None:
    x, window = rng.standard_normal((2, 3, 6, 7)), ((2, 3), (1, 2), (1, 0), (2, 1))
    y = nn.Unfold(*window)(x)
    np.testing.assert_array_equal(y, F.unfold(x, *window))
    np.testing.assert_array_equal(nn.Fold((6, 7), *window)(y), F.fold(y, (6, 7), *window))


def test_named_as_in_torch(torch: Any) -> None:
    assert repr(nn.Unfold((2, 3), padding=1)) == repr(torch.nn.Unfold((2, 3), padding=1))
    assert repr(nn.Fold((4, 5), 2, stride=2)) == repr(torch.nn.Fold((4, 5), 2, stride=2))


def test_errors() -> None:
    with pytest.raises(ValueError, match="Unfold: kernel_size must be at least 1"):
        nn.Unfold(0)
    with pytest.raises(ValueError, match="Fold: output_size must be an int or a pair"):
        nn.Fold((1, 2, 3), 2)
