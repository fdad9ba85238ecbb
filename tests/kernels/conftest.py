from __future__ import annotations

import math
import os
import threading
import warnings
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from tinygrad_cnn import state
from tinygrad_cnn.kernels import buffers, threads


@pytest.fixture
def fenced(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[np.ndarray]]:
    """Surround the memory that kernels take from now on, and see in the end that nothing was written beside it."""
    blocks: list[np.ndarray] = []

    def fence(shape: tuple[int, ...], dtype: type, value: float = 5e9) -> np.ndarray:
        block = np.full(math.prod(shape) + 128, 123, dtype)
        block[64:-64] = 5 if block.dtype.kind in "iu" else value
        blocks.append(block)
        return block[64:-64].reshape(shape)

    monkeypatch.setattr(buffers, "empty", fence)
    borrow = lambda key, dtype, *shapes: [fence(shape, dtype, 0.0) for shape in shapes]
    monkeypatch.setattr(buffers, "borrow", borrow)
    yield blocks
    assert all((block[:64] == 123).all() and (block[-64:] == 123).all() for block in blocks)


@pytest.fixture
def same_bits_for_every_thread_count(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Compare what a function returns when all runs in one piece with what it does in launches for 1 to 3 threads."""

    def check(compute: Callable[[type], list[np.ndarray]], dtype: type) -> None:
        monkeypatch.setattr(threads, "SERIAL_BELOW", 2**60)
        alone = compute(dtype)
        monkeypatch.setattr(threads, "SERIAL_BELOW", 0)
        for count in (1, 2, 3, 3):
            monkeypatch.setattr(state, "_num_threads", count)
            for y, expected in zip(compute(dtype), alone, strict=True):
                assert y.tobytes() == expected.tobytes(), f"{count} threads"

    return check


@pytest.fixture
def exit_code_of_a_fork() -> Callable[[Callable[[], bool]], int]:
    """Run a check in a forked child and return 0 where it holds; a child that hangs is killed."""

    def run(check: Callable[[], bool]) -> int:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 on: a fork while threads run
            pid = os.fork()
        if pid == 0:
            try:
                os._exit(0 if check() else 1)
            finally:
                os._exit(2)
        alarm = threading.Timer(40, os.kill, (pid, 9))
        alarm.start()
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        alarm.cancel()
        return code

    return run
