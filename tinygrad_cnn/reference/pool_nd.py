"""Pooling along any number of axes: every window, every tap, and a test whether it lies inside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from math import prod
from typing import Any

import numpy as np

from tinygrad_cnn.reference.precision import in_float64

Shape = tuple[int, ...]


@in_float64
def max_pool_nd(
    x: np.ndarray,
    size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    out_size: Shape,
) -> tuple[np.ndarray, np.ndarray]:
    """Take the largest pixel of every window of x (N, C, ...), and its place in the flat image.

    >>> max_pool_nd(np.array([[[1.0, 5.0, 5.0, 0.0]]]), [2], [2], [0], [1], (2,))
    (array([[[5., 5.]]]), array([[[1, 2]]]))
    """
    image = x.shape[2:]
    spans = [
        [range(i * s - p, i * s - p + (k - 1) * d + 1, d) for i in range(out)]
        for out, k, s, p, d in zip(out_size, size, stride, padding, dilation, strict=True)
    ]
    return _largest(x, out_size, _windows(spans, image))


@in_float64
def adaptive_max_pool_nd(x: np.ndarray, out_size: Shape) -> tuple[np.ndarray, np.ndarray]:
    """Take the largest pixel of bins that cover x (N, C, ...) evenly, and its place in the flat image.

    >>> adaptive_max_pool_nd(np.array([[[3.0, 1.0, 2.0]]]), (2,))
    (array([[[3., 2.]]]), array([[[0, 2]]]))
    """
    return _largest(x, out_size, _windows(_bins(x.shape[2:], out_size), x.shape[2:]))


@in_float64
def adaptive_avg_pool_nd(x: np.ndarray, out_size: Shape) -> np.ndarray:
    """Average bins that cover x (N, C, ...) evenly: floor(i*H / OH) up to ceil((i+1)*H / OH) along each axis.

    >>> adaptive_avg_pool_nd(np.arange(5.0).reshape(1, 1, 5), (3,))
    array([[[0.5, 2. , 3.5]]])
    """
    flat, y = x.reshape(*x.shape[:2], -1), np.zeros((*x.shape[:2], *out_size))
    for at, places in _windows(_bins(x.shape[2:], out_size), x.shape[2:]):
        y[(..., *at)] = flat[:, :, places].mean(2)
    return y


@in_float64
def avg_pool_nd(
    x: np.ndarray,
    size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    out_size: Shape,
    count_include_pad: bool,
    divisor_override: int | None,
) -> np.ndarray:
    """Average every window of x (N, C, ...) with the divisors of `avg_pool2d`.

    >>> avg_pool_nd(np.arange(7.0).reshape(1, 1, 7), [2], [3], [0], (3,), True, None)
    array([[[0.5, 3.5, 6. ]]])
    """
    image = x.shape[2:]
    axes = list(zip(out_size, size, stride, padding, image, strict=True))
    spans = [[range(i * s - p, i * s - p + k) for i in range(out)] for out, k, s, p, _ in axes]
    flat, y = x.reshape(*x.shape[:2], -1), np.zeros((*x.shape[:2], *out_size))
    for at, places in _windows(spans, image):
        ends = [(i * s - p, min(i * s - p + k, n + p)) for i, (_, k, s, p, n) in zip(at, axes, strict=True)]
        divisor = prod(end - start for start, end in ends) if count_include_pad else len(places)
        y[(..., *at)] = flat[:, :, places].sum(2) / (divisor_override or divisor)
    return y


@in_float64
def lp_pool_nd(x: np.ndarray, p: float, size: Sequence[int], stride: Sequence[int], out_size: Shape) -> np.ndarray:
    """Return (sum of abs(x)**p) ** (1/p) over the pixels of every window inside x (N, C, ...).

    >>> lp_pool_nd(np.array([[[3.0, -4.0]]]), 2, [2], [2], (1,))
    array([[[5.]]])
    """
    none = (0,) * len(size)
    return avg_pool_nd(np.abs(x) ** p, size, stride, none, out_size, True, 1) ** (1 / p)


def _bins(image: Shape, out_size: Shape) -> list[list[range]]:
    axes = zip(image, out_size, strict=True)
    return [[range(i * n // out, -(-(i + 1) * n // out)) for i in range(out)] for n, out in axes]


def _windows(spans: list[list[range]], image: Shape) -> Iterator[tuple[Any, list[int]]]:
    """Yield every window with the places, in the flat image, of its taps inside."""
    for at in np.ndindex(*map(len, spans)):
        taps = product(*(span[i] for span, i in zip(spans, at, strict=True)))
        inside = [tap for tap in taps if all(0 <= i < n for i, n in zip(tap, image, strict=True))]
        yield at, [int(np.ravel_multi_index(tap, image)) for tap in inside]


def _largest(x: np.ndarray, out_size: Shape, windows: Iterator[tuple[Any, list[int]]]) -> tuple[np.ndarray, np.ndarray]:
    """Return the largest of each window: of equal ones the first, of NaNs the last."""
    flat = x.reshape(*x.shape[:2], -1)
    y = np.zeros((*x.shape[:2], *out_size))
    index = np.zeros(y.shape, np.int64)
    for at, places in windows:
        for n, c in np.ndindex(x.shape[:2]):
            best = places[0]
            for place in places:
                if flat[n, c, place] > flat[n, c, best] or np.isnan(flat[n, c, place]):
                    best = place
            y[(n, c, *at)], index[(n, c, *at)] = flat[n, c, best], best
    return y, index
