from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import state
from tinygrad_cnn.kernels import threads
from tinygrad_cnn.kernels.compile import kernel
from tinygrad_cnn.kernels.threads import ASLEEP_BELOW, PIECES, SERIAL_BELOW, piece_at, pieces_of, split

MUCH = ASLEEP_BELOW  # work for which threads are woken


ROOT = Path(__file__).parents[2]


@kernel
def squares(x, y, start, stop):
    for i in range(start, stop):
        y[i] = x[i] * x[i]


@kernel
def note(x, y, patience, start, stop):
    """Write where each piece begins and ends; count the pieces, those under way, and the most that were at once."""
    y[start], y[stop + x.size] = stop, start
    counts = y.ctypes.data
    under_way, most = 2 * x.size + 1, 2 * x.size + 2
    threads._add(counts, under_way - 1, 1)
    threads._add(counts, under_way, 1)
    for _ in range(patience):
        y[most] = max(y[most], threads._load(counts, under_way))
        threads._give_way()
    threads._add(counts, under_way, -1)


@kernel
def fail(x, y, bad, start, stop):
    for i in range(start, stop):
        y[i] += 1
    if start <= bad and bad < stop:
        raise ValueError("a piece failed")


@pytest.fixture
def num_threads() -> Iterator[None]:
    before = state.get_num_threads()
    state.set_num_threads(3)
    yield
    state.set_num_threads(before)


class Noted:
    """What `note` wrote about a launch."""

    def __init__(self, count: int, patience: int = 0, work: int = MUCH) -> None:
        size = count + 1
        y = np.full(2 * size + 3, -1, np.int64)
        y[-3:] = 0
        split(note, count, np.zeros(size, np.int64), y, patience, work=work)
        self.pieces = [(start, int(stop)) for start, stop in enumerate(y[:size]) if stop >= 0]
        self.backwards = [(int(start), stop) for stop, start in enumerate(y[size : 2 * size]) if start >= 0]
        self.calls, self.under_way, self.most = y[-3:]


def reached(count: int, work: int = MUCH) -> bool:
    """Say whether so many threads run at once: on a busy machine one may get no core during a launch, or many."""
    return any(Noted(8, patience=20_000, work=work).most == count for _ in range(500))


