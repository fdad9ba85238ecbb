from __future__ import annotations

import copy
import pickle
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import Tensor, enable_grad, nn, no_grad, optim
from tinygrad_cnn.kernels import addresses
from tinygrad_cnn.nn import Parameter

KINDS: list[tuple[Any, dict[str, Any]]] = [
    (optim.SGD, {}),
    (optim.SGD, {"momentum": 0.9, "nesterov": True}),
    (optim.Adam, {"weight_decay": 0.1}),
    (optim.AdamW, {}),
    (optim.RMSprop, {}),
    (optim.RMSprop, {"momentum": 0.9, "centered": True}),
]
SHAPES = [(3, 2), (4,), ()]


def build(kind: Any, options: dict[str, Any], seed: int = 0) -> tuple[list[Parameter], Any]:
    rng = np.random.default_rng(seed)
    ps = [Parameter(rng.normal(size=shape)) for shape in SHAPES]
    return ps, kind([{"params": ps[:2], "lr": 0.1}, {"params": ps[2]}], **options)


def train(ps: list[Parameter], optimizer: Any, steps: int, seed: int = 1) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        for p in ps:
            p.grad = rng.normal(size=p.shape)
        optimizer.step()


# --- parameters ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "options"), KINDS)
@pytest.mark.parametrize("count", range(1, 11))
def test_any_number_of_groups_steps_as_optimisers_of_their_own(kind: Any, options: dict, count: int) -> None:
    """A launch takes the settings of all groups in one table, which may happen to be square."""
    make = lambda: [Parameter(np.linspace(1, 2, 3) + i) for i in range(count)]
    together, alone = make(), make()
    rates = [0.01 * (i + 1) for i in range(count)]
    optimizers = [kind([{"params": [p], "lr": lr} for p, lr in zip(together, rates, strict=True)], **options)]
    train(together, optimizers[0], 3)
    optimizers = [kind([p], lr=lr, **options) for p, lr in zip(alone, rates, strict=True)]
    train(alone, SimpleNamespace(step=lambda: [optimizer.step() for optimizer in optimizers]), 3)
    for p, expected in zip(together, alone, strict=True):
        np.testing.assert_array_equal(p.data, expected.data)


@pytest.mark.parametrize("value", [None, "0.1"])
def test_a_hyper_parameter_that_became_no_number_is_refused(value: Any) -> None:
    ps, optimizer = build(optim.SGD, {"momentum": 0.9})
    before = [p.data.copy() for p in ps]
    optimizer.param_groups[0]["lr"] = value
    with pytest.raises(TypeError, match="a hyper-parameter must be a number, got"):
        train(ps, optimizer, 1)
    for p, data in zip(ps, before, strict=True):
        np.testing.assert_array_equal(p.data, data)


