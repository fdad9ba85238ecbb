"""JAX's side of LeNet-5's training step: one jitted function, as its own examples are written."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np


def training(net: str, batch: int) -> Callable[[], Any]:
    """Forward, cross-entropy, backward and a step of SGD with momentum."""
    if net != "lenet":
        raise ValueError(f"peer_jax: only lenet is written for JAX, got {net!r}")
    jax = import_module("jax")
    jnp, lax = jax.numpy, jax.lax
    rng = np.random.default_rng(0)
    shapes = (6, 1, 5, 5), (16, 6, 5, 5), (400, 120), (120, 84), (84, 10)
    biases = 6, 16, 120, 84, 10
    weights = [
        (jnp.asarray(rng.standard_normal(w, np.float32) * 0.1), jnp.zeros(b))
        for w, b in zip(shapes, biases, strict=True)
    ]
    x = jnp.asarray(rng.standard_normal((batch, 1, 28, 28), np.float32))
    labels = jnp.arange(batch) % 10

    def convolution(x: Any, padding: int, w: Any, b: Any) -> Any:
        y = lax.conv_general_dilated(x, w, (1, 1), [(padding, padding)] * 2) + b[:, None, None]
        return lax.reduce_window(jax.nn.relu(y), -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")

    def loss(weights: Any, x: Any, labels: Any) -> Any:
        first, second, *linears, (w, b) = weights
        x = convolution(convolution(x, 2, *first), 0, *second).reshape(batch, -1)
        for w1, b1 in linears:
            x = jax.nn.relu(x @ w1 + b1)
        return -jnp.take_along_axis(jax.nn.log_softmax(x @ w + b), labels[:, None], 1).mean()

    @jax.jit
    def update(weights: Any, velocities: Any, x: Any, labels: Any) -> Any:
        value, gradients = jax.value_and_grad(loss)(weights, x, labels)
        velocities = jax.tree.map(lambda v, g: 0.9 * v + g, velocities, gradients)
        return jax.tree.map(lambda w, v: w - 1e-6 * v, weights, velocities), velocities, value

    velocities = jax.tree.map(jnp.zeros_like, weights)

    def step() -> Any:
        nonlocal weights, velocities
        weights, velocities, value = update(weights, velocities, x, labels)
        return value.block_until_ready()

    return step
