"""Optimiser steps: one launch and one pass over memory for all parameters. The only kernels that write their arguments.

Parameters are separate arrays, and numba cannot compile for "a list of any length" without compiling again for each
length. So a kernel gets a table of *addresses*, one row for each parameter, and a table of *settings*, one row for each
parameter in its dtype. The elements of all parameters are counted through, and a piece of that count is a unit of work.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ctypes import addressof, c_char, c_double, c_float
from itertools import accumulate
from typing import Any

import numpy as np
from numba import carray, types
from numba.extending import intrinsic, overload
from numpy import ndarray

from tinygrad_cnn.kernels.compile import Kernel, device, kernel
from tinygrad_cnn.kernels.threads import split

Arrays = Sequence[ndarray]
# A hyper-parameter: one number, or one for each parameter, so that parameter groups share a launch.
Number = float | Sequence[float] | ndarray


def array_at(address: int, length: int, like: ndarray) -> ndarray:
    """Return the 1-d array of ``length`` numbers of the dtype of ``like`` that starts at an address."""
    number = c_float if like.dtype == np.float32 else c_double
    return np.ctypeslib.as_array((number * length).from_address(int(address)))


@intrinsic
def _pointer(typing_context: Any, address: Any, like: Any) -> Any:
    pointer = types.CPointer(like.dtype)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], context.get_value_type(pointer))

    return pointer(address, like), generate


@overload(array_at)
def _array_at(address: Any, length: Any, like: Any) -> Callable[..., Any]:
    def view(address: Any, length: Any, like: Any) -> Any:
        return carray(_pointer(address, like), length)  # type: ignore[call-arg]

    return view


@device
def _part(like: ndarray, address: int, ends: ndarray, p: int, start: int, stop: int) -> ndarray:
    """Return the part of parameter p's array that lies in start..stop of the count through all parameters."""
    first = max(start, ends[p])
    length = max(0, min(stop, ends[p + 1]) - first)
    return array_at(address + (first - ends[p]) * like.itemsize, length, like)


def _contiguous(arrays: Arrays) -> Arrays:
    return [np.asarray(x, order="C") for x in arrays]


def _address(name: str, x: ndarray) -> int:
    """Return where the memory of an array begins; all but gradients will be written."""
    if x.flags.carray:
        return addressof(c_char.from_buffer(x))  # four times as fast as x.ctypes.data
    if name == "gradient":
        return x.ctypes.data
    raise ValueError(
        f"optimiser step: a {name} of shape {x.shape} is read-only or not C-contiguous and cannot be updated in place; "
        "give the parameter a copy of its data: p.data = p.data.copy(order='C')"
    )


def _launch(unit: Kernel, settings: tuple[Any, ...], arrays: dict[str, Arrays], *flags: bool) -> None:
    """Run an optimiser kernel; ``arrays`` are the gradients, the parameters and their state, all of one dtype."""
    parameters = arrays["parameter"]
    if not parameters:
        return
    count, dtype, shapes = len(parameters), parameters[0].dtype, [p.shape for p in parameters]
    for name, group in arrays.items():
        if [x.shape for x in group] != shapes or [x.dtype for x in group] != [dtype] * count:
            pairs = zip(parameters, group, strict=True)
            p, x = next((p, x) for p, x in pairs if x.shape != p.shape or x.dtype != dtype)
            raise ValueError(
                f"optimiser step: a parameter of shape {p.shape} comes with a {name} of shape {x.shape} and dtype "
                f"{x.dtype}; it must have the shape of its parameter, and all arrays of a launch one dtype, {dtype}"
            )
    table = np.empty((count, len(settings)), dtype)
    for column, value in enumerate(settings):
        table[:, column] = value
    addresses = [[_address(name, x) if x.size else 0 for x in group] for name, group in arrays.items()]
    ends = [0, *accumulate([p.size for p in parameters])]
    split(unit, ends[-1], table, np.array(addresses), np.array(ends), *flags, work=ends[-1])


