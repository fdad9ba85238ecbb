from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import Tensor
from tinygrad_cnn import functional as F
from tinygrad_cnn.autograd import Function
from tinygrad_cnn.checks.case import BILINEAR, CENTRAL
from tinygrad_cnn.checks.measure import error, gradient_error, second_gradient_error


def leaves(*shapes: tuple[int, ...]) -> list[Tensor]:
    rng = np.random.default_rng(3)
    return [Tensor(rng.standard_normal(shape), requires_grad=True) for shape in shapes]


class Bent(Function):
    """x * x with a gradient that is wrong by one part in a million, at both orders."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        return x * x

    def grad_x(self, gy: Any, x: Any) -> Any:
        return gy * (2 + 2e-6) * x


def test_error_is_relative_to_the_largest_value() -> None:
    assert error(np.array([1.0, -3.0]), np.array([1.0, -4.0])) == 0.25
    assert error(np.zeros(2), np.zeros(2)) == 0
    assert error(np.array([0.0, 1e-300]), np.zeros(2)) == np.inf
    assert error(np.zeros((0, 3)), np.zeros((0, 3))) == 0
    assert np.isnan(error(np.array([np.nan]), np.ones(1)))
    with pytest.raises(ValueError, match="differ"):
        error(np.zeros(2), np.zeros((2, 1)))


def test_error_is_taken_in_float64() -> None:
    assert 0 < error(np.array([0.1], np.float32), np.array([0.1])) < 1e-7


def test_right_gradients_have_no_error_to_speak_of() -> None:
    x, v = leaves((3, 4), (4,))
    assert gradient_error(F.mul, [x, v], BILINEAR) < 1e-14
    assert second_gradient_error(F.mul, [x, v], BILINEAR) < 1e-14
    assert gradient_error(F.exp, [x], CENTRAL) < 1e-9
    assert second_gradient_error(F.exp, [x], CENTRAL) < 1e-9


def test_a_gradient_that_is_wrong_by_a_millionth_has_that_error() -> None:
    (x,) = leaves((3, 4))
    assert gradient_error(lambda x: Bent()(x), [x], CENTRAL) == pytest.approx(1e-6, rel=0.01)
    assert gradient_error(lambda x: Bent()(x), [x], BILINEAR) == pytest.approx(1e-6, rel=0.01)


def test_second_order_looks_at_gradients_that_were_made_constants() -> None:
    class Constant(Function):
        keeps = ("slope",)

        def forward(self, x: np.ndarray) -> np.ndarray:
            self.slope = 2 * x
            return x * x

        def grad_x(self, gy: Any) -> Any:
            return gy * self.slope

    (x,) = leaves((3,))
    assert gradient_error(lambda x: Constant()(x), [x], CENTRAL) < 1e-8
    assert second_gradient_error(lambda x: Constant()(x), [x], CENTRAL) == pytest.approx(1)
