from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from tinygrad_cnn import Tensor
from tinygrad_cnn.nn import Parameter
from tinygrad_cnn.nn.parameter import convert


def test_a_parameter_is_a_leaf_that_shares_its_array() -> None:
    array = np.ones((2, 3))
    p = Parameter(array)
    assert p.data is array
    assert p.requires_grad
    assert p.is_leaf
    assert Parameter(Tensor(array) * 2).is_leaf
    assert not Parameter(array, requires_grad=False).requires_grad


def test_results_are_plain_tensors() -> None:
    p = Parameter([1.0, 2.0])
    for result in (p * 2, p[0], p.clone(), p.detach(), p.reshape(2, 1)):
        assert type(result) is Tensor


def test_integers_cannot_be_trained() -> None:
    with pytest.raises(TypeError, match="only float tensors have gradients"):
        Parameter([1, 2])


def test_repr() -> None:
    assert repr(Parameter([1.0])) == "Parameter([1.], requires_grad=True)"


@pytest.mark.parametrize("twin_of", [copy.copy, copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))])
def test_copies_stay_parameters_with_their_gradient(twin_of) -> None:
    p = Parameter([1.0, 2.0])
    (p * p).sum().backward()
    twin = twin_of(p)
    assert type(twin) is Parameter
    assert twin.requires_grad
    assert twin.grad.tolist() == [2, 4]
    twin.zero_grad()
    assert p.grad is not None
    assert not np.shares_memory(twin.data, p.data)


@pytest.mark.parametrize("trained", [True, False])
@pytest.mark.parametrize("with_gradient", [True, False])
def test_convert_keeps_gradient_and_freezing(trained: bool, with_gradient: bool) -> None:
    p = Parameter(np.array([1.5, 2.5], np.float32))
    if with_gradient:
        (p * p).sum().backward()
    p.requires_grad_(trained)
    convert(p, np.dtype(np.float64))
    assert p.dtype == np.float64
    assert p.tolist() == [1.5, 2.5]
    assert p.requires_grad is trained
    if with_gradient:
        assert p.grad is not None
        assert p.grad.dtype == np.float64
        assert p.grad.tolist() == [3, 5]
    else:
        assert p.grad is None
    p.requires_grad_()
    (p * 2).sum().backward()
    assert p.grad is not None
    assert p.grad.tolist() == ([5, 7] if with_gradient else [2, 2])
    assert p.grad.dtype == np.float64


def test_convert_leaves_integers_alone() -> None:
    count = Tensor(np.array(3))
    convert(count, np.dtype(np.float32))
    assert count.dtype == np.int64
