from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import state
from tinygrad_cnn.kernels import threads
from tinygrad_cnn.kernels.compile import kernel
from tinygrad_cnn.kernels.threads import PIECES, SERIAL_BELOW, piece_at, pieces_of, split

MUCH = SERIAL_BELOW  # work for which threads are woken


@kernel
def squares(x, y, start, stop):
    for i in range(start, stop):
        y[i] = x[i] * x[i]


@pytest.fixture
def num_threads() -> Iterator[None]:
    before = state.get_num_threads()
    state.set_num_threads(3)
    yield
    state.set_num_threads(before)


class Record:
    """A unit of work that remembers its pieces and who ran them."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.pieces: list[tuple[int, int]] = []
        self.who: set[int] = set()
        self.seconds = seconds

    def __call__(self, start: int, stop: int) -> None:
        time.sleep(self.seconds)
        self.pieces.append((start, stop))
        self.who.add(threading.get_ident())


@pytest.mark.usefixtures("num_threads")
@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 9, 17, 1000, 1001])
def test_pieces_cover_the_range_once_whatever_the_number_of_threads(count: int) -> None:
    partitions = []
    for n in (1, 2, 3, 20):
        state.set_num_threads(n)
        record = Record()
        split(record, count, work=MUCH)
        partitions.append(sorted(record.pieces))
    pieces = partitions[0]
    assert partitions == [pieces] * 4
    assert len(pieces) == pieces_of(count)
    assert [0, *(stop for _, stop in pieces)] == [*(start for start, _ in pieces), count]
    assert all(start < stop for start, stop in pieces)


def test_a_kernel_knows_the_number_of_its_piece() -> None:
    for count in range(1, 300):
        starts = [count * piece // pieces_of(count) for piece in range(pieces_of(count))]
        assert [piece_at.py_func(start, count) for start in starts] == list(range(len(starts)))


def test_little_work_is_done_at_once_and_no_work_not_at_all() -> None:
    record = Record()
    split(record, 5, work=SERIAL_BELOW - 1)
    assert record.pieces == [(0, 5)]
    assert record.who == {threading.get_ident()}
    split(record, 0, work=MUCH)
    split(record, -1, work=MUCH)
    assert len(record.pieces) == 1


@pytest.mark.usefixtures("num_threads")
@pytest.mark.parametrize("n", [1, 2, 3])
def test_no_more_threads_than_allowed_and_not_fewer(n: int) -> None:
    state.set_num_threads(3)
    split(Record(0.001), 8, work=MUCH)  # three workers exist
    state.set_num_threads(n)
    record = Record(0.02)
    split(record, 8, work=MUCH)
    assert len(record.who) == n
    assert threading.get_ident() in record.who


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
    record = Record(0.002)

    def work(start: int, stop: int) -> None:
        record(start, stop)
        if start == bad:
            raise ValueError(f"piece {bad}")

    for _ in range(3):
        with pytest.raises(ValueError, match=f"piece {bad}"):
            split(work, 8, work=MUCH)
    assert sorted(record.pieces) == sorted([(i, i + 1) for i in range(8)] * 3)
    after = Record()
    split(after, 8, work=MUCH)
    assert len(after.pieces) == 8


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


@pytest.mark.usefixtures("num_threads")
def test_who_finds_the_pool_taken_works_alone() -> None:
    release, inside = threading.Event(), threading.Event()

    def wait(start: int, stop: int) -> None:
        inside.set()
        assert release.wait(60)

    first = threading.Thread(target=split, args=(wait, 3), kwargs={"work": MUCH})
    first.start()
    inside.wait(60)
    record, begun = Record(), time.monotonic()
    split(record, 9, work=MUCH)
    seconds = time.monotonic() - begun
    release.set()
    first.join(60)
    assert not first.is_alive()
    assert seconds < 3
    assert len(record.pieces) == 8
    assert record.who == {threading.get_ident()}


@pytest.mark.usefixtures("num_threads")
def test_a_split_inside_a_split_is_serial() -> None:
    inner = [Record(0.001) for _ in range(6)]

    def work(start: int, stop: int) -> None:
        for i in range(start, stop):
            split(inner[i], 5, work=MUCH)

    split(work, 6, work=MUCH)
    assert all(len(record.who) == 1 and len(record.pieces) == 5 for record in inner)


@pytest.mark.usefixtures("num_threads")
def test_no_worker_keeps_an_array_alive() -> None:
    def slow(x: np.ndarray, start: int, stop: int) -> None:
        time.sleep(0.001)  # so that every thread takes a piece

    for count in (2, 8, 8):
        x = np.ones(1000)
        alive = weakref.ref(x)
        split(slow, count, x, work=MUCH)
        del x
        deadline = time.monotonic() + 10
        while alive() is not None and time.monotonic() < deadline:
            time.sleep(0.001)  # a worker that woke late may still be looking for pieces
        assert alive() is None


@pytest.mark.usefixtures("num_threads")
def test_workers_are_built_once() -> None:
    split(Record(), 8, work=MUCH)
    workers = list(threads._pool.workers)
    for _ in range(20):
        split(Record(), 8, work=MUCH)
    assert threads._pool.workers == workers


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.usefixtures("num_threads")
def test_a_forked_child_builds_its_own_pool(exit_code_of_a_fork: Any) -> None:
    x = np.arange(100_000.0)
    split(squares, x.size, x, np.zeros_like(x), work=MUCH)

    def works() -> bool:
        y, record = np.zeros_like(x), Record(0.02)
        split(squares, x.size, x, y, work=MUCH)
        split(record, PIECES, work=MUCH)
        return np.array_equal(y, x * x) and len(record.who) == 3

    assert exit_code_of_a_fork(works) == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.usefixtures("num_threads")
def test_a_child_forked_during_a_launch_does_not_wait_for_it(
    exit_code_of_a_fork: Any,
) -> None:
    release, inside = threading.Event(), threading.Event()

    def wait(start: int, stop: int) -> None:
        inside.set()
        release.wait(60)

    def works() -> bool:
        record = Record(0.02)
        split(record, PIECES, work=MUCH)
        return len(record.who) == 3

    first = threading.Thread(target=split, args=(wait, 3), kwargs={"work": MUCH})
    first.start()
    inside.wait(60)
    code = exit_code_of_a_fork(works)
    release.set()
    first.join(60)
    assert code == 0


@pytest.mark.usefixtures("num_threads")
def test_sleeping_workers_use_no_processor_time() -> None:
    split(Record(), 8, work=MUCH)
    before = time.process_time()
    time.sleep(0.3)
    assert time.process_time() - before < 0.1
