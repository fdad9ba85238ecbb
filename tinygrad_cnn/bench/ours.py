"""Our side of the rows. Each function builds what a row needs and returns the step that is timed.

peer.py has the same functions in PyTorch: the same work, in the same order, on the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_cnn import Tensor, no_grad, optim
from tinygrad_cnn import functional as F
from tinygrad_cnn.functional.conv import Conv2dInputGrad, Conv2dWeightGrad, conv_geometry
from tinygrad_cnn.models import LeNet5

Step = Callable[[], Any]


def add(count: int) -> Step:
    """Add two small tensors that require gradients, ``count`` times."""
    a, b = Tensor(_random(4, 4), requires_grad=True), Tensor(_random(4, 4), requires_grad=True)

    def step() -> Tensor:
        for _ in range(count):
            y = a + b
        return y

    return step


def chain(length: int) -> Step:
    """Add a constant ``length`` times, and go back."""
    a, b = Tensor(_random(4, 4), requires_grad=True), Tensor(_random(4, 4))

    def step() -> Tensor | None:
        a.grad = None
        y = a
        for _ in range(length):
            y = y + b
        y.sum().backward()
        return a.grad

    return step


def lenet_training(batch: int) -> Step:
    """Forward, cross-entropy, backward and a step of SGD with momentum."""
    model = LeNet5()
    # So small a learning rate that the weights stay where they are, however long one batch is trained on.
    optimizer = optim.SGD(model.parameters(), lr=1e-6, momentum=0.9)
    x, labels = Tensor(_random(batch, 1, 28, 28)), Tensor(np.arange(batch) % 10)

    def step() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        return loss

    return step


def lenet_inference(batch: int) -> Step:
    """Scores, without recording."""
    model = LeNet5().eval()
    x = Tensor(_random(batch, 1, 28, 28))

    def step() -> Tensor:
        with no_grad():
            return model(x)

    return step


def convolution(face: str, image: tuple[int, ...], filters: tuple[int, ...], padding: int) -> Step:
    """One face of a convolution: forward, input-grad or weight-grad."""
    x, w, b = _random(*image), _random(*filters), _random(filters[0])
    y = F.conv2d(x, w, b, padding=padding)
    gy = _random(*y.shape)
    geometry = conv_geometry("conv2d", (filters[2], filters[3]), 1, padding, 1, 1)
    return {
        "forward": lambda: F.conv2d(x, w, b, padding=padding),
        "input-grad": lambda: Conv2dInputGrad(geometry, x.shape).apply(gy, w),
        "weight-grad": lambda: Conv2dWeightGrad(geometry, w.shape).apply(gy, x),
    }[face]


def _random(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape, np.float32)
