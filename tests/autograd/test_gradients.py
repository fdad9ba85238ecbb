from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import Tensor, grad
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
