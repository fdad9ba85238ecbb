from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn import Tensor
from tinygrad_cnn.autograd import Leaf, Variable


def test_a_leaf_knows_the_shape_and_dtype_of_its_gradient_but_holds_no_array() -> None:
    leaf = Leaf(np.zeros((2, 3), np.float32))
    assert (leaf.y_shape, leaf.y_dtype, leaf.grad) == ((2, 3), np.float32, None)
    assert not hasattr(leaf, "__dict__")
    with pytest.raises(AttributeError):
        leaf.array = np.zeros(2)


def test_the_kind_of_every_result_is_tensor_also_on_a_subclass() -> None:
    class Parameter(Tensor):
        pass

    assert Parameter.kind is Tensor
    assert type(Parameter([1.0], requires_grad=True) * 2) is Tensor


def test_a_bare_variable_does_not_wrap() -> None:
    with pytest.raises(NotImplementedError):
        Variable.wrap(np.zeros(2))


def test_tensors_have_no_room_for_stray_attributes() -> None:
    with pytest.raises(AttributeError):
        Tensor([1.0]).gard = 1
