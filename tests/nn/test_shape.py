from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn import Tensor, nn

X = np.arange(120.0).reshape(2, 3, 4, 5)


def test_identity_takes_the_place_of_any_layer() -> None:
    x = Tensor(X)
    assert nn.Identity(3, kernel_size=2)(x) is x
    assert repr(nn.Identity(3)) == "Identity()"


@pytest.mark.parametrize(
    ("args", "shape"), [((), (2, 60)), ((0,), (120,)), ((2,), (2, 3, 20)), ((0, 1), (6, 4, 5)), ((1, -2), (2, 12, 5))]
)
def test_flatten(args: tuple[int, ...], shape: tuple[int, ...]) -> None:
    assert (nn.Flatten(*args)(X) == X.reshape(shape)).all()
    assert nn.Flatten(*args)(X).shape == shape


def test_unflatten() -> None:
    layer = nn.Unflatten(2, [2, -1])
    assert (layer(X) == X.reshape(2, 3, 2, 2, 5)).all()
    assert (
        repr(nn.Unflatten(dim=2, unflattened_size=(2, -1)))
        == repr(layer)
        == "Unflatten(dim=2, unflattened_size=(2, -1))"
    )


def test_repr() -> None:
    assert repr(nn.Flatten()) == "Flatten(start_dim=1, end_dim=-1)"
