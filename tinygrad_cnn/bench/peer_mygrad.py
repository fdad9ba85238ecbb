"""MyGrad's side of LeNet-5's training step, with the layers of mygrad.nnet."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np


def training(net: str, batch: int) -> Callable[[], Any]:
    """Forward, cross-entropy, backward and a step of SGD with momentum."""
    if net != "lenet":
        raise ValueError(f"peer_mygrad: only lenet is written for MyGrad, got {net!r}")
    mygrad = import_module("mygrad")
    layers = import_module("mygrad.nnet.layers")
    relu = import_module("mygrad.nnet.activations").relu
    softmax_crossentropy = import_module("mygrad.nnet.losses").softmax_crossentropy
    rng = np.random.default_rng(0)
    shapes = (6, 1, 5, 5), (6, 1, 1), (16, 6, 5, 5), (16, 1, 1), (400, 120), 120, (120, 84), 84, (84, 10), 10
    weights = [mygrad.tensor(rng.standard_normal(shape, np.float32) * np.float32(0.1)) for shape in shapes]
    velocities = [np.zeros_like(w.data) for w in weights]
    x = rng.standard_normal((batch, 1, 28, 28), np.float32)
    labels = np.arange(batch) % 10

    def convolution(x: Any, w: Any, b: Any, padding: int) -> Any:
        return layers.max_pool(relu(layers.conv_nd(x, w, stride=1, padding=padding) + b), (2, 2), 2)

    def step() -> Any:
        w1, b1, w2, b2, *linears, w, b = weights
        h = convolution(convolution(x, w1, b1, 2), w2, b2, 0).reshape(batch, -1)
        for w3, b3 in zip(linears[::2], linears[1::2], strict=True):
            h = relu(h @ w3 + b3)
        value = softmax_crossentropy(h @ w + b, labels)
        value.backward()
        for p, v in zip(weights, velocities, strict=True):
            v *= 0.9
            v += p.grad
            p.data -= 1e-6 * v
        return value

    return step
