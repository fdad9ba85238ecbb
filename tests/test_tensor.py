from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import Tensor, grad, no_grad, zeros
from tinygrad_cnn import functional as F


def leaf(*values: float, dtype: Any = np.float64) -> Tensor:
    return Tensor(np.array(values, dtype), requires_grad=True)


# --- what it is ------------------------------------------------------------------------------------------------------


def test_attributes() -> None:
    t = Tensor([[1.0, 2.0, 3.0]])
    assert (t.shape, t.ndim, t.dtype, t.size, t.numel(), len(t)) == ((1, 3), 2, np.float32, 3, 3, 1)
    assert (t.requires_grad, t.is_leaf, t.grad_fn, t.grad) == (False, True, None, None)
    assert t.T.shape == (3, 1)
    assert Tensor(np.zeros((2, 3, 4))).T.shape == (4, 3, 2)


def test_an_array_is_shared_and_a_tensor_is_shared_and_detached() -> None:
    array = np.ones(2)
    assert Tensor(array).data is array
    x = leaf(1.0)
    assert Tensor(x * 2).requires_grad is False
    assert Tensor(x).data is x.data


@pytest.mark.parametrize(
    ("tensor", "text"),
    [
        (Tensor([1.0, 2.5]), "Tensor([1. , 2.5])"),
        (Tensor([1, 2]), "Tensor([1, 2])"),
        (Tensor([True]), "Tensor([ True])"),
        (Tensor(np.ones(2)), "Tensor([1., 1.], dtype=float64)"),
        (leaf(1.0, dtype=np.float32), "Tensor([1.], requires_grad=True)"),
        (leaf(1.0) * 2, "Tensor([2.], dtype=float64, grad_fn=<Mul>)"),
        (Tensor(1.5), "Tensor(1.5)"),
        (zeros(0, 3), "Tensor([], shape=(0, 3))"),
        (Tensor([[1.0, 2.0], [3.0, 4.0]]), "Tensor([[1., 2.],\n        [3., 4.]])"),
    ],
)
def test_repr(tensor: Tensor, text: str) -> None:
    assert repr(tensor) == text


def test_a_subclass_keeps_its_name_in_repr_only() -> None:
    class Parameter(Tensor):
        pass

    p = Parameter([1.0], requires_grad=True)
    assert repr(p).startswith("Parameter([1.]")
    assert type(p + 1) is type(p[0]) is type(p.detach()) is Tensor


# --- Python's protocols ----------------------------------------------------------------------------------------------


def test_numbers_of_one_element() -> None:
    t = Tensor([[2.5]])
    assert (t.item(), float(t), int(t), bool(t)) == (2.5, 2.5, 2, True)
    assert type(t.item()) is float
    assert type(Tensor(3).item()) is int
    assert type(Tensor(True).item()) is bool
    assert [10, 20, 30][Tensor(1)] == 20
    for call, error in ((lambda t: t.item(), ValueError), (bool, ValueError), (float, TypeError), (int, TypeError)):
        with pytest.raises(error, match=r"\(2,\)"):
            call(Tensor([1.0, 2.0]))
    with pytest.raises(TypeError, match="only an integer tensor with one element is an index, not float32"):
        [1][Tensor(0.0)]


def test_iteration_unpacking_membership_and_length() -> None:
    x = leaf(1.0, 2.0)
    a, b = x
    (a * b).backward()
    assert x.grad.tolist() == [2.0, 1.0]
    assert 2.0 in Tensor([1.0, 2.0])
    assert 3.0 not in Tensor([1.0, 2.0])
    for call in (len, iter, list):
        with pytest.raises(TypeError, match="tensor without axes"):
            call(Tensor(1.0))


def test_tensors_hash_by_identity_and_compare_by_element() -> None:
    a, b = Tensor([1.0, 2.0]), Tensor([1.0, 3.0])
    assert {a: 1, b: 2}[b] == 2
    assert (a == b).tolist() == [True, False]
    assert (a != b).tolist() == [False, True]
    assert (a < b).tolist() == [False, True]
    assert (a >= 2).tolist() == [False, True]
    assert (a == None) is False  # noqa: E711
    assert (a == "text") is False


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))])
def test_leaves_can_be_copied_and_pickled(again: Callable[[Tensor], Tensor]) -> None:
    x = leaf(1.0, 2.0)
    (x * x).sum().backward()
    twin = again(x)
    assert (twin.tolist(), twin.requires_grad, twin.grad.tolist()) == ([1.0, 2.0], True, [2.0, 4.0])
    twin.data[0] = 9.0
    twin.grad.data[0] = 9.0
    assert x.tolist() == [1.0, 2.0]
    assert x.grad.tolist() == [2.0, 4.0]
    (twin * 3).sum().backward()
    assert twin.grad.tolist() == [12.0, 7.0]
    with pytest.raises(RuntimeError, match=r"only leaves can be (copied|pickled)"):
        again(x * 2)


