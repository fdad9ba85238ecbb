from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinygrad_cnn.kernels.compile import Kernel

# An argument of a type for which a kernel was not compiled is an error in every test, not memory that is misread.
Kernel.checked = True


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def torch() -> Any:
    return pytest.importorskip("torch")
