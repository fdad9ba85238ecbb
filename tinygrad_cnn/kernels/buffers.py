"""Memory that is used again: results are placed in blocks that nobody refers to any more.

A freshly mapped page costs more than most element-wise operations do on it. So large results come from a pool of
blocks. A block is free when only the pool refers to it; every array on it, and every view of one, refers to it through
its ``base``, so nothing has to be given back. This file is open to every floor.
"""

from __future__ import annotations

import math
import mmap
from collections import deque
from collections.abc import Hashable, Sequence
from contextlib import suppress
from sys import getrefcount

import numpy as np

# Below this the allocator's own lists are quick, and no pages are mapped.
SMALL = 2**14
# Blocks of all sizes together; beyond this arrays are allocated as usual.
MOST_BYTES = 2**30
_ALIGN = 64  # a cache line, and the widest vector
_HUGE_PAGE = 2**21  # of most processors

# By size in bytes: blocks, each with the offset of its first aligned byte.
# Not ndarrays: NumPy then counts a result, and not the block that outlives it, as the base of its views.
_Block = tuple[bytearray | mmap.mmap, int]
_pool: dict[int, deque[_Block]] = {}
_scratch: dict[Hashable, list[tuple[np.ndarray, ...]]] = {}
_MOST_KEYS = 64
_bytes = 0


def _take(blocks: deque[_Block], free: int) -> _Block | None:
    """Take a block out of the pool to which ``free`` references exist: whoever holds it now is alone."""
    used = []
    try:
        while True:
            entry = blocks.pop()  # the last one: the likeliest to be in the cache still
            if getrefcount(entry[0]) == free:
                return entry
            used.append(entry)
    except IndexError:  # none is left, or another thread was faster
        return None
    finally:
        blocks.extend(reversed(used))


def _references_when_free() -> int:
    """Return how many references `_take` sees on a free block: it differs between versions of Python."""
    probe: deque[_Block] = deque([(bytearray(1), 0)])
    for free in range(1, 6):
        if _take(probe, free) is not None:
            return free
    return 0  # an interpreter whose counts say nothing: every block counts as used


_FREE = _references_when_free()


def _block(size: int) -> _Block:
    """Return new memory, on huge pages where it fills them: fewer page faults, and fewer look-ups of addresses.

    A last page that is not full is a huge one where that takes a sixteenth of the block more at most, else small ones.
    """
    whole = (size + size // 16) // _HUGE_PAGE * _HUGE_PAGE
    if whole and hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # a kernel without huge pages; where memory is short the allocator below says it better
            mapped = mmap.mmap(-1, size + 2 * _HUGE_PAGE, mmap.MAP_PRIVATE)  # a forked child writes on copies
            start = -np.frombuffer(mapped, np.uint8).ctypes.data % _HUGE_PAGE
            mapped.madvise(mmap.MADV_HUGEPAGE, start, whole)
            return mapped, start
    block = bytearray(size + _ALIGN)
    return block, -np.frombuffer(block, np.uint8).ctypes.data % _ALIGN


def empty(shape: Sequence[int], dtype: np.dtype | type[np.generic]) -> np.ndarray:
    """Return an uninitialised C-contiguous array, on memory that was used before where there is some."""
    global _bytes
    if isinstance(dtype, type):
        dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    if size < SMALL:
        return np.empty(shape, dtype)
    blocks = _pool.get(size)
    if blocks is None:
        blocks = _pool.setdefault(size, deque())
    entry = _take(blocks, _FREE)
    if entry is None:
        if _bytes + size > MOST_BYTES:
            release()
            if _bytes + size > MOST_BYTES:
                return np.empty(shape, dtype)
        entry = _block(size)
        _bytes += size
    array = np.ndarray(shape, dtype, *entry)
    blocks.append(entry)
    return array


def zeros(shape: Sequence[int], dtype: np.dtype | type[np.generic]) -> np.ndarray:
    """Return a C-contiguous array of zeros, on memory that was used before where there is some."""
    array = empty(shape, dtype)
    array.fill(0)
    return array


def copy(x: np.ndarray) -> np.ndarray:
    """Return a C-contiguous copy on memory that was used before where there is some."""
    y = empty(x.shape, x.dtype)
    y[...] = x
    return y


def borrow(key: Hashable, dtype: np.dtype | type[np.generic], *shapes: Sequence[int]) -> tuple[np.ndarray, ...]:
    """Return scratch arrays: zeros at first, and what `give_back` left under ``key`` later.

    A kernel that always writes the same places of it, and leaves the padding between alone, finds the padding zero.
    """
    try:
        return _scratch[key].pop()
    except (KeyError, IndexError):
        return tuple([zeros(shape, dtype) for shape in shapes])


def give_back(key: Hashable, arrays: tuple[np.ndarray, ...]) -> None:
    """Keep scratch arrays for the next one who borrows under ``key``; what is not given back is simply freed."""
    if key not in _scratch and len(_scratch) >= _MOST_KEYS:
        _scratch.clear()
    _scratch.setdefault(key, []).append(arrays)


def release() -> None:
    """Give all free blocks back to the operating system."""
    global _bytes
    _scratch.clear()
    for size, blocks in list(_pool.items()):
        while _take(blocks, _FREE) is not None:
            _bytes -= size
