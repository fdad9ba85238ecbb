"""Who wrote which memory when: the guard against arrays that change between forward and backward.

Every sanctioned write notes the tick of the one clock (state.tick) for the array that owns the memory, so that views
need no bookkeeping of their own. In a normal training step the engine compares two integers a node.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from weakref import ref

import numpy as np

from tinygrad_cnn.state import tick

latest = 0  # the tick of the latest write to any memory
_writes: dict[int, tuple[ref[np.ndarray], int]] = {}
# Told the owner of memory that is about to be written: whoever wants to keep what it holds copies it then.
watchers: list[Callable[[np.ndarray], None]] = []


def owner(array: np.ndarray) -> np.ndarray:
    """Return the array that owns the memory of ``array``."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def before_write(array: np.ndarray) -> None:
    """Tell the watchers that the memory of ``array`` will be written."""
    for watcher in tuple(watchers):
        watcher(owner(array))


def note_write(*arrays: np.ndarray) -> None:
    """Remember that the memory of ``arrays`` is being written now."""
    global latest
    latest = now = tick()
    for array in arrays:
        memory = owner(array) if array.base is not None else array
        key = id(memory)
        known = _writes.get(key)
        reference = known[0] if known and known[0]() is memory else ref(memory, partial(_forget, key))
        _writes[key] = reference, now


def _forget(key: int, _: ref[np.ndarray]) -> None:
    _writes.pop(key, None)


def written_since(memory: np.ndarray | None, moment: int) -> bool:
    """Say whether the memory that this array owns was written after the tick ``moment``."""
    known = _writes.get(id(memory))
    return known is not None and known[0]() is memory and known[1] > moment
