from __future__ import annotations

import mmap
import os
import subprocess
import sys
import threading
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn.autograd import version
from tinygrad_cnn.kernels import buffers

LARGE = (buffers.SMALL // 4 + 7, 3)
HUGE = (buffers._HUGE_PAGE // 6 + 1000, 1, 3)  # two huge pages and a bit


@pytest.fixture(autouse=True)
def pool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffers, "_pool", {})
    monkeypatch.setattr(buffers, "_bytes", 0)


def address(array: np.ndarray) -> int:
    return array.ctypes.data


@pytest.mark.parametrize("shape", [LARGE, HUGE])
def test_memory_that_nobody_refers_to_is_used_again(shape: tuple[int, ...]) -> None:
    a = buffers.empty(shape, np.float32)
    at = address(a)
    del a
    assert address(buffers.empty(shape, np.float32)) == at
    assert address(buffers.empty(shape[::-1], np.int32)) == at  # the size counts, not shape or dtype


@pytest.mark.parametrize("shape", [LARGE, HUGE])
@pytest.mark.parametrize(
    "view",
    [lambda a: a, lambda a: a[1:], lambda a: a.T[::-1], lambda a: a.reshape(-1).view(np.int32)[:2], lambda a: [a[0]]],
)
def test_memory_that_is_still_seen_is_not(view: Any, shape: tuple[int, ...]) -> None:
    a = buffers.empty(shape, np.float32)
    at = address(a)
    kept = view(a)
    del a
    b = buffers.empty(shape, np.float32)
    assert address(b) != at
    del kept
    assert address(buffers.empty(shape, np.float32)) == at


def test_many_at_once_are_all_different() -> None:
    arrays = [buffers.empty(LARGE, np.float32) for _ in range(5)]
    assert len({address(a) for a in arrays}) == 5
    places = {address(a) for a in arrays}
    del arrays
    again = [buffers.empty(LARGE, np.float32) for _ in range(5)]
    assert {address(a) for a in again} == places


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize("shape", [LARGE, HUGE, (3,), (0, 4), ()])
def test_arrays_are_what_numpy_gives(shape: tuple[int, ...], dtype: Any) -> None:
    for array in (buffers.empty(shape, dtype), buffers.zeros(shape, dtype)):
        assert (array.shape, array.dtype) == (shape, np.dtype(dtype))
        assert array.flags.c_contiguous
        assert array.flags.writeable
        assert array.flags.aligned
    assert not buffers.zeros(shape, dtype).any()
    if shape in (LARGE, HUGE):
        assert address(array) % 64 == 0


def test_used_memory_is_zeroed_where_asked() -> None:
    a = buffers.empty(LARGE, np.float32)
    a.fill(7)
    del a
    assert not buffers.zeros(LARGE, np.float32).any()


def test_the_pool_is_bounded_and_can_be_emptied(monkeypatch: pytest.MonkeyPatch) -> None:
    size = int(np.prod(LARGE)) * 4
    monkeypatch.setattr(buffers, "MOST_BYTES", 3 * size + 1000)
    held = [buffers.empty(LARGE, np.float32) for _ in range(5)]
    assert len({address(a) for a in held}) == 5
    assert buffers._bytes <= buffers.MOST_BYTES
    del held
    buffers.empty((LARGE[0] * 2, 3), np.float32)  # another size: free blocks make room
    assert buffers._bytes <= buffers.MOST_BYTES
    buffers.release()
    assert buffers._bytes == 0
    assert not any(buffers._pool.values())


def test_release_keeps_what_is_in_use() -> None:
    a = buffers.empty(LARGE, np.float32)
    a.fill(3)
    buffers.release()
    b = buffers.empty(LARGE, np.float32)
    b.fill(4)
    assert (a == 3).all()


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE


@pytest.mark.skipif(not hasattr(mmap, "MADV_HUGEPAGE"), reason="the platform has no huge pages to ask for")
@pytest.mark.parametrize("shape", [HUGE, (1024, 1000)])  # the second: the last huge page is nearly full
def test_large_blocks_begin_on_a_huge_page_and_take_hardly_more_than_they_hold(shape: tuple[int, ...]) -> None:
    arrays = [buffers.empty(shape, np.float32) for _ in range(8)]
    assert all(address(a) % buffers._HUGE_PAGE == 0 for a in arrays)
    before = resident()
    for a in arrays:
        a.fill(1)
    grown, held = resident() - before, 8 * arrays[0].nbytes
    assert held * 0.9 < grown < held * 17 / 16 + 2**19  # of the first, whole huge pages would be 16 MB more
    assert buffers._bytes == held
    del a, arrays
    buffers.release()
    assert resident() < before + 2**20  # at once, not when the allocator thinks fit


@pytest.mark.parametrize("refused", [True, False])
def test_where_huge_pages_cannot_be_had_memory_is_allocated_as_usual(refused: bool, monkeypatch: Any) -> None:
    def refuse(*args: Any) -> None:
        raise OSError

    if refused:
        monkeypatch.setattr(buffers.mmap, "mmap", refuse)
    else:
        monkeypatch.delattr(buffers.mmap, "MADV_HUGEPAGE", raising=False)
    a = buffers.zeros(HUGE, np.float32)
    assert address(a) % 64 == 0
    assert not a.any()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_a_forked_child_writes_to_memory_of_its_own() -> None:
    a = buffers.empty(HUGE, np.float32)
    a.fill(1)
    if not (child := os.fork()):
        a.fill(2)
        os._exit(int(not (a == 2).all()))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert (a == 1).all()


def test_an_interpreter_ends_in_peace_while_arrays_lie_on_blocks() -> None:
    code = (
        "import copy, pickle, numpy as np; from tinygrad_cnn.kernels import buffers\n"
        f"a = buffers.zeros({HUGE}, np.float32); view = a[1:].T\n"
        "assert (pickle.loads(pickle.dumps(a)) == copy.deepcopy(a)).all()\n"
        "np.kept = view; cycle = [view]; cycle.append(cycle)\n"
    )
    ended = subprocess.run([sys.executable, "-X", "dev", "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_threads_never_share_a_block() -> None:
    failures = []

    def work(mark: float) -> None:
        for _ in range(300):
            a = buffers.empty(LARGE, np.float32)
            a.fill(mark)
            b = buffers.empty(LARGE, np.float32)
            b.fill(-mark)
            if not ((a == mark).all() and (b == -mark).all()):
                failures.append(mark)

    threads = [threading.Thread(target=work, args=(float(i + 1),)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_an_interpreter_without_usable_counts_gets_new_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffers, "_FREE", 0)
    a = buffers.empty(LARGE, np.float32)
    a.fill(1)
    del a
    assert buffers.empty(LARGE, np.float32).shape == LARGE


def test_a_write_to_memory_in_its_next_life_does_not_concern_the_one_before() -> None:
    a = buffers.empty(LARGE, np.float32)
    node_recorded = version.tick()
    memory = weakref.ref(version.owner(a))
    del a
    b = buffers.empty(LARGE, np.float32)
    version.note_write(b)
    assert version.written_since(version.owner(b[1:]), node_recorded)
    assert not version.written_since(memory(), node_recorded)


def test_borrowed_scratch_is_zero_at_first_and_comes_back_as_it_was_left() -> None:
    a, b = lent = buffers.borrow("key", np.float32, (3, 4), LARGE)
    assert not a.any()
    assert not b.any()
    assert b.ctypes.data % 64 == 0
    assert buffers.borrow("key", np.float32, (3, 4), LARGE)[0] is not a  # lent out
    a[1] = 5
    buffers.give_back("key", lent)
    again = buffers.borrow("key", np.float32, (3, 4), LARGE)
    assert again[0] is a
    assert again[1] is b
    assert not buffers.borrow("other", np.float32, (3, 4))[0].any()


def test_scratch_does_not_pile_up() -> None:
    for key in range(1000):
        buffers.give_back(key, (np.zeros(3),))
    assert len(buffers._scratch) <= buffers._MOST_KEYS
    buffers.release()
    assert not buffers._scratch
