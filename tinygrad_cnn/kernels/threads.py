"""One thread pool, ours: serial kernels over a fixed partition of the output.

Workers are built at the first launch, sleep between launches (a spinning pool starves every other process and is
starved by it) and take the pieces of a launch one by one, so that a worker whose core is busy elsewhere takes fewer.
The pieces depend on the work alone, never on the number of threads: the same bits for every thread count.
"""

from __future__ import annotations

import os
import threading
from _thread import allocate_lock, start_new_thread
from collections.abc import Callable
from itertools import count as counter
from typing import Any

from tinygrad_cnn import state
from tinygrad_cnn.kernels.compile import device

# Below this much work (elements touched, or a few multiply-adds each) waking a worker costs more than it brings.
SERIAL_BELOW = 100_000
# A multiply-add in a register tile counts as this part of an element touched in memory.
MULTIPLY_ADDS = 8
# More pieces than threads balance a busy machine; each costs about a microsecond.
PIECES = 8


class _Launch:
    """One call of `split`: who takes which piece, and when all are done."""

    def __init__(self, function: Callable[..., None], args: tuple[Any, ...], bounds: list[int]) -> None:
        self.function, self.args, self.bounds = function, args, bounds
        self.next_piece = counter().__next__
        self.finished = counter(1).__next__
        self.error: BaseException | None = None
        self.done = allocate_lock()
        self.done.acquire()

    def run(self) -> None:
        bounds = self.bounds
        pieces = len(bounds) - 1
        while (piece := self.next_piece()) < pieces:
            try:
                self.function(*self.args, bounds[piece], bounds[piece + 1])
            except BaseException as error:  # handed to the caller of split
                self.error = error
            if self.finished() == pieces:
                self.done.release()


class _Worker:
    """A thread that sleeps until it is given a launch."""

    def __init__(self) -> None:
        self.wake = allocate_lock()
        self.wake.acquire()
        self.launch: _Launch | None = None
        start_new_thread(self._loop, ())

    def _loop(self) -> None:
        while True:
            self.wake.acquire()
            launch = self.launch
            if launch is not None:
                launch.run()
            del launch  # the arrays of the last launch must not live until the next


class _Pool:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.workers: list[_Worker] = []

    def run(self, launch: _Launch) -> None:
        helpers = min(state.get_num_threads(), len(launch.bounds) - 1) - 1
        # A second Python thread that finds the pool taken does its own work alone: never nested, never waiting.
        if helpers <= 0 or not self.lock.acquire(blocking=False):
            launch.run()
        else:
            try:
                while len(self.workers) < helpers:
                    self.workers.append(_Worker())
                for worker in self.workers[:helpers]:
                    worker.launch = launch
                    if worker.wake.locked():
                        worker.wake.release()
                launch.run()
                launch.done.acquire()
            finally:
                for worker in self.workers[:helpers]:
                    worker.launch = None
                self.lock.release()
        if launch.error is not None:
            raise launch.error


_pool = _Pool()


def _new_pool() -> None:
    global _pool
    _pool = _Pool()


# The threads of a parent do not exist in a forked child.
os.register_at_fork(after_in_child=_new_pool)


def pieces_of(count: int) -> int:
    """Return into how many pieces `split` cuts ``range(count)``: how many scratch buffers a kernel needs."""
    return min(count, PIECES)


@device
def piece_at(start: int, count: int) -> int:
    """Return, inside a kernel, the number of the piece that begins at ``start``."""
    return -(-start * min(count, PIECES) // count)


def split(function: Callable[..., None], count: int, *args: Any, work: int) -> None:
    """Run ``function(*args, start, stop)`` over pieces that cover ``range(count)``.

    Args:
        function: a kernel that computes each index of its range the same, whatever the range.
        count: how many indices there are.
        args: what the kernel gets before ``start`` and ``stop``.
        work: roughly how many array elements are touched in all; little work runs at once in this thread.
    """
    if count <= 0:
        return
    if work < SERIAL_BELOW or count == 1:
        function(*args, 0, count)
        return
    pieces = pieces_of(count)
    _pool.run(_Launch(function, args, [count * piece // pieces for piece in range(pieces + 1)]))
