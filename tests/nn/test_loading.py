from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import Tensor, nn
from tinygrad_cnn.nn.loading import fit

OWN = {"w": Tensor(np.zeros((2, 3), np.float32)), "n": Tensor(np.zeros((), np.int64))}


def test_a_fitting_state_comes_back_in_the_order_of_the_owner() -> None:
    values, differences = fit("Owner", OWN, {"n": np.array(3), "w": Tensor(np.ones((2, 3)))}, strict=True)
    assert list(values) == ["w", "n"]
    assert type(values["w"]) is np.ndarray
    assert differences == ([], [])


def test_only_strict_minds_names() -> None:
    state = {"w": np.ones((2, 3)), "x": np.ones(1)}
    values, differences = fit("Owner", OWN, state, strict=False)
    assert list(values) == ["w"]
    assert differences == (["n"], ["x"])
    with pytest.raises(ValueError, match="does not fit this Owner") as caught:
        fit("Owner", OWN, state, strict=True)
    assert "missing in the state dict: n\n" in str(caught.value)
    assert "unexpected in the state dict: x" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "fits"),
    [
        ("w", np.ones((2, 3), np.float64), True),
        ("w", np.ones((2, 3), np.int64), True),
        ("w", np.ones((3, 2), np.float32), False),
        ("w", np.ones(6, np.float32), False),
        ("w", np.ones((1, 3), np.float32), False),  # would broadcast
        ("w", np.ones((2, 3), complex), False),
        ("w", np.full((2, 3), "1"), False),
        ("w", None, False),
        ("n", np.array(3, np.int32), True),
        ("n", np.array(3.0), False),
        ("n", np.array([3]), False),
    ],
)
def test_shapes_and_kinds(name: str, value: object, fits: bool) -> None:
    if fits:
        assert name in fit("Owner", OWN, {name: value}, strict=False)[0]
    else:
        with pytest.raises(ValueError, match=rf"{name}: \S+ \(.*\) in the state dict, {OWN[name].dtype} "):
            fit("Owner", OWN, {name: value}, strict=False)


def test_load_lists_every_difference_and_changes_nothing() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    before = copy.deepcopy(net.state_dict())
    state: dict[str, Any] = {name: value + 1 for name, value in before.items()}
    del state["0.bias"]
    state["extra"] = np.ones(1)
    state["0.weight"] = np.ones((3, 4))
    state["1.num_batches_tracked"] = np.array(1.5)
    with pytest.raises(ValueError, match="does not fit this Sequential, and nothing was changed") as caught:
        net.load_state_dict(state)
    assert str(caught.value).splitlines()[1:] == [
        "  missing in the state dict: 0.bias",
        "  unexpected in the state dict: extra",
        "  0.weight: float64 (3, 4) in the state dict, float32 (3, 2) here",
        "  1.num_batches_tracked: float64 () in the state dict, int64 () here",
    ]
    with pytest.raises(ValueError, match=r"0\.weight") as caught:
        net.load_state_dict(state, strict=False)
    assert "missing" not in str(caught.value)
    assert all((value == before[name]).all() for name, value in net.state_dict().items())
    with pytest.raises(TypeError, match="needs a dict of name to array, got list"):
        net.load_state_dict([])


def test_load_what_fits() -> None:
    net = nn.Linear(2, 3)
    differences = net.load_state_dict({"weight": np.ones((3, 2)), "x": np.ones(1)}, strict=False)
    assert differences == (["bias"], ["x"])
    assert differences.missing_keys == ["bias"]
    assert net.weight.dtype == np.float32  # cast
    assert (net.weight.data == 1).all()
    net.load_state_dict({"weight": Tensor([[1.0, 2.0]] * 3), "bias": [1, 2, 3]})
    assert net.weight.tolist() == [[1, 2]] * 3


def test_loading_after_recording_is_noticed() -> None:
    layer = nn.Linear(2, 2)
    x = Tensor([[1.0, 2.0]], requires_grad=True)
    y = layer(x).sum()
    layer.load_state_dict(nn.Linear(2, 2).state_dict())
    with pytest.raises(RuntimeError, match="Linear"):
        y.backward()
