from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest

import tinygrad_cnn
from tinygrad_cnn import state


@pytest.fixture(autouse=True)
def same_state_afterwards() -> Iterator[None]:
    before, threads = state.generator_state(), state._num_threads
    yield
    state.set_generator_state(before)
    state._num_threads = threads


def test_a_seed_fixes_the_stream_and_keeps_the_generator() -> None:
    held = state.default_generator()
    assert state.manual_seed(7) is held
    first = held.standard_normal(3)
    state.manual_seed(np.int64(7))
    assert np.array_equal(held.standard_normal(3), first)
    state.manual_seed(8)
    assert not np.array_equal(held.standard_normal(3), first)


@pytest.mark.parametrize(("seed", "error"), [(1.5, TypeError), ("1", TypeError), (True, TypeError), (-1, ValueError)])
def test_a_seed_is_a_whole_number(seed: object, error: type[Exception]) -> None:
    with pytest.raises(error, match="manual_seed: seed must be"):
        state.manual_seed(seed)


@pytest.mark.parametrize(
    "draw",
    [
        lambda g: tinygrad_cnn.rand(2, generator=g),
        lambda g: tinygrad_cnn.randn(2, generator=g),
        lambda g: tinygrad_cnn.functional.dropout(np.ones(2), generator=g),
        lambda g: tinygrad_cnn.nn.init.normal_(tinygrad_cnn.zeros(2), generator=g),
    ],
)
def test_a_bare_seed_is_no_generator(draw: Callable[[object], object]) -> None:
    for seed in (0, 7):  # 0 must not pass for None
        with pytest.raises(TypeError, match=f"generator must be a numpy.random.Generator.* got {seed}"):
            draw(seed)


def test_a_generator_state_goes_through_json_and_continues_exactly() -> None:
    state.default_generator().random(3)
    saved = json.loads(json.dumps(state.generator_state()))
    expected = state.default_generator().random(5)
    state.default_generator().random(99)
    state.set_generator_state(saved)
    assert np.array_equal(state.default_generator().random(5), expected)
    own = np.random.default_rng(4)
    saved = state.generator_state(own)
    expected = own.random(2)
    state.set_generator_state(saved, own)
    assert np.array_equal(own.random(2), expected)


def test_without_a_seed_two_processes_draw_the_same_numbers() -> None:
    program = "import tinygrad_cnn; print(tinygrad_cnn.rand(3).tolist())"
    runs = {subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout for _ in range(2)}
    assert len(runs) == 1
    assert runs.pop().startswith("[0.")


def test_ticks_are_unique_across_threads() -> None:
    seen: list[list[int]] = [[], []]

    def take(mine: list[int]) -> None:
        mine.extend(state.tick() for _ in range(2000))

    threads = [threading.Thread(target=take, args=(mine,)) for mine in seen]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(seen[0]) | set(seen[1])) == 4000
    assert all(mine == sorted(mine) for mine in seen)


def test_the_number_of_threads_is_a_positive_whole_number() -> None:
    tinygrad_cnn.set_num_threads(3)
    assert tinygrad_cnn.get_num_threads() == 3
    for wrong in (0, -1, 1.5, True, "2"):
        with pytest.raises(ValueError, match="set_num_threads: n must be a positive int"):
            state.set_num_threads(wrong)
    assert tinygrad_cnn.get_num_threads() == 3


def test_the_environment_may_set_the_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "_num_threads", 0)
    monkeypatch.setenv("TINYGRAD_CNN_NUM_THREADS", "5")
    assert state.get_num_threads() == 5
    monkeypatch.setattr(state, "_num_threads", 0)
    for wrong in ("0", "-2", "many", "1.5"):
        monkeypatch.setenv("TINYGRAD_CNN_NUM_THREADS", wrong)
        with pytest.raises(ValueError, match="must be a positive whole number"):
            state.get_num_threads()
    monkeypatch.delenv("TINYGRAD_CNN_NUM_THREADS")
    assert state.get_num_threads() >= 1


def test_place_names_the_module() -> None:
    assert state.place("conv2d") == "conv2d"
    token = state.module_path.set("features.0")
    try:
        assert state.place("conv2d") == "conv2d in features.0"
    finally:
        state.module_path.reset(token)


def test_the_winograd_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    for text, expected in (("", True), ("1", True), ("0", False)):
        monkeypatch.setattr(state, "_winograd", None)
        monkeypatch.setenv("TINYGRAD_CNN_WINOGRAD", text)
        assert state.get_winograd() is expected
    tinygrad_cnn.set_winograd(np.True_)
    assert tinygrad_cnn.get_winograd() is True
    with pytest.raises(TypeError, match="set_winograd: enabled must be True or False, got 0"):
        tinygrad_cnn.set_winograd(0)
    monkeypatch.setattr(state, "_winograd", None)
    monkeypatch.setenv("TINYGRAD_CNN_WINOGRAD", "off")
    with pytest.raises(ValueError, match="TINYGRAD_CNN_WINOGRAD must be 0 or 1, got 'off'"):
        state.get_winograd()


def test_strict_sizes_end_with_the_block_and_stay_in_their_thread() -> None:
    seen: list[bool] = []
    with state.strict_sizes():
        assert state.sizes_are_strict.get()
        thread = threading.Thread(target=lambda: seen.append(state.sizes_are_strict.get()))
        thread.start()
        thread.join()
    assert not state.sizes_are_strict.get()
    assert seen == [False]