def test_deepcopy_keeps_sharing() -> None:
    x = leaf(1.0)
    a, b = copy.deepcopy([x, x])
    assert a is b


# --- leaves ----------------------------------------------------------------------------------------------------------


def test_only_leaves_and_retained_tensors_have_gradients() -> None:
    x = leaf(1.0, 2.0)
    h = x * 2
    kept = h * 3
    kept.retain_grad()
    kept.sum().backward()
    assert x.grad.tolist() == [6.0, 6.0]
    assert kept.grad.tolist() == [1.0, 1.0]
    with pytest.warns(UserWarning, match="call retain_grad"):
        assert h.grad is None
    with pytest.raises(RuntimeError, match="does not require"):
        Tensor([1.0]).retain_grad()


def test_requires_grad_may_be_switched_on_leaves_and_not_off_on_results() -> None:
    x = Tensor([1.0])
    assert x.requires_grad_() is x
    assert x.requires_grad
    x.requires_grad = False
    assert (x * 2).requires_grad is False
    y = leaf(1.0) * 2
    assert y.requires_grad_() is y
    with pytest.raises(RuntimeError, match=r"requires_grad_\(False\): this tensor was computed; detach\(\)"):
        y.requires_grad_(False)
    with pytest.raises(TypeError, match="only float tensors have gradients"):
        Tensor([1]).requires_grad_()


def test_freezing_between_forward_and_backward_keeps_the_place_of_the_gradient() -> None:
    x = leaf(2.0)
    y = x * x
    x.requires_grad_(False)
    y.backward()
    assert x.grad.tolist() == [4.0]
    x.requires_grad_()
    (x * 3).backward()
    assert x.grad.tolist() == [7.0]


def test_a_frozen_factor_is_not_recorded() -> None:
    assert (Tensor([1.0]) * Tensor([2.0])).grad_fn is None


def test_backward_of_leaves_numbers_and_the_rest() -> None:
    x = Tensor(3.0, requires_grad=True)
    x.backward()
    assert x.grad.item() == 1.0
    one = leaf(2.0)
    one.backward()
    assert one.grad.tolist() == [1.0]
    with pytest.raises(RuntimeError, match="backward: this tensor does not require a gradient"):
        Tensor([1.0]).backward()
    with pytest.raises(ValueError, match=r"an output of shape \(2, 3\) needs an incoming gradient .*\.sum\(\)"):
        (Tensor(np.ones((2, 3)), requires_grad=True) * 2).backward()
    with pytest.raises(ValueError, match=r"must have the output's shape \(2,\), got \(1,\)"):
        (leaf(1.0, 2.0) * 2).backward(np.ones(1))


def test_an_incoming_gradient_is_used_and_not_changed() -> None:
    x = leaf(1.0, 2.0)
    gradient = np.array([1.0, 10.0])
    gradient.flags.writeable = False
    (x * x + x * x).backward(gradient)
    assert x.grad.tolist() == [4.0, 80.0]
    x.zero_grad()
    (x * 2).backward(Tensor([1, 10]))  # integers are converted
    assert x.grad.tolist() == [2.0, 20.0]
    assert x.grad.dtype == np.float64


def test_grad_may_be_assigned_within_reason() -> None:
    x = leaf(1.0, 2.0)
    x.grad = np.array([5.0, 6.0])
    (x * 1).sum().backward()
    assert x.grad.tolist() == [6.0, 7.0]
    x.grad = None
    assert x.grad is None
    for wrong in (np.ones(3), np.ones(2, np.float32)):
        with pytest.raises(ValueError, match="must have the tensor's shape"):
            x.grad = wrong
    with pytest.raises(RuntimeError, match="does not require a gradient"):
        Tensor([1.0]).grad = Tensor([1.0])


# --- data, numpy -----------------------------------------------------------------------------------------------------


