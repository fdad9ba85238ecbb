from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import Tensor, grad
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


def test_pieces_picks_and_orders_are_methods(rng: np.random.Generator) -> None:
    x = Tensor(rng.standard_normal((4, 6)), requires_grad=True)
    index = np.array([[0, 3, 1], [2, 2, 0]])
    pairs = [
        *zip(x.split([1, 3]), F.split(x, [1, 3]), strict=True),
        *zip(x.chunk(3, 1), F.chunk(x, 3, 1), strict=True),
        *zip(x.sort(0, True), F.sort(x, 0, True), strict=True),
        *zip(x.topk(2), F.topk(x, 2), strict=True),
        (x.argsort(), F.argsort(x)),
        (x.unflatten(1, (2, 3)), F.unflatten(x, 1, (2, 3))),
        (x.flip(0), F.flip(x, 0)),
        (x.roll(1, 1), F.roll(x, 1, 1)),
        (x.tile(2), F.tile(x, 2)),
        (x.repeat(2, 1), F.repeat(x, 2, 1)),
        (x.gather(0, index), F.gather(x, 0, index)),
        (x.scatter_add(0, index, x), F.scatter_add(x, 0, index, x)),
        (x.cumsum(1), F.cumsum(x, 1)),
        (x.logsumexp(0), F.logsumexp(x, 0)),
        (x.norm(1, 0), F.norm(x, 1, 0)),
        (x[None].bmm(x.T[None]), F.bmm(x[None], x.T[None])),
    ]
    for method, function in pairs:
        assert isinstance(method, Tensor)
        np.testing.assert_array_equal(method.data, function.data)
