from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import Tensor, no_grad, zeros
from tinygrad_cnn import functional as F


def leaf(*values: float, dtype: Any = np.float64) -> Tensor:
    return Tensor(np.array(values, dtype), requires_grad=True)


# --- writing memory --------------------------------------------------------------------------------------------------


def test_writing_elements_is_recorded() -> None:
    x, w = leaf(1.0, 2.0, 3.0), leaf(10.0)
    h = x * 2
    h[1] = w[0] * 3
    assert h.tolist() == [2.0, 30.0, 6.0]
    (h * h).sum().backward()
    assert x.grad.tolist() == [8.0, 0.0, 24.0]
    assert w.grad.tolist() == [180.0]


def test_writing_into_a_constant_makes_it_depend_on_what_was_written() -> None:
    w = leaf(3.0, 4.0)
    board = zeros(2, 3, dtype=np.float64)
    board[:, 1:] = w.reshape(2, 1)
    (board * Tensor(np.arange(6.0).reshape(2, 3))).sum().backward()
    assert w.grad.tolist() == [3.0, 9.0]


def test_a_written_value_is_masked_and_not_multiplied_by_0() -> None:
    x = leaf(1.0, 2.0)
    y = x * 3
    y[0] = 5.0
    (y * np.array([np.inf, 1.0])).sum().backward()
    assert x.grad.tolist() == [0.0, 3.0]


def test_boolean_and_integer_keys_write_too() -> None:
    t = Tensor([1.0, 2.0, 3.0])
    t[t > 1.5] = 0
    assert t.tolist() == [1.0, 0.0, 0.0]
    t[[0, 2]] = np.array([5.0, 6.0])
    assert t.tolist() == [5.0, 0.0, 6.0]
    t[Tensor([1])] = 7
    assert t.tolist() == [5.0, 7.0, 6.0]


def test_fill_zero_and_copy_return_the_tensor() -> None:
    t = zeros(2, 2)
    memory = t.data
    assert t.fill_(3.0) is t
    assert t.tolist() == [[3.0, 3.0], [3.0, 3.0]]
    assert t.copy_([1, 2]).tolist() == [[1.0, 2.0], [1.0, 2.0]]
    assert t.zero_().tolist() == [[0.0, 0.0], [0.0, 0.0]]
    assert t.data is memory


def test_a_leaf_is_written_under_no_grad_only() -> None:
    w = leaf(1.0, 2.0)
    for write in (lambda: w.zero_(), lambda: w.__setitem__(0, 1.0), lambda: w.copy_(w)):
        with pytest.raises(RuntimeError, match=r"a leaf that requires a gradient cannot be written .* no_grad"):
            write()
    with no_grad():
        w[0] = 5.0
    assert w.tolist() == [5.0, 2.0]
    assert w.requires_grad


def test_writing_through_a_view_of_a_recorded_tensor_is_refused() -> None:
    h = leaf(1.0, 2.0) * 2
    for view in (h[0:1], h.reshape(2, 1), h.T):
        with pytest.raises(RuntimeError, match=r"is a view .* of a recorded one"):
            view[0] = 5.0
    assert h.tolist() == [2.0, 4.0]


def test_a_recorded_value_is_not_written_through_a_view_of_a_constant() -> None:
    w, board = leaf(3.0), zeros(2, 3, dtype=np.float64)
    with pytest.raises(RuntimeError, match="the tensor it is a view of would not know"):
        board[0][1] = w[0]
    assert board.tolist() == [[0.0] * 3] * 2
    board[0][1] = 5.0  # a number is no part of any graph
    assert board.tolist()[0] == [0.0, 5.0, 0.0]


def test_integers_take_no_recorded_value() -> None:
    t = Tensor([1, 2])
    with pytest.raises(TypeError, match="cannot be written to a tensor of dtype int64"):
        t[0] = leaf(1.5)[0]
    assert t.requires_grad is False