def test_data_can_be_rebound_to_the_same_shape_only() -> None:
    x = leaf(1.0, 2.0)
    x.data = np.array([3.0, 4.0])
    assert (x.tolist(), x.requires_grad) == ([3.0, 4.0], True)
    for wrong in (np.ones(3), np.ones(2, np.float32)):
        with pytest.raises(ValueError, match=r"Tensor.data: this tensor requires a gradient of shape \(2,\)"):
            x.data = wrong
    free = Tensor([1.0])
    free.data = np.ones((2, 3))
    assert free.shape == (2, 3)


def test_numpy_is_read_only_and_refused_where_a_gradient_would_be_lost() -> None:
    t = Tensor([1.0])
    assert t.numpy().flags.writeable is False
    assert t.data.flags.writeable is True
    with pytest.raises(RuntimeError, match=r"use detach\(\).numpy\(\)"):
        leaf(1.0).numpy()
    with pytest.raises(RuntimeError, match="would lose silently"):
        np.asarray(leaf(1.0))
    assert leaf(1.0).detach().numpy().tolist() == [1.0]


def test_detach_shares_memory_and_clone_does_not() -> None:
    x = leaf(1.0, 2.0)
    assert np.shares_memory(x.detach().data, x.data)
    twin = x.clone()
    assert not np.shares_memory(twin.data, x.data)
    twin.sum().backward()
    assert x.grad.tolist() == [1.0, 1.0]


# --- dtypes ----------------------------------------------------------------------------------------------------------

F32, F64, INT, BOOL = (
    Tensor(np.ones(2, np.float32)),
    Tensor(np.ones(2)),
    Tensor(np.ones(2, np.int64)),
    Tensor(np.ones(2, bool)),
)


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (lambda: F32 * 2, np.float32),
        (lambda: F32 * 2.5, np.float32),
        (lambda: F32 * np.float64(2.5), np.float32),
        (lambda: F32 * np.array(2.5), np.float32),
        (lambda: np.float64(2.5) * F32, np.float32),
        (lambda: np.array(2.5) - F32, np.float32),
        (lambda: 2.5 / F32, np.float32),
        (lambda: F32**2, np.float32),
        (lambda: F32 ** np.float64(0.5), np.float32),
        (lambda: F32 * Tensor(2.5, dtype="float64"), np.float32),
        (lambda: F32 * F64, np.float64),
        (lambda: F32 * INT, np.float32),
        (lambda: F32 * BOOL, np.float32),
        (lambda: INT * 2, np.int64),
        (lambda: INT * 2.5, np.float32),
        (lambda: INT / INT, np.float32),
        (lambda: INT + BOOL, np.int64),
        (lambda: F64 * 2, np.float64),
        (lambda: F.maximum(F32, np.float64(0.5)), np.float32),
        (lambda: F.where(BOOL, F32, 0.0), np.float32),
        (lambda: F32.sum(), np.float32),
        (lambda: F32.mean(), np.float32),
        (lambda: INT.sum(), np.int64),
        (lambda: F32.var(), np.float32),
        (lambda: F.exp(INT), np.float32),
        (lambda: F32.double(), np.float64),
        (lambda: F64.float(), np.float32),
        (lambda: F32 > 0.5, np.bool_),
    ],
)
def test_numbers_are_weak_and_dtypes_promote_as_in_pytorch(value: Callable[[], Tensor], dtype: Any) -> None:
    assert value().dtype == dtype


def test_gradients_of_float32_are_float32_whatever_they_meet() -> None:
    for fn in (
        lambda x: x * np.float64(2),
        lambda x: x / np.array(3.0),
        lambda x: x**2.0,
        lambda x: x.mean(),
        lambda x: x.var(),
        lambda x: x.double() * 2,
        lambda x: x * F64,
        lambda x: F.where(x > 0, x, 0.0),
        lambda x: x[0],
        lambda x: F.maximum(x, 0),
    ):
        x = leaf(1.0, 2.0, dtype=np.float32)
        (g,) = grad(fn(x).sum(), x, create_graph=True)
        assert g.dtype == np.float32
        assert type(g.data) is np.ndarray


def test_long_float32_sums_keep_their_digits() -> None:
    t = Tensor(np.full(1_000_000, 0.1, np.float32))
    exact = float(np.float64(np.float32(0.1)) * 1e6)
    assert abs(t.sum().item() / exact - 1) < 1e-6
    assert abs(t.mean().item() / exact * 1e6 - 1) < 1e-6


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
