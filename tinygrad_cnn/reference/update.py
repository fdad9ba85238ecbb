"""One step of each optimiser on one parameter, with the formulas of `torch.optim`.

w is the parameter and gw its gradient. Every function returns the new parameter and the new state and writes none of
its arguments. State starts as zeros, except for the momentum of SGD, which starts as None.
"""

from __future__ import annotations

import numpy as np

from tinygrad_cnn.reference.precision import in_float64


@in_float64
def sgd(
    w: np.ndarray,
    gw: np.ndarray,
    velocity: np.ndarray | None,
    lr: float,
    momentum: float,
    dampening: float,
    nesterov: bool,
    weight_decay: float,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Step down the gradient, with momentum.

        g = gw + weight_decay * w
        v = momentum * v + (1 - dampening) * g      (the very first v is g)
        w = w - lr * (g + momentum * v)  if nesterov,  else  w - lr * v

    Returns:
        The new w and velocity; with momentum 0, w - lr*g and None.

    >>> w, v = sgd(np.array([1.0]), np.array([2.0]), None, 0.1, 0.9, dampening=0.0, nesterov=False, weight_decay=0.0)
    >>> w, v
    (array([0.8]), array([2.]))
    """
    g = gw + weight_decay * w
    if momentum == 0:
        return w - lr * g, None
    v = g if velocity is None else momentum * velocity + (1 - dampening) * g
    return w - lr * (g + momentum * v if nesterov else v), v


@in_float64
def adam(
    w: np.ndarray,
    gw: np.ndarray,
    mean: np.ndarray,
    square: np.ndarray,
    step: int,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Step by the running mean of the gradient over the root of its running square.

        g = gw + weight_decay * w
        m = beta1 * m + (1 - beta1) * g
        s = beta2 * s + (1 - beta2) * g**2
        w = w - lr * m / (1 - beta1**step) / (sqrt(s / (1 - beta2**step)) + eps)

    The two divisions make up for the start at zero; `step` is 1 in the first step.
    (Kingma and Ba, 2015, https://arxiv.org/abs/1412.6980.)

    Returns:
        The new w, mean and square.

    >>> zero = np.zeros(1)
    >>> w, mean, square = adam(np.ones(1), np.array([4.0]), zero, zero, 1, 0.1, (0.5, 0.75), eps=0.0, weight_decay=0.0)
    >>> w, mean, square    # the first step has length lr, however large the gradient
    (array([0.9]), array([2.]), array([4.]))
    """
    beta1, beta2 = betas
    g = gw + weight_decay * w
    mean = beta1 * mean + (1 - beta1) * g
    square = beta2 * square + (1 - beta2) * g**2
    direction = mean / (1 - beta1**step) / (np.sqrt(square / (1 - beta2**step)) + eps)
    return w - lr * direction, mean, square


@in_float64
def adamw(
    w: np.ndarray,
    gw: np.ndarray,
    mean: np.ndarray,
    square: np.ndarray,
    step: int,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Shrink the parameter, then take a step of `adam`: the decay does not pass through the running averages.

        w = adam((1 - lr * weight_decay) * w, gw, ..., weight_decay=0)

    (Loshchilov and Hutter, 2019, https://arxiv.org/abs/1711.05101.)

    Returns:
        The new w, mean and square.

    >>> zero = np.zeros(1)
    >>> adamw(np.ones(1), zero, zero, zero, 1, 0.1, (0.9, 0.999), eps=1e-8, weight_decay=0.5)[0]
    array([0.95])
    """
    return adam((1 - lr * weight_decay) * w, gw, mean, square, step, lr, betas, eps, weight_decay=0)


@in_float64
def rmsprop(
    w: np.ndarray,
    gw: np.ndarray,
    square: np.ndarray,
    velocity: np.ndarray,
    mean: np.ndarray,
    lr: float,
    alpha: float,
    eps: float,
    weight_decay: float,
    momentum: float,
    centered: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Step by the gradient over the root of its running square.

        g = gw + weight_decay * w
        s = alpha * s + (1 - alpha) * g**2
        m = alpha * m + (1 - alpha) * g                         if centered, else unchanged
        d = g / (sqrt(s - m**2  if centered, else  s) + eps)
        v = momentum * v + d                                    if momentum > 0, else unchanged
        w = w - lr * (v  if momentum > 0, else  d)

    (Tieleman and Hinton, 2012, lecture 6.5 of "Neural Networks for Machine Learning"; centered: Graves, 2013,
    https://arxiv.org/abs/1308.0850.)

    Returns:
        The new w, square, velocity and mean.

    >>> zero = np.zeros(1)
    >>> rmsprop(np.ones(1), np.array([4.0]), zero, zero, zero, 0.1, 0.75, 0.0, 0.0, momentum=0.0, centered=False)[:2]
    (array([0.8]), array([4.]))
    """
    g = gw + weight_decay * w
    square = alpha * square + (1 - alpha) * g**2
    if centered:
        mean = alpha * mean + (1 - alpha) * g
    direction = g / (np.sqrt(square - mean**2 if centered else square) + eps)
    if momentum > 0:
        velocity = momentum * velocity + direction
    return w - lr * (velocity if momentum > 0 else direction), square, velocity, mean
