from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tinygrad_cnn import nn


@pytest.fixture
def trained() -> Callable[[nn.Module], nn.Module]:
    """Give batch normalisation statistics and weights that are not those of the beginning."""

    def spoil(model: nn.Module) -> nn.Module:
        rng = np.random.default_rng(3)
        for norm in model.modules():
            if hasattr(norm, "running_mean"):
                for name, low in (("running_mean", -1), ("running_var", 0.3), ("weight", -1), ("bias", -1)):
                    if (tensor := getattr(norm, name)) is not None:
                        tensor.data[...] = rng.uniform(low, 2, tensor.shape)
        return model

    return spoil
