"""Optimiser steps: one launch and one pass over memory for all parameters. The only kernels that write their arguments.

Row p of the settings holds the hyper-parameters of parameter p; addresses[0, p] is where its gradient lies,
addresses[1, p] the parameter itself, and the rows after that what is kept for it (addresses.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_cnn.kernels.addresses import Arrays, launch, part
from tinygrad_cnn.kernels.compile import kernel

# A hyper-parameter: one number, or one for each parameter, so that parameter groups share a launch.
Number = float | Sequence[float] | ndarray


def _chosen(which: bool | Sequence[bool], yes: Number, no: Number) -> Number:
    """Return ``yes`` where ``which`` holds, for one or for each parameter."""
    return np.where(which, yes, no) if not isinstance(which, bool) else yes if which else no


def _number(value: Any) -> Any:
    """Return a number to calculate with: Python's own, or float64 numbers, one for each parameter."""
    return float(value) if isinstance(value, (int, float)) else np.asarray(value, np.float64)


@kernel(writes="")
def _plain_sgd(settings: ndarray, addresses: ndarray, spans: ndarray, start: int, stop: int) -> None:
    for p in range(len(settings)):
        g = part(settings, addresses[0, p], spans, p, start, stop)
        w = part(settings, addresses[1, p], spans, p, start, stop)
        rate, decay = settings[p, 0], settings[p, 1]
        for i in range(len(w)):
            w[i] -= rate * (g[i] + decay * w[i])


@kernel(writes="")
def _momentum_sgd(settings: ndarray, addresses: ndarray, spans: ndarray, start: int, stop: int) -> None:
    for p in range(len(settings)):
        g = part(settings, addresses[0, p], spans, p, start, stop)
        w = part(settings, addresses[1, p], spans, p, start, stop)
        v = part(settings, addresses[2, p], spans, p, start, stop)
        rate, decay, keep, take = settings[p, 0], settings[p, 1], settings[p, 2], settings[p, 3]
        of_gradient, of_velocity = settings[p, 4], settings[p, 5]
        for i in range(len(w)):
            gradient = g[i] + decay * w[i]
            v[i] = keep * v[i] + take * gradient
            w[i] -= rate * (of_gradient * gradient + of_velocity * v[i])


def sgd(
    parameters: Arrays,
    gradients: Arrays,
    velocities: Arrays | None,
    lr: Number,
    momentum: Number,
    dampening: Number,
    nesterov: bool | Sequence[bool],
    weight_decay: Number,
    first: bool | Sequence[bool] = False,
) -> None:
    """Step down the gradient, with momentum; write parameters and velocities.

        g = gradient + weight_decay * w
        v = momentum * v + (1 - dampening) * g      (v = g in the first step of a parameter)
        w = w - lr * (g + momentum * v)  if nesterov,  else  w - lr * v

    Args:
        parameters: C-contiguous arrays of one dtype, written.
        gradients: one for each parameter.
        velocities: one for each parameter, zeros at first, written; None for steps without momentum.
        lr: the learning rate; like all that follow one value, or one for each parameter.
        momentum: how much of the velocity is kept.
        dampening: the share of the gradient that does not enter the velocity.
        nesterov: whether to look one step of the velocity ahead.
        weight_decay: how much of the parameter is added to its gradient.
        first: whether this is a parameter's first step.

    >>> w = np.array([1.0]); sgd([w], [np.array([2.0])], None, 0.1, 0.0, 0.0, False, 0.0); w
    array([0.8])
    """
    if velocities is None:
        launch(_plain_sgd, (lr, weight_decay), gradients, {"parameter": parameters})
        return
    kept = 1 - _number(dampening)
    keep, take = _chosen(first, 0, momentum), _chosen(first, 1, kept)
    of_gradient, of_velocity = _chosen(nesterov, 1, 0), _chosen(nesterov, momentum, 1)
    settings = lr, weight_decay, keep, take, of_gradient, of_velocity
    launch(_momentum_sgd, settings, gradients, {"parameter": parameters, "velocity": velocities})


@kernel(writes="")
def _adam(settings: ndarray, addresses: ndarray, spans: ndarray, start: int, stop: int) -> None:
    for p in range(len(settings)):
        g = part(settings, addresses[0, p], spans, p, start, stop)
        w = part(settings, addresses[1, p], spans, p, start, stop)
        mean = part(settings, addresses[2, p], spans, p, start, stop)
        square = part(settings, addresses[3, p], spans, p, start, stop)
        rate, root, eps = settings[p, 0], settings[p, 1], settings[p, 2]
        take_mean, keep_square, take_square = settings[p, 3], settings[p, 4], settings[p, 5]
        decay, shrink = settings[p, 6], settings[p, 7]
        for i in range(len(w)):
            gradient = g[i] + decay * w[i]
            mean[i] += take_mean * (gradient - mean[i])
            square[i] = keep_square * square[i] + take_square * gradient * gradient
            w[i] = shrink * w[i] - rate * (mean[i] / (np.sqrt(square[i]) / root + eps))


