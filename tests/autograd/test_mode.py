from __future__ import annotations

import threading
from collections.abc import Generator

import pytest

from tinygrad_cnn import Tensor, enable_grad, is_grad_enabled, no_grad, set_grad_enabled


def recorded() -> bool:
    return (Tensor([1.0], requires_grad=True) * 2).requires_grad


def test_nothing_is_recorded_within_no_grad_and_modes_nest() -> None:
    assert recorded()
    with no_grad():
        assert not recorded()
        with enable_grad():
            assert recorded()
            with no_grad():
                assert not is_grad_enabled()
            assert is_grad_enabled()
        assert not recorded()
    assert recorded()


def test_one_object_may_be_entered_twice() -> None:
    mode = no_grad()
    with mode:
        with mode:
            assert not is_grad_enabled()
        assert not is_grad_enabled()
    assert is_grad_enabled()


def test_an_exception_restores_the_mode() -> None:
    with pytest.raises(KeyError), no_grad():
        raise KeyError
    assert is_grad_enabled()
    with pytest.raises(KeyError), set_grad_enabled(False):
        raise KeyError
    assert is_grad_enabled()


def test_set_grad_enabled_acts_at_once_or_for_a_block() -> None:
    set_grad_enabled(False)
    try:
        assert not is_grad_enabled()
    finally:
        set_grad_enabled(True)
    with set_grad_enabled(False):
        assert not recorded()
    assert recorded()


def test_decorators_keep_names_results_and_the_mode_of_the_caller() -> None:
    @no_grad()
    def evaluate(x: int, *, y: int = 1) -> tuple[int, bool]:
        """Say what it saw."""
        return x + y, is_grad_enabled()

    assert evaluate.__name__ == "evaluate"
    assert evaluate.__doc__ == "Say what it saw."
    assert evaluate(1, y=2) == (3, False)
    assert is_grad_enabled()

    @set_grad_enabled(False)
    def paused() -> bool:
        return is_grad_enabled()

    assert is_grad_enabled()
    assert not paused()


def test_a_recursive_decorated_function_restores_the_mode() -> None:
    @no_grad()
    def countdown(n: int) -> bool:
        return is_grad_enabled() if n == 0 else countdown(n - 1)

    assert not countdown(5)
    assert is_grad_enabled()


def test_a_decorated_generator_pauses_its_own_code_and_not_its_consumers() -> None:
    seen: list[bool] = []

    @no_grad()
    def batches() -> Generator[bool, int, str]:
        try:
            received = yield is_grad_enabled()
            seen.append(is_grad_enabled())
            try:
                yield bool(received)
            except KeyError:
                seen.append(is_grad_enabled())
                yield True
        finally:
            seen.append(is_grad_enabled())
        return "end"

    generator = batches()
    assert next(generator) is False
    assert is_grad_enabled()
    assert generator.send(1) is True
    assert generator.throw(KeyError()) is True
    with pytest.raises(StopIteration) as stop:
        next(generator)
    assert stop.value.value == "end"
    assert seen == [False, False, False]
    assert is_grad_enabled()


def test_a_generator_that_is_closed_early_runs_its_cleanup_in_its_mode() -> None:
    seen: list[bool] = []

    @no_grad()
    def batches() -> Generator[int, None, None]:
        try:
            yield 1
        finally:
            seen.append(is_grad_enabled())

    generator = batches()
    next(generator)
    generator.close()
    assert seen == [False]
    assert is_grad_enabled()


def test_a_block_left_open_by_a_plain_generator_is_its_own_business() -> None:
    def careless() -> Generator[int, None, None]:
        with no_grad():
            yield 1

    generator = careless()
    next(generator)
    assert not is_grad_enabled()  # as in PyTorch: decorate the generator instead
    generator.close()
    assert is_grad_enabled()


def test_threads_start_recording_and_do_not_see_each_other() -> None:
    paused, checked = threading.Event(), threading.Event()
    seen: dict[str, bool] = {}

    def pause() -> None:
        with no_grad():
            paused.set()
            checked.wait(10)
            seen["pausing thread"] = is_grad_enabled()

    def train() -> None:
        paused.wait(10)
        x = Tensor([3.0], requires_grad=True)
        (x * x).sum().backward()
        seen["training thread"] = x.grad is not None and x.grad.item() == 6.0
        checked.set()

    threads = [threading.Thread(target=f) for f in (pause, train)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert seen == {"pausing thread": False, "training thread": True}
    assert is_grad_enabled()


def test_a_thread_started_within_no_grad_records() -> None:
    seen: list[bool] = []
    with no_grad():
        thread = threading.Thread(target=lambda: seen.append(recorded()))
        thread.start()
        thread.join(10)
    assert seen == [True]
