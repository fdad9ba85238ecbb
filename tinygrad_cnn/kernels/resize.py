"""Images of another size: each new pixel is a weighted sum of a few old ones, chosen for rows and columns apart.

So resizing is y = A x B' for every plane x, with two sparse matrices. A matrix is held by its taps: arrays (K, out) of
indices and weights, K taps for each row of the matrix; an index of -1 is no tap. The gradient is A' gy B: the same
kernel with the taps of the transposed matrices.
"""

from __future__ import annotations

import numpy as np
from numpy import ndarray

from tinygrad_cnn.kernels import buffers
from tinygrad_cnn.kernels.compile import kernel
from tinygrad_cnn.kernels.threads import split


@kernel(writes="scratch y")
def _planes(
    x: ndarray, rows: ndarray, row_weights: ndarray, columns: ndarray, column_weights: ndarray, scratch: ndarray,
    y: ndarray, start: int, stop: int,
) -> None:  # fmt: skip
    W, OW = x.shape[2], y.shape[2]
    blend, sums = scratch[start, :W], scratch[start, W:]  # a row of A x, and of A x B', in float64
    for n in range(start, stop):
        for i in range(y.shape[1]):
            blend[:] = 0.0
            for k in range(len(rows)):
                if rows[k, i] >= 0:
                    w, row = row_weights[k, i], x[n, rows[k, i]]
                    for j in range(W):
                        blend[j] += w * row[j]
            sums[:] = 0.0
            for k in range(len(columns)):
                taps, weights = columns[k], column_weights[k]
                for o in range(OW):
                    if taps[o] >= 0:
                        sums[o] += weights[o] * blend[taps[o]]
            for o in range(OW):
                y[n, i, o] = sums[o]


def resize(x: ndarray, rows: ndarray, row_weights: ndarray, columns: ndarray, column_weights: ndarray) -> ndarray:
    """Return weighted sums of pixels of planes x (N, H, W); rows (K, OH) index H, columns (L, OW) index W.

    >>> one = np.ones((1, 2))
    >>> resize(np.arange(6.0).reshape(1, 2, 3), np.array([[0, 1]]), one, np.array([[2, 0]]), one)
    array([[[2., 0.],
            [5., 3.]]])
    """
    N, _, W = x.shape
    OH, OW = rows.shape[1], columns.shape[1]
    y = buffers.empty((N, OH, OW), x.dtype)
    scratch = np.empty((N, W + OW))
    x = np.ascontiguousarray(x)
    split(_planes, N, x, rows, row_weights, columns, column_weights, scratch, y, work=y.size * len(columns) * 2)
    return y
