from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, basic_indices

from tinygrad_cnn import Tensor, grad
from tinygrad_cnn import functional as F


@given(st.data())
@settings(derandomize=True, max_examples=60, deadline=None)
def test_any_basic_index(data: Any) -> None:
    shape = data.draw(array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
    key = data.draw(basic_indices(shape, allow_newaxis=True))
    x = np.arange(float(np.prod(shape))).reshape(shape)
    leaf = Tensor(x, requires_grad=True)
    y = F.index(leaf, key)
    np.testing.assert_array_equal(y.data, x[key])
    wanted = np.zeros(shape)
    wanted[key] = 3
    np.testing.assert_array_equal(grad(y, leaf, np.full(y.shape, 3.0))[0].data, wanted)


def test_repeated_indices_accumulate() -> None:
    x = Tensor(np.zeros(3), requires_grad=True)
    (g,) = grad(x[[1, 1, -2, 0]], x, np.array([1.0, 10, 100, 1000]))
    assert g.tolist() == [1000, 111, 0]


def test_writing_an_item_cuts_the_old_value_off() -> None:
    x, v = Tensor(np.ones(3), requires_grad=True), Tensor(np.array(5.0), requires_grad=True)
    y = x * 2
    y[1:] = v
    gx, gv = grad(y, [x, v], np.array([1.0, 10, 100]))
    assert y.tolist() == [2, 5, 5]
    assert gx.tolist() == [2, 0, 0]
    assert gv.item() == 110


def test_writing_an_item_at_second_order(rng: np.random.Generator, derivatives: Callable[..., None]) -> None:
    def written(x: Tensor, v: Tensor) -> Tensor:
        y = x * x
        y[[0, 2]] = v * v * v
        return y * x

    derivatives(written, rng.standard_normal((3, 2)), rng.standard_normal((1, 2)))