def test_writing_errors_name_the_shape() -> None:
    with pytest.raises(ValueError, match=r"writing to a tensor of shape \(3,\): could not broadcast"):
        zeros(3).copy_(np.ones(4))
    with pytest.raises(IndexError, match=r"writing to a tensor of shape \(3,\)"):
        zeros(3)[5] = 1.0
    with pytest.raises(ValueError, match=r"shape \(2, 3\): .*read-only"):
        F.expand(zeros(3), 2, 3)[0] = 1.0


# --- x += v ----------------------------------------------------------------------------------------------------------


def test_updates_give_a_new_value_and_leave_memory_alone() -> None:
    for update, expected in (
        (lambda t: t.__iadd__(2), [3.0, 4.0]),
        (lambda t: t.__isub__(2), [-1.0, 0.0]),
        (lambda t: t.__imul__(2), [2.0, 4.0]),
        (lambda t: t.__itruediv__(2), [0.5, 1.0]),
    ):
        t = Tensor([1.0, 2.0])
        old, view = t.data, t[0]
        assert update(t) is t
        assert t.tolist() == expected
        assert old.tolist() == [1.0, 2.0]
        assert view.item() == 1.0  # the one difference from PyTorch: a view does not see it


def test_updates_on_leaves_need_no_grad_and_keep_the_leaf() -> None:
    w = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match=r"x \+= v on a leaf"):
        w += 1
    with no_grad():
        w -= 0.5
    assert w.tolist() == [0.5, 1.5]
    (w * w).sum().backward()
    assert w.grad.tolist() == [1.0, 3.0]


def test_updates_change_neither_shape_nor_kind() -> None:
    x = Tensor([1.0])
    with pytest.raises(ValueError, match=r"cannot change the shape \(1,\) to \(2,\)"):
        x += np.ones(2)
    n = Tensor([1])
    with pytest.raises(TypeError, match="cannot change the dtype int64 to float32"):
        n /= 2
    f = Tensor([1.0])
    f += np.ones(1)  # float64 into float32
    assert f.dtype == np.float32


def doubled(x: Any, exp: Any) -> Any:
    h = x * 2
    h += h
    return h * h


def saved_then_scaled(x: Any, exp: Any) -> Any:
    h = x * 3
    y = h + x
    h *= 2
    return y + h


def residual(x: Any, exp: Any) -> Any:
    h = exp(x)
    h = h * 1
    for _ in range(3):
        h += x * x
    return h


def subtract_itself(x: Any, exp: Any) -> Any:
    h = x * x
    h -= x
    h /= 2.0
    return h


def with_a_constant_first(x: Any, exp: Any) -> Any:
    total = x.detach() * 0
    total += x * x
    total += x
    return total


def element_written(x: Any, exp: Any) -> Any:
    h = x * 2
    h[0] = x[1] * x[0]
    return h + x


@pytest.mark.parametrize(
    "idiom", [doubled, saved_then_scaled, residual, subtract_itself, with_a_constant_first, element_written]
)
def test_idioms_agree_with_torch(idiom: Callable[[Any, Any], Any]) -> None:
    torch = pytest.importorskip("torch")
    ours = leaf(0.5, -1.5)
    theirs = torch.tensor([0.5, -1.5], dtype=torch.float64, requires_grad=True)
    weights = np.array([1.0, 3.0])
    y, reference = idiom(ours, F.exp), idiom(theirs, torch.exp)
    assert np.allclose(y.tolist(), reference.tolist(), rtol=1e-12)
    (y * weights).sum().backward()
    (reference * torch.tensor(weights)).sum().backward()
    assert np.allclose(ours.grad.data, theirs.grad.numpy(), rtol=1e-12)


def test_where_torch_refuses_an_update_of_a_saved_result_this_is_exact() -> None:
    x = leaf(0.5, -1.5)
    h = F.exp(x)
    y = h * 1
    h += 1  # exp has saved its result; the array it saved stays as it is
    (h * y).sum().backward()
    e = np.exp(x.data)
    assert np.allclose(x.grad.data, e * e + (e + 1) * e)