def adam(
    parameters: Arrays,
    gradients: Arrays,
    means: Arrays,
    squares: Arrays,
    step: int | Sequence[int],
    lr: Number,
    betas: tuple[Number, Number],
    eps: Number,
    weight_decay: Number,
) -> None:
    """Step by the running mean of the gradient over the root of its running square; write parameters and state.

        g = gradient + weight_decay * w
        m = beta1 * m + (1 - beta1) * g
        s = beta2 * s + (1 - beta2) * g**2
        w = w - lr / (1 - beta1**step) * m / (sqrt(s) / sqrt(1 - beta2**step) + eps)

    ``step`` is 1 in the first step; it and the hyper-parameters are one number each, or one per parameter.
    Source: Kingma and Ba, "Adam" (2015), https://arxiv.org/abs/1412.6980; the order of operations is torch's.
    """
    _step_adam(parameters, gradients, means, squares, step, lr, betas, eps, weight_decay, 1)


def adamw(
    parameters: Arrays,
    gradients: Arrays,
    means: Arrays,
    squares: Arrays,
    step: int | Sequence[int],
    lr: Number,
    betas: tuple[Number, Number],
    eps: Number,
    weight_decay: Number,
) -> None:
    """Shrink the parameters by 1 - lr * weight_decay, then take a step of `adam` without decay.

    Source: Loshchilov and Hutter, "Decoupled weight decay regularization" (2019), https://arxiv.org/abs/1711.05101.
    """
    shrink = 1 - _number(lr) * _number(weight_decay)
    _step_adam(parameters, gradients, means, squares, step, lr, betas, eps, 0, shrink)


def _step_adam(
    parameters: Arrays, gradients: Arrays, means: Arrays, squares: Arrays, step: int | Sequence[int], lr: Number,
    betas: tuple[Number, Number], eps: Number, decay: Number, shrink: Number,
) -> None:  # fmt: skip
    beta1, beta2 = _number(betas[0]), _number(betas[1])
    rate, root = _number(lr) / (1 - beta1 ** _number(step)), np.sqrt(1 - beta2 ** _number(step))
    settings = rate, root, eps, 1 - beta1, beta2, 1 - beta2, decay, shrink
    launch(_adam, settings, gradients, {"parameter": parameters, "mean": means, "square": squares})


@kernel(writes="")
def _rmsprop(
    settings: ndarray, addresses: ndarray, spans: ndarray, centered: bool, moving: bool, start: int, stop: int
) -> None:
    for p in range(len(settings)):
        g = part(settings, addresses[0, p], spans, p, start, stop)
        w = part(settings, addresses[1, p], spans, p, start, stop)
        square = part(settings, addresses[2, p], spans, p, start, stop)
        velocity = part(settings, addresses[3, p], spans, p, start, stop)
        mean = part(settings, addresses[4, p], spans, p, start, stop)
        rate, keep, take, eps = settings[p, 0], settings[p, 1], settings[p, 2], settings[p, 3]
        decay, momentum = settings[p, 4], settings[p, 5]
        for i in range(len(w)):
            gradient = g[i] + decay * w[i]
            square[i] = keep * square[i] + take * gradient * gradient
            spread = square[i]
            if centered:
                mean[i] += take * (gradient - mean[i])
                spread -= mean[i] * mean[i]
            direction = gradient / (np.sqrt(spread) + eps)
            if moving:
                velocity[i] = momentum * velocity[i] + direction
                direction = velocity[i]
            w[i] -= rate * direction


def rmsprop(
    parameters: Arrays,
    gradients: Arrays,
    squares: Arrays,
    velocities: Arrays | None,
    means: Arrays | None,
    lr: Number,
    alpha: Number,
    eps: Number,
    weight_decay: Number,
    momentum: Number,
    centered: bool,
) -> None:
    """Step by the gradient over the root of its running square; write parameters and state.

        g = gradient + weight_decay * w
        s = alpha * s + (1 - alpha) * g**2
        m = alpha * m + (1 - alpha) * g                           if centered
        d = g / (sqrt(s - m**2  if centered, else  s) + eps)
        v = momentum * v + d
        w = w - lr * v

    State starts as zeros. Velocities may be None where momentum is 0, means where centered is False.
    Source: Tieleman and Hinton (2012), lecture 6.5 of "Neural Networks for Machine Learning".
    """
    if centered and means is None:
        raise ValueError("rmsprop: centered=True keeps a running mean of every gradient; give the arrays as means")
    absent = squares  # any address will do: the kernel never follows it
    written = {"parameter": parameters, "square": squares}
    written |= {"velocity": absent if velocities is None else velocities, "mean": absent if means is None else means}
    settings = lr, alpha, 1 - _number(alpha), eps, weight_decay, momentum
    launch(_rmsprop, settings, gradients, written, centered, velocities is not None)