@pytest.mark.usefixtures("num_threads")
@pytest.mark.parametrize("count", [2, 3, 7, 8, 9, 17, 1000, 1001])
def test_pieces_cover_the_range_once_whatever_the_number_of_threads(count: int) -> None:
    for n in (1, 2, 3, 20):
        state.set_num_threads(n)
        noted = Noted(count)
        pieces = pieces_of(count)
        expected = [(count * piece // pieces, count * (piece + 1) // pieces) for piece in range(pieces)]
        assert noted.pieces == noted.backwards == expected
        assert (noted.calls, noted.under_way) == (pieces, 0)


def test_a_kernel_knows_the_number_of_its_piece() -> None:
    for count in range(1, 300):
        starts = [count * piece // pieces_of(count) for piece in range(pieces_of(count))]
        assert [piece_at(start, count) for start in starts] == list(range(len(starts)))


@pytest.mark.usefixtures("num_threads")
def test_little_work_is_done_at_once_and_no_work_not_at_all() -> None:
    assert Noted(5, work=SERIAL_BELOW - 1).pieces == [(0, 5)]
    assert len(Noted(5, work=SERIAL_BELOW).pieces) == 5
    assert Noted(1).pieces == [(0, 1)]
    assert Noted(0).calls == 0
    x = np.zeros(3)
    split(squares, -1, x, x.copy(), work=MUCH)


def test_plain_python_runs_the_same_pieces_one_after_the_other() -> None:
    pieces: list[tuple[int, int]] = []
    split(lambda start, stop: pieces.append((start, stop)), 17, work=MUCH)
    assert pieces == Noted(17).pieces


@pytest.mark.usefixtures("num_threads")
@pytest.mark.parametrize("n", [1, 2, 3, 20])
def test_no_more_threads_than_allowed_and_not_fewer(n: int) -> None:
    state.set_num_threads(3)
    Noted(8)  # three threads exist
    state.set_num_threads(n)
    Noted(8)
    assert reached(min(n, PIECES))


@pytest.mark.usefixtures("num_threads")
def test_split_returns_when_all_is_done() -> None:
    x = np.random.default_rng(0).standard_normal(100_001)
    for _ in range(300):
        y = np.zeros_like(x)
        split(squares, x.size, x, y, work=MUCH)
        assert y[-1] == x[-1] ** 2
        np.testing.assert_array_equal(y, x * x)


@pytest.mark.usefixtures("num_threads")
@pytest.mark.parametrize("bad", [0, 3, 7])
def test_an_error_reaches_the_caller_and_the_pool_lives_on(bad: int) -> None:
    x, y = np.zeros(8), np.zeros(8)
    for _ in range(3):
        with pytest.raises(ValueError, match="a piece failed"):
            split(fail, 8, x, y, bad, work=MUCH)
    np.testing.assert_array_equal(y, [3] * 8)  # the other pieces are finished, not abandoned
    split(fail, 8, x, y, -1, work=MUCH)
    np.testing.assert_array_equal(y, [4] * 8)
    assert Noted(8).calls == 8


@pytest.mark.usefixtures("num_threads")
def test_many_python_threads_at_once() -> None:
    x = np.random.default_rng(1).standard_normal(50_000)
    wrong = []

    def run(factor: int) -> None:
        for _ in range(40):
            y = np.zeros_like(x)
            split(squares, x.size, factor * x, y, work=MUCH)
            if not np.array_equal(y, (factor * x) ** 2):
                wrong.append(factor)

    runners = [threading.Thread(target=run, args=(factor,)) for factor in range(1, 6)]
    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join(60)
        assert not runner.is_alive()
    assert wrong == []
    assert threads._pool.words[threads._TAKEN] == 0


@pytest.mark.usefixtures("num_threads")
def test_who_finds_the_pool_taken_works_alone() -> None:
    assert Noted(9).calls == 8
    words = threads._pool.words
    words[threads._TAKEN] = 1  # as another thread would, during its launch
    noted = Noted(9, patience=1000)
    words[threads._TAKEN] -= 1
    assert (noted.calls, noted.most) == (8, 1)
    assert words[threads._TAKEN] == 0


@pytest.mark.usefixtures("num_threads")
def test_other_python_threads_run_during_a_launch() -> None:
    done = []
    runner = threading.Thread(target=lambda: done.append(Noted(8, patience=100_000).calls))
    runner.start()
    moments = 0
    while runner.is_alive():
        time.sleep(0.001)
        moments += 1
    assert done == [8]
    assert moments > 3


@pytest.mark.usefixtures("num_threads")
def test_no_launch_keeps_an_array_alive() -> None:
    for _ in range(3):
        x = np.ones(1000)
        alive = weakref.ref(x)
        split(squares, x.size, x, np.empty(1000), work=MUCH)
        del x
        assert alive() is None


@pytest.mark.usefixtures("num_threads")
def test_workers_are_built_once_and_leave_when_there_are_too_many() -> None:
    def threads_of_this_process() -> int:
        return len(list(Path("/proc/self/task").iterdir()))

    Noted(8)
    pool, before = threads._pool, threads_of_this_process()
    for _ in range(20):
        Noted(8)
    assert threads._pool is pool
    assert threads_of_this_process() == before
    state.set_num_threads(1)
    Noted(8)
    deadline = time.monotonic() + 10
    while threads_of_this_process() != before - 2 and time.monotonic() < deadline:
        time.sleep(0.001)
    assert threads_of_this_process() == before - 2


@pytest.mark.usefixtures("num_threads")
def test_workers_that_sleep_use_no_processor_time_and_wake_for_much_work_only() -> None:
    Noted(8)
    time.sleep(0.1)
    sleeping = threads._pool.sleeping
    before = time.process_time()
    time.sleep(0.3)
    assert time.process_time() - before < 0.1
    assert len(sleeping) == 2
    Noted(8, work=ASLEEP_BELOW - 1)
    assert len(sleeping) == 2
    assert reached(3, work=ASLEEP_BELOW)


def test_a_launch_that_comes_while_a_worker_falls_asleep_is_not_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    pool: Any = object.__new__(threads._Pool)
    pool.words, pool.looks, pool.sleeping = np.zeros(threads._WORDS, np.int64), 1, deque()
    rounds: list[int] = []

    def serve(words: np.ndarray, looks: int) -> None:
        rounds.append(looks)
        words[threads._LEFT] = len(rounds) == 1  # after its last look, before it sleeps
        words[threads._CLOSED] = len(rounds) == 2

    monkeypatch.setattr(threads, "_serve", serve)
    worker = threading.Thread(target=pool._work, daemon=True)
    worker.start()
    worker.join(10)
    assert not worker.is_alive()
    assert len(rounds) == 2
    assert len(pool.sleeping) == 1


def test_a_process_ends_cleanly_right_after_a_launch() -> None:
    """Its workers are awake then, in compiled code."""
    text = "import numpy as np; from tinygrad_cnn import functional as F; F.relu(np.ones(2_000_000))"
    for _ in range(3):
        ended = subprocess.run([sys.executable, "-c", text], cwd=ROOT, capture_output=True, text=True, timeout=60)
        assert (ended.returncode, ended.stderr) == (0, "")


def launch_for_ever(y: np.ndarray) -> None:
    while True:
        Noted(8, patience=300)
        split(fail, 8, y, y, -1, work=MUCH)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs timers")
@pytest.mark.usefixtures("num_threads")
def test_an_interrupt_waits_for_the_launch_and_leaves_the_pool_whole() -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    y = np.zeros(8)
    try:
        for _ in range(20):
            signal.setitimer(signal.ITIMER_REAL, 0.003)
            with pytest.raises(KeyboardInterrupt):
                launch_for_ever(y)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert np.all(y == y[0])  # no launch was left half-done
    assert threads._pool.words[threads._TAKEN] == 0
    assert Noted(8).calls == 8


def forked_child_has_three_threads() -> bool:
    x = np.arange(100_000.0)
    y = np.zeros_like(x)
    split(squares, x.size, x, y, work=MUCH)
    return np.array_equal(y, x * x) and reached(3)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.usefixtures("num_threads")
def test_a_forked_child_builds_its_own_pool(exit_code_of_a_fork: Any) -> None:
    Noted(8)
    assert exit_code_of_a_fork(forked_child_has_three_threads) == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.usefixtures("num_threads")
def test_a_child_forked_during_a_launch_does_not_wait_for_it(exit_code_of_a_fork: Any) -> None:
    Noted(8)
    first = threading.Thread(target=Noted, args=(8, 200_000))
    first.start()
    while not threads._pool.words[threads._TAKEN]:
        time.sleep(0)
    assert exit_code_of_a_fork(forked_child_has_three_threads) == 0
    first.join(60)
    assert not first.is_alive()
