from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import numpy as np
import pytest

from tinygrad_cnn import Tensor, nn
from tinygrad_cnn import functional as F
from tinygrad_cnn.autograd import version
from tinygrad_cnn.state import generator_state, recording


class Net(nn.Module):
    """Normalisation, dropout, a branch, functions, global average pooling and one last layer."""

    def __init__(self) -> None:
        generator = np.random.default_rng(0)
        self.conv = nn.Sequential(
            nn.Conv2d(2, 6, 3, padding=1, generator=generator), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout()
        )
        self.branch = nn.Conv2d(6, 6, 3, padding=1, generator=generator)
        self.act = nn.ReLU()
        self.pool = nn.MaxPool2d(2)
        self.head = nn.Linear(6, 4, generator=generator)

    def forward(self, x):
        x = self.conv(x)
        x = self.pool(self.act(self.branch(x) + x))
        return self.head(F.dropout(x.mean((2, 3)), training=self.training))


@pytest.fixture(params=[np.float64, np.float32], ids=["float64", "float32"])
def dtype(request) -> type:
    return request.param


@pytest.fixture
def model(dtype: type) -> nn.Module:
    """A network in training mode but for one part, with a frozen parameter, a gradient, and statistics of its own."""
    model = Net()
    model.double() if dtype is np.float64 else model.float()
    model(Tensor(np.random.default_rng(1).standard_normal((8, 2, 8, 6)).astype(dtype)))
    model.branch.eval()
    model.branch.bias.requires_grad_(False)
    model.head.bias.grad = np.ones(4, dtype)
    return model


@pytest.fixture
def x(dtype: type) -> np.ndarray:
    return np.random.default_rng(2).standard_normal((3, 2, 8, 6)).astype(dtype)


@pytest.fixture
def untouched() -> Callable[[nn.Module], AbstractContextManager[None]]:
    """Return a check that a block leaves a model, the generator and the engine as they were, to the bit."""

    def state(model: nn.Module) -> list[object]:
        tensors = dict([*model.named_parameters(), *model.named_buffers()])
        return [
            {name: (id(t), t.data.tobytes(), t.requires_grad) for name, t in tensors.items()},
            {name: None if p.grad is None else p.grad.data.tobytes() for name, p in model.named_parameters()},
            {name: module.training for name, module in model.named_modules()},
            {name: set(vars(module)) - {"training", "_names"} for name, module in model.named_modules()},
            generator_state(),
            recording.get(),
            list(version.watchers),
        ]

    @contextmanager
    def check(model: nn.Module) -> Iterator[None]:
        before = state(model)
        yield
        assert state(model) == before

    return check