def _chosen(which: bool | Sequence[bool], yes: Number, no: Number) -> Number:
    """Return ``yes`` where ``which`` holds, for one or for each parameter."""
    return np.where(which, yes, no) if not isinstance(which, bool) else yes if which else no


@kernel(writes="")
def _plain_sgd(settings: ndarray, addresses: ndarray, ends: ndarray, start: int, stop: int) -> None:
    for p in range(len(settings)):
        g = _part(settings, addresses[0, p], ends, p, start, stop)
        w = _part(settings, addresses[1, p], ends, p, start, stop)
        rate, decay = settings[p, 0], settings[p, 1]
        for i in range(len(w)):
            w[i] -= rate * (g[i] + decay * w[i])


@kernel(writes="")
def _momentum_sgd(settings: ndarray, addresses: ndarray, ends: ndarray, start: int, stop: int) -> None:
    for p in range(len(settings)):
        g = _part(settings, addresses[0, p], ends, p, start, stop)
        w = _part(settings, addresses[1, p], ends, p, start, stop)
        v = _part(settings, addresses[2, p], ends, p, start, stop)
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
    arrays = {"gradient": _contiguous(gradients), "parameter": parameters}
    if velocities is None:
        _launch(_plain_sgd, (lr, weight_decay), arrays)
        return
    keep, take = _chosen(first, 0, momentum), _chosen(first, 1, np.subtract(1, dampening))
    of_gradient, of_velocity = _chosen(nesterov, 1, 0), _chosen(nesterov, momentum, 1)
    settings = lr, weight_decay, keep, take, of_gradient, of_velocity
    _launch(_momentum_sgd, settings, arrays | {"velocity": velocities})


@kernel(writes="")
def _adam(settings: ndarray, addresses: ndarray, ends: ndarray, start: int, stop: int) -> None:
    for p in range(len(settings)):
        g = _part(settings, addresses[0, p], ends, p, start, stop)
        w = _part(settings, addresses[1, p], ends, p, start, stop)
        mean = _part(settings, addresses[2, p], ends, p, start, stop)
        square = _part(settings, addresses[3, p], ends, p, start, stop)
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
    shrink = 1 - np.asarray(lr) * np.asarray(weight_decay)
    _step_adam(parameters, gradients, means, squares, step, lr, betas, eps, 0, shrink)


def _step_adam(
    parameters: Arrays, gradients: Arrays, means: Arrays, squares: Arrays, step: int | Sequence[int], lr: Number,
    betas: tuple[Number, Number], eps: Number, decay: Number, shrink: Number,
) -> None:  # fmt: skip
    beta1, beta2 = np.asarray(betas[0], np.float64), np.asarray(betas[1], np.float64)
    rate, root = lr / (1 - beta1 ** np.asarray(step)), np.sqrt(1 - beta2 ** np.asarray(step))
    settings = rate, root, eps, 1 - beta1, beta2, 1 - beta2, decay, shrink
    arrays = {"gradient": _contiguous(gradients), "parameter": parameters, "mean": means, "square": squares}
    _launch(_adam, settings, arrays)


@kernel(writes="")
def _rmsprop(
    settings: ndarray, addresses: ndarray, ends: ndarray, centered: bool, moving: bool, start: int, stop: int
) -> None:
    for p in range(len(settings)):
        g = _part(settings, addresses[0, p], ends, p, start, stop)
        w = _part(settings, addresses[1, p], ends, p, start, stop)
        square = _part(settings, addresses[2, p], ends, p, start, stop)
        velocity = _part(settings, addresses[3, p], ends, p, start, stop)
        mean = _part(settings, addresses[4, p], ends, p, start, stop)
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
    arrays = {"gradient": _contiguous(gradients), "parameter": parameters, "square": squares}
    absent = squares  # any address will do: the kernel never follows it
    arrays["velocity"] = absent if velocities is None else velocities
    arrays["mean"] = absent if means is None else means
    alpha = np.asarray(alpha, np.float64)
    settings = lr, alpha, 1 - alpha, eps, weight_decay, momentum
    _launch(_rmsprop, settings, arrays, centered, velocities is not None)
