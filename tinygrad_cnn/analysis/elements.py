"""One number of a result, computed before one's eyes: which numbers went in, and what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from functools import singledispatch
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_cnn.autograd import Function
from tinygrad_cnn.functional.activation import LeakyReLU, LogSoftmax, ReLU, Sigmoid, Softmax, Tanh
from tinygrad_cnn.functional.conv import Conv2d
from tinygrad_cnn.functional.elementwise import Elementwise
from tinygrad_cnn.functional.linalg import Linear
from tinygrad_cnn.functional.loss import CrossEntropy
from tinygrad_cnn.functional.norm import BatchNorm, BatchNormFixed
from tinygrad_cnn.functional.pool import AvgPool2d, MaxPool2d

_LARGEST = 5  # terms of a sum that are shown
_PIXELS = 98  # numbers of a patch that are shown: two 7x7 squares

Index = tuple[int, ...]


@singledispatch
def element(function: Function, inputs: Sequence[Any], at: Index) -> str:
    """Return how one element of a result came about, as text; "" where the table has no entry for the operation.

    Args:
        function: the operation.
        inputs: its inputs: arrays, numbers or None.
        at: the index of the element.
    """
    return ""


@element.register(Elementwise)
@element.register(ReLU)
@element.register(LeakyReLU)
@element.register(Sigmoid)
@element.register(Tanh)
def _(function: Any, inputs: Sequence[Any], at: Index) -> str:
    shape = np.broadcast_shapes(*(np.shape(x) for x in inputs))
    values = [np.broadcast_to(np.asarray(x), shape)[at] for x in inputs]
    names = [f"{name}{_index(at)} = {_number(v)}" for name, v in zip(function.input_names, values, strict=False)]
    y = copy(function).forward(*(np.asarray(v)[None] for v in values))[0]  # a copy: forward may leave facts on itself
    return f"{', '.join(names)}  ->  y{_index(at)} = {_number(y)}"


@element.register
def _(function: Conv2d, inputs: Sequence[Any], at: Index) -> str:
    x, w, b = (*inputs, None)[:3]
    n, o, i, j = at
    patch = patch_at(x, w.shape, function.geometry, at)
    products = patch.astype(np.float64) * w[o]
    lines = [f"y[{n}, {o}, {i}, {j}]: the patch of x (channel, row, column), times filter {o}, summed"]
    for c, (pixels, taps) in enumerate(zip(patch, w[o], strict=True)):
        if patch.size <= _PIXELS:
            lines += [f"channel {c}:", *_beside(_square(pixels), _square(taps), _square(products[c]))]
    sums = products.sum((1, 2))
    if len(sums) > 1:
        lines.append("by channel: " + _terms(sums, lambda c: f"channel {c}"))
    bias = 0.0 if b is None else float(b[o])
    total = f"{_number(products.sum())} + b[{o}] {_number(bias)} = " if b is not None else ""
    return "\n".join([*lines, f"sum: {total}{_number(products.sum() + bias)}"])


def patch_at(x: ndarray, w_shape: tuple[int, ...], geometry: Any, at: Index) -> ndarray:
    """Return what a filter sees at an output (n, o, i, j): (C/groups, KH, KW), zeros where it is beyond the image."""
    n, o, *position = at
    channels = w_shape[1]
    group = o // (w_shape[0] // geometry.groups)
    patch = x[n, group * channels : (group + 1) * channels]
    for axis, (place, k) in enumerate(zip(position, w_shape[2:], strict=True)):
        stride, (before, _), step = (part[axis] for part in geometry[:3])
        rows = place * stride - before + step * np.arange(k)
        inside = (rows >= 0) & (rows < x.shape[2 + axis])
        mask = np.expand_dims(inside, [d for d in range(3) if d != axis + 1])
        patch = np.where(mask, np.take(patch, np.where(inside, rows, 0), axis + 1), 0)
    return patch


@element.register
def _(function: Linear, inputs: Sequence[Any], at: Index) -> str:
    x, w, b = (*inputs, None)[:3]
    *batch, o = at
    products = x[tuple(batch)].astype(np.float64) * w[o]
    bias = 0.0 if b is None else float(b[o])
    terms = _terms(products, lambda i: f"x{_index((*batch, i))} * w[{o}, {i}]")
    total = f"{_number(products.sum())} + b[{o}] {_number(bias)} = {_number(products.sum() + bias)}"
    return f"y{_index(at)} = {total}, a sum of {len(products)} products: {terms}"


@element.register
def _(function: MaxPool2d, inputs: Sequence[Any], at: Index) -> str:
    pixels, rows, columns = _window(function.window, inputs[0], at)
    p, q = np.unravel_index(np.argmax(np.where(np.isnan(pixels), np.inf, pixels)), pixels.shape)
    where = _index((*at[:-2], rows[p], columns[q]))
    return "\n".join([f"y{_index(at)} = {_number(pixels[p, q])}, which is x{where}, the largest of", *_square(pixels)])


@element.register
def _(function: AvgPool2d, inputs: Sequence[Any], at: Index) -> str:
    pixels, _, _ = _window(function.window, inputs[0], at)
    share = copy(function).forward(np.ones((1, 1, *inputs[0].shape[-2:])))[(0, 0, *at[-2:])]
    total, divisor = pixels.sum(dtype=np.float64), round(pixels.size / share)
    head = f"y{_index(at)} = {_number(total)} / {divisor} = {_number(total / divisor)}, the sum of"
    return "\n".join([head, *_square(pixels)])


@element.register(Softmax)
@element.register(LogSoftmax)
def _(function: Any, inputs: Sequence[Any], at: Index) -> str:
    axis, x = function.axis % len(at), inputs[0].astype(np.float64)
    scores = np.moveaxis(x, axis, -1)[at[:axis] + at[axis + 1 :]]
    powers = np.exp(scores - scores.max())
    p = powers[at[axis]] / powers.sum()
    ratio = f"e**{_number(scores[at[axis]])} / the sum of e**x over {len(scores)} of them = {_number(p)}"
    return f"y{_index(at)} = " + (ratio if isinstance(function, Softmax) else f"log({ratio}) = {_number(np.log(p))}")


@element.register
def _(function: CrossEntropy, inputs: Sequence[Any], at: Index) -> str:
    x, labels = inputs[0].astype(np.float64), np.asarray(inputs[1])
    if x.ndim != 2 or function.smoothing or inputs[2] is not None:
        return ""
    powers = np.exp(x - x.max(1, keepdims=True))
    p = (powers / powers.sum(1, keepdims=True))[np.arange(len(x)), np.where(labels < 0, 0, labels)]
    first = at[0] if at else 0
    shown = [
        f"image {n}: label {labels[n]}, its probability {_number(p[n])}, loss -log = {_number(-np.log(p[n]))}"
        for n in range(first, min(first + (1 if at else _LARGEST), len(x)))
    ]
    return "\n".join(shown + ["..."] * (not at and len(x) > _LARGEST))


@element.register(BatchNorm)
@element.register(BatchNormFixed)
def _(function: Any, inputs: Sequence[Any], at: Index) -> str:
    x, *rest = inputs
    c = at[1]
    if isinstance(function, BatchNorm):
        channel = np.moveaxis(x, 1, 0)[c].astype(np.float64)
        mean, var = channel.mean(), channel.var()
    else:
        mean, var = (float(v[c]) for v in rest[:2])
    gamma, beta = (float(v[c]) for v in rest[-2:])
    y = gamma * (x[at] - mean) / np.sqrt(var + function.eps) + beta
    numbers = [_number(v) for v in (gamma, x[at], mean, var, function.eps, beta, y)]
    return "y{} = {} * ({} - {}) / sqrt({} + {}) + {} = {}".format(_index(at), *numbers)


def _window(window: Any, x: ndarray, at: Index) -> tuple[ndarray, ndarray, ndarray]:
    """Return the pixels of a window that lie in the plane, with their rows and columns."""
    taps = []
    for axis, place in enumerate(at[-2:]):
        size, stride, (before, _), step = (part[axis] for part in window)
        all_of = place * stride - before + step * np.arange(size)
        taps.append(all_of[(all_of >= 0) & (all_of < x.shape[axis - 2])])
    return x[tuple(at[:-2])][np.ix_(*taps)], *taps


def _index(at: Sequence[Any]) -> str:
    return f"[{', '.join(map(str, at))}]" if at else ""


def _number(value: Any) -> str:
    return f"{float(value) + 0.0:.4g}"  # + 0: a product of 0 and -1 is -0


def _terms(terms: ndarray, name: Any) -> str:
    """Return the largest terms of a sum by name."""
    order = np.argsort(-abs(terms), kind="stable")[:_LARGEST]
    shown = ", ".join(f"{name(int(i))} = {_number(terms[i])}" for i in order)
    return f"the largest {shown}" if len(terms) > _LARGEST else shown


def _square(numbers: ndarray) -> list[str]:
    return [" ".join(f"{_number(v):>9}" for v in row) for row in numbers]


def _beside(x: list[str], w: list[str], products: list[str]) -> list[str]:
    heads = (f"{name:>{len(column[0])}}" for name, column in zip(("x", "w", "x * w"), (x, w, products), strict=True))
    return ["   |".join(heads), *("   |".join(row) for row in zip(x, w, products, strict=True))]
