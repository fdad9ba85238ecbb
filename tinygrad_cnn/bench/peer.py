"""PyTorch's side of the rows, function by function as in ours.py.

PyTorch is imported when a row is built, and this file imports nothing of ours: its process must be PyTorch's alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Step = Callable[[], Any]


def add(count: int) -> Step:
    """Add two small tensors that require gradients, ``count`` times."""
    a, b = _random(4, 4).requires_grad_(), _random(4, 4).requires_grad_()

    def step() -> Any:
        for _ in range(count):
            y = a + b
        return y

    return step


def chain(length: int) -> Step:
    """Add a constant ``length`` times, and go back."""
    a, b = _random(4, 4).requires_grad_(), _random(4, 4)

    def step() -> Any:
        a.grad = None
        y = a
        for _ in range(length):
            y = y + b
        y.sum().backward()
        return a.grad

    return step


def lenet_training(batch: int) -> Step:
    """Forward, cross-entropy, backward and a step of SGD with momentum."""
    import torch
    from torch.nn import functional as F

    model = _lenet()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6, momentum=0.9)
    x, labels = _random(batch, 1, 28, 28), torch.arange(batch) % 10

    def step() -> Any:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        return loss

    return step


def lenet_inference(batch: int) -> Step:
    """Scores, without recording."""
    import torch

    model = _lenet().eval()
    x = _random(batch, 1, 28, 28)

    def step() -> Any:
        with torch.no_grad():
            return model(x)

    return step


def convolution(face: str, image: tuple[int, ...], filters: tuple[int, ...], padding: int) -> Step:
    """One face of a convolution: forward, input-grad or weight-grad."""
    from torch.nn import functional as F
    from torch.nn import grad

    x, w, b = _random(*image), _random(*filters), _random(filters[0])
    y = F.conv2d(x, w, b, padding=padding)
    gy = _random(*y.shape)
    return {
        "forward": lambda: F.conv2d(x, w, b, padding=padding),
        "input-grad": lambda: grad.conv2d_input(x.shape, w, gy, padding=padding),
        "weight-grad": lambda: grad.conv2d_weight(x, w.shape, gy, padding=padding),
    }[face]


def _random(*shape: int) -> Any:
    import torch

    return torch.from_numpy(np.random.default_rng(0).standard_normal(shape, np.float32))


def _lenet() -> Any:
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip
