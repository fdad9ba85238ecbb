"""One thread pool, ours: serial kernels over a fixed partition of the output.

The pieces of a launch depend on the work alone, never on the number of threads: the same bits for every thread count.
Who is free takes the next piece, so a thread whose core is busy elsewhere takes fewer. What a launch needs is written
on a *board*, an array of words that all threads read and write atomically:

    the caller    writes the launch on the board, takes pieces like everybody, waits until the last one is finished
    a worker      looks at the board for a moment, awake and without the interpreter lock: the next launch of a training
                  step is near. Then it sleeps, since a pool that spins starves every other process and is starved by it

The caller never depends on a worker: whoever sleeps, or has just fallen asleep, misses a launch and nothing else.
"""

from __future__ import annotations

import os
import threading
import time
from _thread import allocate_lock, start_new_thread
from collections import deque
from collections.abc import Callable
from functools import cache
from types import FunctionType
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from tinygrad_cnn import state
from tinygrad_cnn.kernels.compile import Kernel, device, kernel

# Below this much work (elements touched, or a few multiply-adds each) a launch costs more than it brings.
SERIAL_BELOW = 30_000
# Below this much it does not pay to wake a worker that sleeps.
ASLEEP_BELOW = 100_000
# A multiply-add in a register tile counts as this part of an element touched in memory.
MULTIPLY_ADDS = 8
# More pieces than threads balance a busy machine.
PIECES = 8
# For so many seconds a worker that has nothing to do stays awake.
AWAKE = 500e-6

# The words of a board; those that different threads write lie on different cache lines. The first is the address of
# _run; then what is launched; how many pieces nobody took, how many of them the workers did; how many are not finished;
# is the board in use, is it closed
_RUN, _PIECE, _BLOCK, _COUNT, _LEFT, _LAST, _UNFINISHED, _TAKEN, _CLOSED, _WORDS = 0, 8, 9, 10, 16, 17, 24, 32, 40, 48
# Who waits lets another thread have its core after so many looks: perhaps the one that it waits for.
_LOOKS = 64

_intrinsic: Any = intrinsic  # a type checker would count the parameters of the calls wrong


def _word(builder: ir.IRBuilder, board: ir.Value, word: ir.Value) -> ir.Value:
    return builder.gep(builder.inttoptr(board, ir.IntType(64).as_pointer()), [word])


@_intrinsic
def _load(typing, board, word):  # type: ignore[no-untyped-def]
    """Return a word of the board."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.load_atomic(_word(builder, *args), "seq_cst", 8)

    return types.int64(types.int64, types.int64), codegen


@_intrinsic
def _store(typing, board, word, value):  # type: ignore[no-untyped-def]
    """Write a word of the board."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        builder.store_atomic(args[2], _word(builder, *args[:2]), "seq_cst", 8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen


@_intrinsic
def _add(typing, board, word, value):  # type: ignore[no-untyped-def]
    """Add to a word of the board in one step and return what it was before."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.atomic_rmw("add", _word(builder, *args[:2]), args[2], "seq_cst")

    return types.int64(types.int64, types.int64, types.int64), codegen


@_intrinsic
def _call(typing, piece, block, start, stop):  # type: ignore[no-untyped-def]
    """Call the piece at an address (launch.py)."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        kind = ir.FunctionType(ir.VoidType(), [argument.type for argument in args[1:]])
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), args[1:])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64, types.int64), codegen


@_intrinsic
def _give_way(typing):  # type: ignore[no-untyped-def]
    """Let another thread have this core, if one wants it."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        kind = ir.FunctionType(ir.IntType(32), [])
        builder.call(cgutils.get_or_insert_function(builder.module, kind, "sched_yield"), [])
        return context.get_dummy_value()

    return types.void(), codegen


@device
def _call_piece(piece: int, block: int, number: int, count: int) -> None:
    pieces = min(count, PIECES)
    _call(piece, block, count * number // pieces, count * (number + 1) // pieces)


@device
def _take_pieces(board: int, by_caller: bool) -> None:
    """Run pieces of the launch on the board until none is left: the caller the first ones, the workers the last ones.

    So in launch after launch a thread meets the images that lie in the cache of its core.
    """
    number = 0
    while _load(board, _LEFT) > 0:
        if _add(board, _LEFT, -1) > 0:  # one is ours; and until it is finished the launch, and so the board, stays
            count = _load(board, _COUNT)
            at = number if by_caller else min(count, PIECES) - 1 - _add(board, _LAST, 1)
            number += 1
            _call_piece(_load(board, _PIECE), _load(board, _BLOCK), at, count)
            _add(board, _UNFINISHED, -1)


@kernel(writes="")
def _run(board: int, piece: int, block: int, count: int) -> None:
    """Run all pieces of a launch, with the workers if nobody else has the board: `launch` in launch.py calls this."""
    pieces = min(count, PIECES)
    if _add(board, _TAKEN, 1) > 0:
        _add(board, _TAKEN, -1)
        for number in range(pieces):
            _call_piece(piece, block, number, count)
        return
    _store(board, _PIECE, piece)
    _store(board, _BLOCK, block)
    _store(board, _COUNT, count)
    _store(board, _LAST, 0)
    _store(board, _UNFINISHED, pieces)
    _store(board, _LEFT, pieces)  # from here on the workers run
    _take_pieces(board, True)
    looks = 0
    while _load(board, _UNFINISHED) > 0:
        looks += 1
        if looks % _LOOKS == 0:
            _give_way()
    _add(board, _TAKEN, -1)


@kernel(writes="words")
def _serve(words: np.ndarray, looks: int) -> None:
    """Take pieces of all launches on the board until it had none for so many looks, or is closed."""
    board = words.ctypes.data
    idle = 0
    while idle < looks and _load(board, _CLOSED) == 0:
        idle += 1
        if _load(board, _LEFT) > 0:
            _take_pieces(board, False)
            idle = 0
        elif idle % _LOOKS == 0:
            _give_way()


@cache
def _address_of_run() -> int:
    """Return where `_run` begins; a forked child must not ask, for LLVM's lock may have been held in the parent."""
    return _run.address(0, 0, 0, 0)


class _Pool:
    """A board, and workers for so many threads; one of the threads is the caller."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.words = np.zeros(_WORDS, np.int64)
        self.board = self.words.ctypes.data
        self.words[_RUN] = _address_of_run()
        self.sleeping: deque[Any] = deque()
        self.looks = self._looks_while_awake()
        for _ in range(min(threads, PIECES) - 1):
            start_new_thread(self._work, ())

    def _looks_while_awake(self, some: int = 5_000) -> int:
        _serve(self.words, 1)  # compiled
        begun = time.perf_counter()
        _serve(self.words, some)
        return int(some * AWAKE / (time.perf_counter() - begun))

    def _work(self) -> None:
        wake = allocate_lock()
        wake.acquire()
        while True:
            _serve(self.words, self.looks)
            self.sleeping.append(wake)
            if self.words[_CLOSED]:
                return
            if self.words[_LEFT] <= 0:
                wake.acquire()
            else:  # a launch came when this thread was no longer awake and not yet asleep: nobody has woken it
                try:
                    self.sleeping.remove(wake)
                except ValueError:  # or somebody just does
                    wake.acquire()

    def wake(self) -> None:
        while self.sleeping:
            try:
                self.sleeping.pop().release()
            except IndexError:  # another thread was faster
                return

    def close(self) -> None:
        self.words[_CLOSED] = 1
        self.wake()


_pool: _Pool | None = None
_building = threading.Lock()


def _pool_for(threads: int) -> _Pool:
    """Return the pool, a new one where there is none for this number of threads."""
    global _pool
    with _building:
        if _pool is None or _pool.threads != threads:
            if _pool is not None:
                _pool.close()
            _pool = _Pool(threads)
        return _pool


def _forget_pool() -> None:
    global _pool, _building
    _pool, _building = None, threading.Lock()


# The threads of a parent do not exist in a forked child.
os.register_at_fork(after_in_child=_forget_pool)


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
    if type(function) is Kernel:  # what its call does, without the call
        function = function.dispatchers.get(args[0].dtype.char) or function.compile((*args, 0, count))
    if work < SERIAL_BELOW or count == 1:
        function(*args, 0, count)
    elif type(function) is FunctionType:
        pieces = pieces_of(count)
        for piece in range(pieces):
            function(*args, count * piece // pieces, count * (piece + 1) // pieces)
    else:
        pool, threads = _pool, state.get_num_threads()
        if pool is None or pool.threads != threads:
            pool = _pool_for(threads)
        if pool.sleeping and work >= ASLEEP_BELOW:
            pool.wake()
        function(*args, -pool.board, count)