def test_groups() -> None:
    a, b, c = (Parameter([float(i)]) for i in range(3))
    optimizer = optim.SGD([{"params": [a]}, {"params": (p for p in [b]), "lr": 0.5}], lr=0.1, momentum=0.9)
    optimizer.add_param_group({"params": c, "momentum": 0.0})
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.5, 0.1]
    assert [group["momentum"] for group in optimizer.param_groups] == [0.9, 0.9, 0.0]
    for p in (a, b, c):
        p.grad = np.ones(1, np.float32)
    optimizer.step()
    assert [p.item() for p in (a, b, c)] == pytest.approx([-0.1, 0.5, 1.9])
    assert "Parameter Group 1\n    dampening: 0.0\n    lr: 0.5" in repr(optimizer)


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        (lambda p: [], ValueError, r"SGD: got no parameters\. .*ModuleList"),
        (lambda p: p, TypeError, r"SGD: params must be a list .* got one Parameter; pass model\.parameters\(\)"),
        (lambda p: {"params": [p]}, TypeError, "got one dict"),
        (lambda p: [p, p], ValueError, r"SGD: parameter 1 of shape \(2,\) is there twice"),
        (lambda p: [{"params": [p]}, {"params": p}], ValueError, "parameter 0 of shape .* is there twice"),
        (lambda p: [p * 2], ValueError, r"parameter 0 of shape \(2,\) was computed, and only leaves"),
        (lambda p: [p, p.data], TypeError, "parameter 1 is a ndarray, not a tensor"),
        (lambda p: [{"params": []}], ValueError, "a parameter group is empty"),
        (lambda p: [{"lr": 0.1}], TypeError, "a group is a dict with the key 'params', got {'lr': 0.1}"),
        (lambda p: [{"params": p, "rate": 1}], ValueError, r"unknown hyper-parameters \['rate'\]; there are \['lr',"),
        (lambda p: [{"params": p, "lr": -1}], ValueError, "lr must be at least 0, got -1"),
    ],
)
def test_refused_parameters(params: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        optim.SGD(params(Parameter([1.0, 2.0])))


def test_a_failed_add_leaves_the_groups_alone() -> None:
    a, b = Parameter([1.0]), Parameter([2.0])
    optimizer = optim.SGD([a])
    with pytest.raises(ValueError, match="twice"):
        optimizer.add_param_group({"params": [b, a]})
    assert len(optimizer.param_groups) == 1
    optimizer.add_param_group({"params": [b]})


# --- steps -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_training_brings_the_loss_down(kind: Any, options: dict[str, Any]) -> None:
    model = nn.Linear(3, 2, generator=np.random.default_rng(0))
    optimizer = kind(model.parameters(), lr=0.03, **{k: v for k, v in options.items() if k != "lr"})
    x = np.random.default_rng(1).normal(size=(16, 3)).astype(np.float32)
    y = x @ np.array([[1.0, -2.0], [0.5, 0.0], [-1.0, 1.0]], np.float32)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = nn.MSELoss()(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_parameters_without_a_gradient_are_left_alone(kind: Any, options: dict[str, Any]) -> None:
    ps, optimizer = build(kind, {**options, "weight_decay": 0.5})
    train(ps, optimizer, 1)
    before = [p.data.copy() for p in ps]
    state = copy.deepcopy(optimizer.state_dict()["state"])
    optimizer.zero_grad()
    optimizer.step()
    assert all((p.data == w).all() for p, w in zip(ps, before, strict=True))
    assert repr(optimizer.state_dict()["state"]) == repr(state)
    ps[1].grad = np.ones(4)
    optimizer.step()
    assert (ps[0].data == before[0]).all()
    assert (ps[1].data != before[1]).all()


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_one_launch_for_all_parameters_of_a_dtype(
    kind: Any, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    launches = []
    split = addresses.split
    monkeypatch.setattr(addresses, "split", lambda *args, **kwargs: launches.append(1) or split(*args, **kwargs))
    ps, optimizer = build(kind, options)
    single = Parameter(np.ones(2, np.float32))
    train(ps, optimizer, 1)
    assert len(launches) == 1
    optimizer.add_param_group({"params": single})
    single.grad = np.ones(2, np.float32)
    optimizer.step()
    assert len(launches) == 3


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_steps_write_memory_and_are_noticed(kind: Any, options: dict[str, Any]) -> None:
    ps, optimizer = build(kind, options)
    arrays = [p.data for p in ps]
    y = (ps[0] * ps[0]).sum()
    train(ps, optimizer, 1)
    assert all(p.data is a for p, a in zip(ps, arrays, strict=True))
    with pytest.raises(RuntimeError, match="Mul"):
        y.backward()


def test_closure() -> None:
    p = Parameter([3.0])
    optimizer = optim.SGD([p], lr=0.5)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with no_grad():
        assert optimizer.step(closure).item() == 9
    assert p.item() == 0
    with enable_grad():
        assert optimizer.step() is None


def test_zero_grad() -> None:
    p = Parameter([3.0])
    optimizer = optim.SGD([p])
    (p * p).sum().backward()
    optimizer.zero_grad(set_to_none=False)
    assert p.grad is not None
    assert p.grad.tolist() == [0]
    optimizer.zero_grad()
    assert p.grad is None


def test_frozen_parameters_stay() -> None:
    p = Parameter([3.0], requires_grad=False)
    optim.SGD([p], weight_decay=1.0).step()
    assert p.item() == 3


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_a_step_that_fails_changes_nothing(kind: Any, options: dict[str, Any]) -> None:
    ps, optimizer = build(kind, options)
    ps[1].data = np.broadcast_to(2.0, (4,))  # cannot be written
    before = ps[0].data.copy()
    with pytest.raises(ValueError, match="read-only or not C-contiguous"):
        train(ps, optimizer, 1)
    assert (ps[0].data == before).all()
    assert optimizer.state_dict()["state"] == {}


def test_a_model_converted_after_steps_is_an_error() -> None:
    model = nn.Linear(2, 2)
    optimizer = optim.Adam(model.parameters())
    model(np.ones((1, 2), np.float32)).sum().backward()
    optimizer.step()
    model.double()
    with pytest.raises(ValueError, match="float32"):
        optimizer.step()


# --- state -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_a_restored_optimiser_continues_to_the_same_bits(kind: Any, options: dict[str, Any]) -> None:
    ps, optimizer = build(kind, options)
    train(ps, optimizer, 3)
    saved = copy.deepcopy(optimizer.state_dict())
    optimizer.param_groups[0]["lr"] = 0.7
    twins, other = build(kind, options, seed=5)
    with no_grad():
        for twin, p in zip(twins, ps, strict=True):
            twin.copy_(p)
    other.load_state_dict(saved)
    assert other.param_groups[0]["lr"] == 0.1
    optimizer.param_groups[0]["lr"] = 0.1
    train(ps, optimizer, 3, seed=2)
    train(twins, other, 3, seed=2)
    assert all((a.data == b.data).all() for a, b in zip(ps, twins, strict=True))
    for index, slots in saved["state"].items():  # what was loaded is a copy
        for name, value in slots.items():
            if isinstance(value, np.ndarray):
                assert not np.shares_memory(value, other.state[twins[index]][name])


def test_state_dict_form() -> None:
    ps, optimizer = build(optim.Adam, {})
    ps[0].grad, ps[2].grad = np.ones((3, 2)), np.ones(())
    optimizer.step()
    state = optimizer.state_dict()
    assert list(state["state"]) == [0, 2]
    assert state["state"][0].keys() == {"step", "exp_avg", "exp_avg_sq"}
    assert state["state"][0]["step"] == 1
    assert state["param_groups"] == [
        {"params": [0, 1], "lr": 0.1, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0},
        {"params": [2], "lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0},
    ]
    with pytest.raises(ValueError, match="read-only"):
        state["state"][0]["exp_avg"][0] = 1


def test_loading_casts_to_the_dtype_of_the_parameter() -> None:
    p = Parameter(np.ones(2, np.float32))
    optimizer = optim.SGD([p], momentum=0.5)
    state = optimizer.state_dict()
    state["state"][0] = {"momentum_buffer": np.array([1.0, 2.0])}
    optimizer.load_state_dict(state)
    assert optimizer.state[p]["momentum_buffer"].dtype == np.float32
    p.grad = np.zeros(2, np.float32)
    optimizer.step()
    assert optimizer.state[p]["momentum_buffer"].tolist() == [0.5, 1]


def damaged(**changes: Any) -> dict[str, Any]:
    ps, optimizer = build(optim.Adam, {})
    train(ps, optimizer, 1)
    state = copy.deepcopy(optimizer.state_dict())
    slots = {"step": 1, "exp_avg": np.ones((3, 2)), "exp_avg_sq": np.ones((3, 2))}
    state["state"] = {**state["state"], 0: {**slots, **changes.pop("slots", {})}}
    if "drop" in changes:
        del state["state"][0][changes.pop("drop")]
    state["param_groups"][0].update(changes.pop("group", {}))
    return {**state, **changes}


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (
            damaged(slots={"exp_avg": np.ones((2, 3))}),
            r"parameter 0: exp_avg is float64 \(2, 3\) in the state, .*\(3, 2\)",
        ),
        (damaged(slots={"exp_avg": 3}), "parameter 0: exp_avg is int in the state"),
        (damaged(slots={"exp_avg": np.ones((3, 2), int)}), r"exp_avg is int64 \(3, 2\) in the state"),
        (damaged(slots={"step": 0}), "parameter 0: step must be a positive int, got 0"),
        (damaged(slots={"step": np.ones(2)}), "step must be a positive int"),
        (damaged(slots={"momentum_buffer": np.ones((3, 2))}), "parameter 0: Adam keeps no momentum_buffer"),
        (damaged(drop="exp_avg_sq"), "parameter 0: exp_avg_sq is missing"),
        (damaged(state={7: {}}), "state of parameter 7, but there are 3 parameters here"),
        (damaged(state={"0": {}}), "state of parameter '0'"),
        (damaged(group={"lr": -1}), r"param_groups\[0\]: Adam: lr must be at least 0, got -1"),
        (damaged(group={"betas": 3}), r"param_groups\[0\]: Adam: betas must be two numbers"),
        (damaged(group={"momentum": 1}), r"param_groups\[0\]: unexpected in the state: momentum"),
        (damaged(group={"params": [0]}), r"param_groups\[0\]: 1 parameters in the state, 2 here"),
        (damaged(param_groups=[{"params": [0, 1]}, {}]), r"param_groups\[0\]: missing in the state: lr, betas"),
        (damaged(param_groups=[]), "0 param_groups in the state, 2 here"),
        ({"state": {}}, "needs a dict with 'state' and 'param_groups'"),
        (None, "needs a dict with"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(state: Any, message: str) -> None:
    ps, optimizer = build(optim.Adam, {})
    train(ps, optimizer, 2)
    before = copy.deepcopy(optimizer.state_dict())
    with pytest.raises(ValueError, match=message):
        optimizer.load_state_dict(state)
    assert repr(optimizer.state_dict()) == repr(before)


def test_all_differences_are_listed() -> None:
    _, optimizer = build(optim.Adam, {})
    state = damaged(slots={"step": 0, "exp_avg": np.ones(3)}, group={"lr": -1})
    with pytest.raises(ValueError, match="does not fit this Adam, and nothing was changed") as caught:
        optimizer.load_state_dict(state)
    assert len(str(caught.value).splitlines()) == 4


@pytest.mark.parametrize("twin_of", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))])
def test_copies_belong_together(twin_of: Any) -> None:
    ps, optimizer = build(optim.Adam, {})
    train(ps, optimizer, 1)
    twins, twin = twin_of((ps, optimizer))
    train(ps, optimizer, 2)
    train(twins, twin, 2)
    assert all((a.data == b.data).all() for a, b in zip(ps, twins, strict=True))
