"""Work along one axis: running sums, picking by an index and adding back, the largest few.

Arrays are seen as (O, N, I): what lies before the axis, the axis, and what lies behind it.
"""

from __future__ import annotations

from math import prod

import numpy as np
from numpy import ndarray

from tinygrad_cnn.kernels import buffers, threads
from tinygrad_cnn.kernels.compile import kernel
from tinygrad_cnn.kernels.threads import PIECES, pieces_of, split


def _seen(x: ndarray, axis: int) -> ndarray:
    return np.ascontiguousarray(x).reshape(prod(x.shape[:axis]), x.shape[axis], prod(x.shape[axis + 1 :]))


@kernel
def _cumsum(x: ndarray, y: ndarray, backward: bool, start: int, stop: int) -> None:
    N, inner = x.shape[1:]
    for row in range(start, stop):
        o, i = divmod(row, inner)
        total = 0.0
        for k in range(N):
            n = N - 1 - k if backward else k
            total += x[o, n, i]
            y[o, n, i] = total


def cumsum(x: ndarray, axis: int, backward: bool = False) -> ndarray:
    """Return the sums of all elements up to each one, or (backward) from each one on; added in float64.

    >>> cumsum(np.array([1.0, 2.0, 4.0]), 0, backward=True)
    array([7., 6., 4.])
    """
    y, seen = buffers.empty(x.shape, x.dtype), _seen(x, axis)
    split(_cumsum, len(seen) * seen.shape[2], seen, y.reshape(seen.shape), backward, work=4 * x.size)
    return y


def _check_size(size: int) -> None:
    if size > 2**31:
        raise ValueError(f"an index is kept as int32: it cannot reach all of an axis of size {size:,}; split the input")


def _places(index: ndarray, axis: int, size: int) -> ndarray:
    _check_size(size)
    return _seen(index.astype(np.int32, copy=False), axis)


@kernel(writes="y largest")
def _copy(x: ndarray, y: ndarray, largest: ndarray, start: int, stop: int) -> None:
    piece, most = threads.piece_at(start, len(x)), np.uint64(0)
    x, y = x[start:stop], y[start:stop]
    for i in range(len(y)):
        y[i] = x[i]
        most = max(most, x[i])
    largest[piece] = most


def copied(index: ndarray, size: int) -> tuple[ndarray, bool]:
    """Return an index as int32 (half the memory) on memory of its own, and whether all of it lies in ``range(size)``.

    >>> copied(np.array([2, 0, 1]), 2)
    (array([2, 0, 1], dtype=int32), False)
    """
    _check_size(size)
    x, y = np.ascontiguousarray(index, np.int64), buffers.empty(index.shape, np.int32)
    largest = np.zeros(PIECES, np.uint64)  # numbers below 0 count as 2**64 more
    split(_copy, y.size, x.reshape(-1).view(np.uint64), y.reshape(-1).view(np.uint32), largest, work=y.size)
    return y, not y.size or bool(largest.max() < size)


@kernel
def _gather(x: ndarray, index: ndarray, y: ndarray, start: int, stop: int) -> None:
    (N, inner), count = x.shape[1:], y.shape[1]
    many = inner == 1 and 4 * count >= N
    row = np.empty(N if many else 0, x.dtype)
    for o in range(start, stop):
        if many:  # the row is read in order, which memory sees coming; then it is picked from in the cache
            for n in range(N):
                row[n] = x[o, n, 0]
            for k in range(count):
                y[o, k, 0] = row[np.uintp(index[o, k, 0])]  # unsigned: no look at whether it counts from the end
        else:
            for k in range(count):
                for i in range(inner):
                    y[o, k, i] = x[o, index[o, k, i], i]


def gather(x: ndarray, index: ndarray, axis: int) -> ndarray:
    """Return the elements of x at an index along an axis; other sizes agree, and no index is checked.

    >>> gather(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1, 1, 0], [0, 0, 1]]), 1)
    array([[2., 2., 1.],
           [3., 3., 4.]])
    """
    y, places = buffers.empty(index.shape, x.dtype), _places(index, axis, x.shape[axis])
    split(_gather, len(places), _seen(x, axis), places, y.reshape(places.shape), work=2 * y.size)
    return y


