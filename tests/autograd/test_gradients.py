from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import Tensor, grad
from tinygrad_cnn import functional as F
from tinygrad_cnn.autograd import Function


def leaf(*values: float, dtype: Any = np.float64) -> Tensor:
    return Tensor(np.array(values, dtype), requires_grad=True)


def test_grad_touches_no_grad_and_takes_inner_tensors() -> None:
    x = leaf(2.0)
    h = x * x
    y = h * h
    gh, gx, gy = grad(y, [h, x, y])
    assert (gh.item(), gx.item(), gy.item()) == (8.0, 32.0, 1.0)
    assert x.grad is None


def test_grad_walks_only_between_outputs_and_inputs() -> None:
    ran: list[str] = []

    class Spy(Function):
        def forward(self, x: np.ndarray) -> np.ndarray:
            return x * 2

        def grad_x(self, gy: Any) -> Any:
            ran.append("spy")
            return gy * 2

    x, w = leaf(1.0), leaf(3.0)
    features = Spy()(x)
    y = features * w
    assert grad(y, [features, w], retain_graph=True)[0].item() == 3.0
    assert ran == []
    assert grad(y, x)[0].item() == 6.0
    assert ran == ["spy"]


def test_grad_of_inputs_that_were_not_used() -> None:
    x, unused = leaf(1.0), leaf(2.0)
    with pytest.raises(RuntimeError, match=r"do not depend on input 1 \(shape \(1,\)\). Pass allow_unused=True"):
        grad(x * 2, [x, unused])
    found = grad(x * 2, [x, unused], allow_unused=True)
    assert found[0].item() == 2.0
    assert found[1] is None


def test_grad_of_several_outputs_adds_up() -> None:
    x = leaf(1.0, 2.0)
    (g,) = grad([x * 2, (x * x).sum()], x, [np.array([1.0, 10.0]), None])
    assert g.data.tolist() == [4.0, 24.0]


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda x: grad(x.sum(), Tensor([1.0])), RuntimeError, r"input 0 \(shape \(1,\)\) does not require"),
        (lambda x: grad(Tensor([1.0]), x), RuntimeError, r"output 0 \(shape \(1,\)\) does not require"),
        (lambda x: grad(x * 2, x), ValueError, r"an output of shape \(2,\) needs an incoming gradient"),
        (lambda x: grad(x * 2, x, np.ones(3)), ValueError, r"must have the output's shape \(2,\), got \(3,\)"),
        (lambda x: grad([x, x], x, [np.ones(2)]), ValueError, "2 outputs, but 1 grad_outputs"),
        (lambda x: grad([], x), TypeError, "outputs must be a tensor or a sequence of at least one, got none"),
        (lambda x: grad(x.sum(), 3), TypeError, "inputs must be a tensor or a sequence of at least one, got int"),
    ],
)
def test_grad_explains_wrong_arguments(call: Callable[[Tensor], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call(leaf(1.0, 2.0))


@pytest.mark.parametrize("create_graph", [False, True])
def test_grad_shares_no_memory_either(create_graph: bool) -> None:
    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    gradient = np.ones(2)
    for fn in (F.add, F.mul, lambda a, b: a * b + a):
        found = [g.data for g in grad(fn(a, b), [a, b, a], gradient, create_graph=create_graph)]
        found.append(gradient)
        assert not any(np.shares_memory(found[i], found[j]) for i in range(4) for j in range(i))
        assert np.array_equal(found[0], found[2])


def test_four_orders_of_a_power() -> None:
    x = leaf(2.0)
    y = x**4
    for expected in (32.0, 48.0, 48.0, 24.0):
        (y,) = grad(y, x, create_graph=True)
        assert y.item() == pytest.approx(expected)


def test_the_derivatives_of_powers_at_zero() -> None:
    x = leaf(0.0)
    y = x**2 + x**3 + x**0
    for expected in (0.0, 2.0, 6.0):
        (y,) = grad(y, x, create_graph=True)
        assert y.item() == expected


def test_retain_graph_follows_create_graph() -> None:
    x = leaf(2.0)
    y = x * x
    grad(y, x, create_graph=True)
    grad(y, x)
    with pytest.raises(RuntimeError, match="already used"):
        grad(y, x)


def test_a_part_of_the_graph_that_was_freed_is_never_left_out() -> None:
    x, w = leaf(2.0), leaf(3.0)
    h = F.exp(x)
    h.sum().backward()
    for inputs in (x, [x, h], [x, w]):
        for allow_unused in (False, True):
            with pytest.raises(RuntimeError, match="graph behind this Exp was already used"):
                grad(h * x * w, inputs, allow_unused=allow_unused)  # the way through h is lost, the other is not
    assert grad(h * x * w, h)[0].item() == 6.0
