from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import Tensor, zeros


def leaf(*values: float, dtype: Any = np.float64) -> Tensor:
    return Tensor(np.array(values, dtype), requires_grad=True)


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