@kernel(writes="gx sums")
def _gather_grad(
    gy: ndarray, index: ndarray, onto: ndarray, gx: ndarray, sums: ndarray, start: int, stop: int
) -> None:  # fmt: skip
    total = sums[threads.piece_at(start, len(gx))]
    for o in range(start, stop):
        for i in range(gx.shape[2]):
            if len(onto) > 0:
                for n in range(len(total)):
                    total[n] = onto[o, n, i]
            else:
                total[:] = 0.0
            for k in range(gy.shape[1]):
                total[np.uintp(index[o, k, i])] += gy[o, k, i]
            for n in range(len(total)):
                gx[o, n, i] = total[n]


def gather_grad(gy: ndarray, index: ndarray, axis: int, size: int, onto: ndarray | None = None) -> ndarray:
    """Return the gradient of `gather` for an x of this size along the axis: each gy added at its index, in float64.

    With ``onto``, an array like x, they are added to what it holds.

    >>> gather_grad(np.array([1.0, 10.0, 100.0]), np.array([2, 0, 2]), 0, 4)
    array([ 10.,   0., 101.,   0.])
    """
    places, sums = _places(index, axis, size), np.empty((pieces_of(prod(gy.shape[:axis])), size))
    gx = buffers.empty((*gy.shape[:axis], size, *gy.shape[axis + 1 :]), gy.dtype)
    seen = len(places), size, places.shape[2]
    start = np.empty((0, 0, 0), gy.dtype) if onto is None else _seen(onto, axis)
    split(_gather_grad, seen[0], _seen(gy, axis), places, start, gx.reshape(seen), sums, work=2 * (gy.size + gx.size))
    return gx


@kernel(writes="order best")
def _first(x: ndarray, order: ndarray, best: ndarray, largest: bool, start: int, stop: int) -> None:
    values = best[threads.piece_at(start, len(x))]
    K = len(values)
    for row in range(start, stop):
        held = 0
        for n in range(x.shape[1]):
            v = x[row, n]
            if held == K:  # is it before the last of them? NaN counts as the largest number
                w = values[K - 1]
                if (largest and (v <= w or w != w)) or (not largest and (v >= w or v != v)):
                    continue
            else:
                held += 1
            at = held - 1
            while at > 0:
                w = values[at - 1]
                if (largest and (v <= w or w != w)) or (not largest and (v >= w or v != v)):
                    break
                values[at], order[row, at] = w, order[row, at - 1]
                at -= 1
            values[at], order[row, at] = v, n


def first(x: ndarray, count: int, largest: bool) -> ndarray:
    """Return the indices of the ``count`` largest (or smallest) of each row of x (M, N), the first of them first.

    Of equal elements the first are taken. Each is inserted into a short list: ``count`` should be small.

    >>> first(np.array([[3.0, 9.0, 1.0, 9.0]]), 3, True)
    array([[1, 3, 0]])
    """
    order = np.empty((len(x), count), np.int64)
    best = np.empty((pieces_of(len(x)), count), x.dtype)
    split(_first, len(x), np.ascontiguousarray(x), order, best, largest, work=4 * x.size)
    return order


@kernel(writes="y kept last")
def _put(x: ndarray, index: ndarray, y: ndarray, kept: ndarray, last: ndarray, start: int, stop: int) -> None:
    winner = last[threads.piece_at(start, len(x))]
    for row in range(start, stop):
        sources, places, result = x[row], index[row], y[row]
        result[:] = 0
        for k in range(len(places)):
            at = np.uintp(places[k])  # unsigned, as in _gather
            result[at], winner[at] = sources[k], k
        for k in range(len(places)):
            kept[row, k] = places[k] if winner[np.uintp(places[k])] == k else -1


def put(x: ndarray, index: ndarray, size: int) -> tuple[ndarray, ndarray]:
    """Return rows of zeros (M, size) with x (M, K) put at an index (M, K), and the index with -1 where x was replaced.

    Of elements with the same index the last one stays.

    >>> put(np.array([[5.0, 7.0, 9.0]]), np.array([[1, 2, 1]]), 4)
    (array([[0., 9., 7., 0.]]), array([[-1,  2,  1]]))
    """
    y, kept = buffers.empty((len(x), size), x.dtype), buffers.empty(index.shape, np.int64)
    last, places = np.empty((pieces_of(len(x)), size), np.int64), index.astype(np.int32, copy=False)
    split(_put, len(x), np.ascontiguousarray(x), places, y, kept, last, work=2 * (x.size + y.size))
    return y, kept
