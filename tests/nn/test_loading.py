from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn import Tensor
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
