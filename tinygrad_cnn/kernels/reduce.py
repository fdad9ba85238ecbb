"""Sums over the batch, as bias gradients need them: accumulated in float64, whatever the dtype.

A float32 accumulator would be off by a quarter of a percent after 262,144 terms.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy import ndarray

from tinygrad_cnn.kernels.compile import REASSOC, device, kernel
from tinygrad_cnn.kernels.pool import select
from tinygrad_cnn.kernels.pool_2x2 import NOWHERE, PLACE
from tinygrad_cnn.kernels.threads import split

EVERYWHERE = np.empty(0, PLACE)


# A call would cost more than the sum of a small plane.
@partial(device, fastmath=set(REASSOC), forceinline=True)
def plane_sum(x: ndarray, place: ndarray, at: int, count: int) -> float:
    """Return the sum of ``count`` numbers of x from ``at`` on; of maxima those alone that have a place in a window."""
    total, zero, values = 0.0, x.dtype.type(0), x[at : at + count]
    if place.size:
        places = place[at : at + count]
        for s in range(len(values)):
            total += select(places[s] == NOWHERE, zero, values[s])
    else:
        for s in range(len(values)):
            total += values[s]
    return total


@kernel
def _channel_sum(x: ndarray, place: ndarray, y: ndarray, planes: int, size: int, start: int, stop: int) -> None:
    for c in range(start, stop):
        total = 0.0
        for plane in range(c, planes, len(y)):
            total += plane_sum(x, place, plane * size, size)
        y[c] = total


def channel_sum(gy: ndarray) -> ndarray:
    """Return the sums over N and S of gy (N, C, S): (C,).

    >>> channel_sum(np.ones((2, 3, 5), np.float32))
    array([10., 10., 10.], dtype=float32)
    """
    y = np.empty(gy.shape[1], gy.dtype)
    n, c, s = gy.shape
    split(_channel_sum, c, np.ascontiguousarray(gy).reshape(-1), EVERYWHERE, y, n * c, s, work=gy.size)
    return y


@kernel(writes="totals")
def _rows_sum(x: ndarray, totals: ndarray, start: int, stop: int) -> None:
    totals = totals[start:stop]
    for n in range(x.shape[0]):
        row = x[n, start:stop]
        for o in range(len(totals)):
            totals[o] += row[o]


def rows_sum(gy: ndarray) -> ndarray:
    """Return the sums over N of gy (N, O): (O,).

    >>> rows_sum(np.ones((4, 2)))
    array([4., 4.])
    """
    totals = np.zeros(gy.shape[1])
    split(_rows_sum, len(totals), np.ascontiguousarray(gy), totals, work=gy.size)
    return totals.astype(gy.dtype)
