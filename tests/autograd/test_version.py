from __future__ import annotations

import gc
from collections.abc import Callable

import numpy as np
import pytest

from tinygrad_cnn import Tensor, grad, no_grad
from tinygrad_cnn import functional as F
from tinygrad_cnn.autograd import version
from tinygrad_cnn.state import tick


def leaf(*values: float) -> Tensor:
    return Tensor(np.array(values), requires_grad=True)


def test_the_owner_of_a_view_of_a_view_is_the_array_with_the_memory() -> None:
    memory = np.zeros((4, 6))
    view = memory[1:][:, 2:].T
    assert version.owner(view) is memory
    assert version.owner(memory) is memory
    assert version.owner(np.frombuffer(b"12345678")) is not None


def test_a_write_is_seen_through_every_view_and_only_after_its_moment() -> None:
    memory, other = np.zeros(4), np.zeros(4)
    before = tick()
    version.note_write(memory[1:])
    after = tick()
    assert version.written_since(memory, before)
    assert not version.written_since(memory, after)
    assert not version.written_since(other, before)
    assert not version.written_since(None, before)


def test_notes_about_dead_memory_are_forgotten() -> None:
    notes = len(version._writes)
    for _ in range(100):
        version.note_write(np.zeros(3))
    gc.collect()
    assert len(version._writes) == notes


def write_item(t: Tensor) -> None:
    t[0] = 9.0


def write_slice_of_detached(t: Tensor) -> None:
    t.detach()[1:] = 9.0


def write_copy(t: Tensor) -> None:
    t.copy_(np.full(3, 9.0))


def write_fill(t: Tensor) -> None:
    t.fill_(9.0)


def write_zero(t: Tensor) -> None:
    t.zero_()


def write_data(t: Tensor) -> None:
    t.data -= 1.0


WRITES = [write_item, write_slice_of_detached, write_copy, write_fill, write_zero, write_data]


@pytest.mark.parametrize("write", WRITES)
def test_writing_to_a_saved_input_makes_backward_raise(write: Callable[[Tensor], None]) -> None:
    x, w = leaf(1.0, 2.0, 3.0), leaf(4.0, 5.0, 6.0)
    y = x * w
    with no_grad():
        write(w)
    with pytest.raises(RuntimeError, match=r"backward of Mul: its input 'x2' \(shape \(3,\)\) was written in place"):
        y.sum().backward()
    assert x.grad is None


@pytest.mark.parametrize("write", WRITES)
def test_writing_to_a_saved_result_makes_backward_raise(write: Callable[[Tensor], None]) -> None:
    y = F.exp(leaf(1.0, 2.0, 3.0))
    z = y.sum()
    with no_grad():
        write(y)
    with pytest.raises(RuntimeError, match="backward of Exp: its result"):
        z.backward()


@pytest.mark.parametrize("write", WRITES)
def test_writing_to_what_nobody_saved_is_fine(write: Callable[[Tensor], None]) -> None:
    x, w = leaf(1.0, 2.0, 3.0), leaf(4.0, 5.0, 6.0)
    y = x + w
    with no_grad():
        write(w)
    y.sum().backward()
    assert np.array_equal(x.grad.data, np.ones(3))


@pytest.mark.parametrize("write", WRITES)
def test_writing_before_the_forward_pass_is_fine(write: Callable[[Tensor], None]) -> None:
    x, w = leaf(1.0, 2.0, 3.0), leaf(4.0, 5.0, 6.0)
    with no_grad():
        write(w)
    (x * w).sum().backward()
    assert np.array_equal(x.grad.data, w.data)


def test_a_saved_view_is_guarded_through_the_memory_it_shares() -> None:
    w = Tensor(np.arange(6.0).reshape(2, 3))
    x = leaf(1.0, 2.0, 3.0)
    y = x * w[1]
    w[0, 0] = 5.0  # another part of the same memory: an error that is safe, not exact
    with pytest.raises(RuntimeError, match="written in place"):
        y.sum().backward()


def test_a_recorded_view_does_not_silently_show_a_later_write() -> None:
    h = leaf(1.0, 2.0) * 2
    v = h[0:1]
    h[0] = 5.0
    with pytest.raises(RuntimeError, match="of which its result"):
        (v * 3).sum().backward()


def test_rebinding_data_is_no_write_to_the_old_memory() -> None:
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    y = x * w
    w.data = np.array([30.0, 40.0])
    y.sum().backward()
    assert x.grad.data.tolist() == [3.0, 4.0]


def test_second_order_is_guarded_too() -> None:
    x = leaf(1.0, 2.0)
    (gx,) = grad((x * x * x).sum(), x, create_graph=True)
    with no_grad():
        x.fill_(0.0)
    with pytest.raises(RuntimeError, match="written in place"):
        grad(gx.sum(), x)


def test_numpy_views_are_read_only() -> None:
    t = Tensor([1.0, 2.0])
    with pytest.raises(ValueError, match="read-only"):
        t.numpy()[0] = 5.0
