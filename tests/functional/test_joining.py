from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import Tensor, grad
from tinygrad_cnn import functional as F


def test_parts_of_other_dtypes_get_their_own_gradient() -> None:
    a, b = Tensor(np.ones(2, np.float32), requires_grad=True), Tensor(np.ones(3), requires_grad=True)
    y = F.cat([a, b])
    assert y.dtype == np.float64
    assert [g.dtype for g in grad(y.sum(), [a, b])] == [np.float32, np.float64]


def test_a_part_that_needs_no_gradient() -> None:
    a = Tensor(np.ones(2), requires_grad=True)
    y = F.cat([np.zeros(1), a, Tensor([1.0], np.float64)])
    assert grad(y, a, np.arange(4.0))[0].tolist() == [1, 2]


def test_padding_value() -> None:
    y = F.pad(np.ones((1, 2)), (1, 0), value=-np.inf)
    assert y.tolist() == [[-np.inf, 1, 1]]


@pytest.mark.parametrize("dtype", [np.float16, np.longdouble, ">f4"])
def test_arrays_of_floats_without_a_kernel_are_left_to_numpy(dtype: Any) -> None:
    x = np.array([[1.0, 2.0]]).astype(dtype)
    assert F.cat([x, x], 1).tolist() == [[1, 2, 1, 2]]
    assert F.pad(x, (1, 0)).tolist() == [[0, 1, 2]]


@pytest.mark.parametrize("join", [F.cat, F.stack])
def test_integers_meet_float32_as_float32(join: Any) -> None:
    i, f = np.arange(3), Tensor(np.ones(3, np.float32), requires_grad=True)
    y = join([i, f])
    assert y.dtype == np.float32
    (y * y).sum().backward()
    assert f.grad.dtype == np.float32
    assert join([i, np.ones(3)]).dtype == np.float64
    assert join([i, i > 1]).dtype == np.int64
