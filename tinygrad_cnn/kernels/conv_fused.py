"""A convolution and what follows it in a network, map by map: batch norm of evaluation, ReLU, 2x2 max pooling."""

from __future__ import annotations

import numpy as np
from numpy import ndarray

from tinygrad_cnn.kernels import buffers, threads
from tinygrad_cnn.kernels.compile import kernel
from tinygrad_cnn.kernels.conv import conv2d
from tinygrad_cnn.kernels.geometry import Padding, Pair
from tinygrad_cnn.kernels.pool import select


@kernel(writes="y index")
def _finish(
    x: ndarray, scale: ndarray, shift: ndarray, y: ndarray, index: ndarray, relu: bool, pool: bool, start: int,
    stop: int,
) -> None:  # fmt: skip
    """Finish the maps start..stop of x (N*O, OH, OW); scale and shift (O,) or empty, y as large as x or pooled."""
    zero = x.dtype.type(0)
    window = 2 if pool else 1
    for plane in range(start, stop):
        line = np.empty((window, x.shape[2]), x.dtype)
        for i in range(y.shape[1]):
            for p in range(window):
                values, results = x[plane, window * i + p], line[p]
                if scale.size:
                    a, b = scale[plane % scale.size], shift[plane % scale.size]
                    for j in range(len(results)):
                        results[j] = values[j] * a + b
                else:
                    results[:] = values
                if relu:
                    for j in range(len(results)):
                        results[j] = zero if results[j] <= zero else results[j]
            if not pool:
                y[plane, i] = line[0]
                continue
            for j in range(y.shape[2]):
                best, where = line[0, 2 * j], 0
                for position in range(1, 4):
                    value = line[position // 2, 2 * j + position % 2]
                    wins = (value > best) | (value != value)
                    best, where = select(wins, value, best), select(wins, position, where)
                y[plane, i, j], index[plane, i, j] = best, where


def conv2d_fused(
    x: np.ndarray, w: np.ndarray, b: np.ndarray | None, stride: Pair, padding: Padding, dilation: Pair, groups: int, *,
    scale: np.ndarray | None = None, shift: np.ndarray | None = None, relu: bool = False, pool: bool = False,
) -> tuple[np.ndarray, np.ndarray | None]:  # fmt: skip
    """Return (y, index): `conv2d`, then ``y * scale + shift`` for each map, ReLU and 2x2 max pooling, as far as asked.

    The bits are those of the kernels one after the other. Scale and shift (O,) come together, in float64; index
    (uint8, None without pooling) says where in its window each maximum was found: 2 * row + column.
    """
    full = conv2d(x, w, b, stride, padding, dilation, groups)
    n, o, oh, ow = full.shape
    if scale is None or shift is None:
        scale = shift = np.empty(0)
    size = (n, o, oh // 2, ow // 2) if pool else full.shape
    y = buffers.empty(size, full.dtype)
    index = buffers.empty(size if pool else (0, 0, 0, 0), np.uint8)
    if y.size:
        threads.split(
            _finish, n * o, full.reshape(n * o, oh, ow), np.ascontiguousarray(scale, np.float64),
            np.ascontiguousarray(shift, np.float64), y.reshape(n * o, *size[2:]),
            index.reshape(-1, *index.shape[2:]) if pool else index.reshape(0, 0, 0), relu, pool, work=2 * full.size,
        )  # fmt: skip
    return y, index if pool else None
