from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn import Tensor, nn
from tinygrad_cnn import functional as F
from tinygrad_cnn.autograd import Steps
from tinygrad_cnn.models import LeNet5


def tensor(*shape: int) -> Tensor:
    return Tensor(np.random.default_rng(0).standard_normal(shape).astype(np.float32), requires_grad=True)


def test_the_loop_deposits_what_backward_deposits() -> None:
    models = LeNet5(), LeNet5()
    models[1].load_state_dict(models[0].state_dict())
    x, labels = Tensor(tensor(2, 1, 28, 28).data), np.array([3, 8])
    F.cross_entropy(models[0](x), labels).backward()
    loss = F.cross_entropy(models[1](x), labels)
    node = loss.grad_fn
    names = [step.node.name for step in loss.backward_steps()]
    assert names == ["CrossEntropy", "LinearRun", "ConvRun", "ConvRun"]
    for a, b in zip(models[0].parameters(), models[1].parameters(), strict=True):
        np.testing.assert_array_equal(a.grad.data, b.grad.data)
    assert node is not None
    assert node.edges is None
    with pytest.raises(RuntimeError, match="used and freed"):
        loss.backward()


def test_steps_name_what_comes_in_and_goes_out() -> None:
    x, w, b = tensor(4, 3), tensor(2, 3), tensor(2)
    (step,) = list(F.linear(x, w, b).backward_steps(np.ones((4, 2))))
    assert list(step.gradients) == ["x", "w", "b"]
    np.testing.assert_array_equal(step.gy, 1)
    np.testing.assert_array_equal(step.gradients["b"], [4, 4])
    assert repr(step) == "<Linear: gx (4, 3), gw (2, 3), gb (2,)>"


def test_the_node_can_be_looked_at_during_its_step() -> None:
    x = tensor(4, 3)
    for step in (x * x).backward_steps(np.ones((4, 3))):
        assert step.node.edges == (x.edge, x.edge)
        assert step.node.saved[0] is x.data
        assert set(step.gradients) == {"x1", "x2"}  # an array used twice has two edges
    np.testing.assert_allclose(x.grad.data, 2 * x.data)


def test_pieces_and_broadcasts_have_the_shape_of_their_input() -> None:
    x, b = tensor(4, 3), tensor(3)
    y = x[1:3] + b
    shapes = [{name: g.shape for name, g in step.gradients.items()} for step in y.backward_steps(np.ones((2, 3)))]
    assert shapes == [{"x1": (2, 3), "x2": (3,)}, {"x": (4, 3)}]
    assert x.grad.data.sum() == 6


def test_what_is_put_in_the_place_of_a_gradient_goes_on() -> None:
    x = Tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = x.relu() * Tensor([1.0, -1.0, 2.0])
    for step in y.backward_steps(np.ones(3)):
        if step.node.name == "ReLU":
            step.gradients["x"] = np.maximum(step.gradients["x"], 0)
    np.testing.assert_array_equal(x.grad.data, [1, 0, 2])

    walk = iter(x.relu().backward_steps(np.ones(3)))
    next(walk).gradients["x"] = np.ones(2)
    with pytest.raises(ValueError, match=r"backward_steps: gx of ReLU must keep its shape \(3,\), got \(2,\)"):
        next(walk)


def test_a_loop_that_is_broken_off_deposits_nothing() -> None:
    x = tensor(3)
    for _ in (x.relu() * 2).backward_steps(np.ones(3)):
        break
    assert x.grad is None


def test_towards_given_inputs_no_grad_is_touched() -> None:
    model, x = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)), tensor(5, 3)
    hidden = model[1](model[0](x))
    unused = tensor(2)
    steps = Steps([model[2](hidden)], [np.ones((5, 2), np.float32)], True, [hidden, unused, Tensor([1.0])])
    assert [step.node.name for step in steps] == ["Linear"]
    found, none, constant = steps.gradients()
    np.testing.assert_allclose(found, np.ones((5, 2)) @ model[2].weight.data, rtol=1e-6)
    assert none is None
    assert constant is None
    assert x.grad is None
    assert all(p.grad is None for p in model.parameters())
    assert [step.node.name for step in hidden.backward_steps(np.ones((5, 4)))] == ["Tanh", "Linear"]  # graph kept


def test_a_constant_has_no_steps() -> None:
    with pytest.raises(RuntimeError, match="does not require a gradient"):
        Tensor([1.0]).backward_steps()
