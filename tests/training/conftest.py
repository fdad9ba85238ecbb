from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import manual_seed, nn, optim
from tinygrad_cnn.data import DataLoader, synthetic_digits


@pytest.fixture
def parts():
    """Return a function that builds the same small training set-up again and again."""

    def build(images: int = 48, batch_size: int = 16) -> dict[str, Any]:
        manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10), nn.Dropout(0.2))
        optimizer = optim.Adam(model.parameters(), lr=1e-3)
        loader = DataLoader(synthetic_digits(images), batch_size, shuffle=True)
        scheduler = optim.StepLR(optimizer, 4, 0.5)
        return {"model": model, "optimizer": optimizer, "scheduler": scheduler, "loader": loader}

    return build


@pytest.fixture
def bits():
    """Return a function that gives the bytes of a model's state."""
    return lambda model: b"".join(np.ascontiguousarray(a).tobytes() for a in model.state_dict().values())
