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


def test_pieces_of_one_tensor_share_one_gradient() -> None:
    x = Tensor(np.arange(6.0), requires_grad=True)
    h = x * 1
    for create_graph in (False, True):
        y = h[1:3].sum() + (h[2:5] * h[2:5]).sum() + h[::-2].sum() + (h * 2).sum()
        (g,) = grad(y, x, retain_graph=True, create_graph=create_graph)
        assert g.tolist() == [2, 4, 7, 9, 10, 3]
    y = x[0] * 3  # of a leaf, and of one place only
    assert grad(y, x)[0].tolist() == [3, 0, 0, 0, 0, 0]


def test_a_part_never_writes_to_a_gradient_that_came_in() -> None:
    x, u = Tensor(np.array([1.0, 2, 3]), requires_grad=True), np.ones(3)
    h = x * 1
    assert grad([h, h[:2]], x, [u, np.full(2, 5.0)], retain_graph=True)[0].tolist() == [6, 6, 1]
    assert u.tolist() == [1, 1, 1]
    z = h + x  # Add hands the same array to both
    assert [g.tolist() for g in grad([z, h[:1]], [h, x], [u, np.ones(1)])] == [[2, 1, 1], [3, 2, 2]]
    assert u.tolist() == [1, 1, 1]
