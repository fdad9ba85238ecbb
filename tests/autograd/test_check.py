from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import Tensor, no_grad
from tinygrad_cnn import functional as F
from tinygrad_cnn.autograd import Function, GradcheckError, gradcheck, gradgradcheck, zero_derivative
from tinygrad_cnn.state import default_generator, generator_state


def leaf(*values: float) -> Tensor:
    return Tensor(np.array(values), requires_grad=True)


class WrongCube(Function):
    """A cube whose first derivative has a wrong factor."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        return x * x * x

    def grad_x(self, gy: Any, x: Any) -> Any:
        return gy * 2 * x * x


class FrozenCube(Function):
    """A cube that is right at first order, and a constant at second: its by-product is no part of the graph."""

    keeps = ("slope",)

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.slope = 3 * x * x
        return x * x * x

    def grad_x(self, gy: Any) -> Any:
        return gy * self.slope


class Forgotten(Function):
    """A cube whose author declared the derivative away."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        return x * x * x

    grad_x = zero_derivative


class Scribbler(Function):
    """An identity whose rule writes to the gradient that came in."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        return x.copy()

    def grad_x(self, gy: Any) -> Any:
        gy *= 1.5
        return gy / 1.5


def test_right_gradients_pass_at_both_orders() -> None:
    inputs = [leaf(0.5, -2.0, 1.0), leaf(3.0, 0.25, -1.0)]
    for fn in (F.mul, lambda a, b: (a * b, F.exp(a)), lambda a, b: F.sum(a / (b * b))):
        assert gradcheck(fn, inputs) is True
        assert gradgradcheck(fn, inputs) is True


def test_a_wrong_rule_is_named_with_its_values() -> None:
    with pytest.raises(GradcheckError) as caught:
        gradcheck(lambda a, b: (a, WrongCube()(b)), [leaf(1.0), leaf(0.0, 2.0)])
    message = str(caught.value)
    assert "output 1, element (1,), as a function of input 1, element (1,)" in message
    assert "ours 8" in message
    assert "numerical 12" in message


def test_a_rule_that_is_constant_at_second_order_is_found_by_gradgradcheck_alone() -> None:
    assert gradcheck(lambda x: FrozenCube()(x), leaf(2.0))
    with pytest.raises(GradcheckError, match=r"gradgradcheck: .* ours 0, numerical [-\d.]+"):
        gradgradcheck(lambda x: FrozenCube()(x), leaf(2.0))


def test_a_derivative_declared_zero_that_is_not_fails() -> None:
    with pytest.raises(GradcheckError, match="ours 0, numerical 12"):
        gradcheck(lambda x: Forgotten()(x), leaf(2.0))


def test_a_constant_gradient_is_fine_where_it_is_true() -> None:
    assert gradgradcheck(F.sign, leaf(2.0, -1.0))


def test_the_cotangent_is_not_all_ones() -> None:
    # The gradient of softmax(x).sum() is 0: a rule that returned 0 would pass under ones.
    class ZeroRule(Function):
        def forward(self, x: np.ndarray) -> np.ndarray:
            e = np.exp(x - x.max())
            return e / e.sum()

        grad_x = zero_derivative

    with pytest.raises(GradcheckError, match="wrong gradient"):
        gradcheck(lambda x: ZeroRule()(x), leaf(0.1, 0.2, -0.5))


@pytest.mark.parametrize(
    ("fn", "values", "slopes"),
    [
        (lambda x: F.clamp(x, min=0), (1.0, 0.0), "slope 0 to the left, 1 to the right, ours 1"),
        (F.abs, (0.0, 1.0), "slope -1 to the left, 1 to the right, ours 0"),
        (lambda x: F.max(x, 0)[0], (2.0, 1.0, 2.0), "slope 0 to the left, 1 to the right, ours 1"),
        (F.amax, (2.0, 1.0, 2.0), "slope 0 to the left, 1 to the right, ours 0.5"),
        (lambda x: F.maximum(x, 2.0), (2.0,), "slope 0 to the left, 1 to the right, ours 0.5"),
    ],
)
def test_kinks_and_ties_are_told_from_wrong_gradients(fn: Any, values: tuple[float, ...], slopes: str) -> None:
    with pytest.raises(GradcheckError, match=f"a kink or a jump: {slopes}"):
        gradcheck(fn, leaf(*values))
    assert gradcheck(fn, leaf(*values), raise_exception=False) is False


@pytest.mark.parametrize("distance", [0.0, 1 / 4, 1 / 3, 1 / 2, 0.9])
@pytest.mark.parametrize("side", [-1, 1])
def test_a_kink_anywhere_within_a_step_is_a_kink(distance: float, side: int) -> None:
    with pytest.raises(GradcheckError, match="kink"):
        gradcheck(F.abs, leaf(side * distance * 1e-6))


def test_a_kink_just_outside_of_the_step_does_not_disturb() -> None:
    assert gradcheck(F.abs, leaf(2e-6, -2e-6))


def test_a_jump_is_reported() -> None:
    with pytest.raises(GradcheckError, match="a kink or a jump"):
        gradcheck(lambda x: F.where(x > 0, x + 1, x), leaf(0.0))


def test_strong_curvature_is_no_kink() -> None:
    assert gradcheck(lambda x: F.exp(x * 30), leaf(1.0))
    assert gradcheck(F.sqrt, leaf(1e-4))


def test_a_kink_of_the_derivative_is_seen_at_second_order() -> None:
    square_on_the_right = lambda x: F.clamp(x, min=0) * x
    assert gradcheck(square_on_the_right, leaf(0.0))
    with pytest.raises(GradcheckError, match=r"gradgradcheck: .*kink"):
        gradgradcheck(square_on_the_right, leaf(0.0))


def test_the_default_generator_and_the_inputs_stay_as_they_are() -> None:
    before = generator_state()
    x = leaf(0.5, 1.5)
    gradcheck(F.exp, x)
    gradgradcheck(F.exp, x)
    assert generator_state() == before
    assert x.grad is None
    assert x.data.tolist() == [0.5, 1.5]
    gradcheck(F.exp, x, generator=default_generator())
    assert generator_state() != before


def test_random_functions_are_refused() -> None:
    generator = np.random.default_rng(0)
    with pytest.raises(GradcheckError, match="two values for the same inputs; seed its generator"):
        gradcheck(lambda x: x * float(generator.random()), leaf(1.0))


def test_functions_and_rules_that_write_to_arguments_are_refused() -> None:
    def writes(x: Tensor) -> Tensor:
        x.data[0] += 1
        return x * 2

    with pytest.raises(GradcheckError, match="fn wrote to its input 0"):
        gradcheck(writes, leaf(1.0))
    with pytest.raises(GradcheckError, match="wrote to the gradient that came in"):
        gradcheck(lambda x: Scribbler()(x), leaf(1.0))


def test_views_of_an_input_are_compared_by_value() -> None:
    assert gradcheck(lambda x: F.reshape(x, 2, 1), leaf(1.0, 2.0))


def test_a_function_may_use_one_memory_for_all_of_its_results() -> None:
    memory = np.empty(2)

    class Reusing(Function):
        def forward(self, x: np.ndarray) -> np.ndarray:
            return np.multiply(x, 3.0, out=memory)

        def grad_x(self, gy: Any) -> Any:
            return gy * 3.0

    assert gradcheck(lambda x: Reusing()(x), leaf(1.0, 2.0))


def test_constants_pass_through_and_detached_outputs_are_not_looked_at() -> None:
    x, c = leaf(1.0, 2.0), Tensor([3.0, 4.0], dtype="float64")
    assert gradcheck(lambda x, c, n: (x * c * n, x.detach(), F.argmax(x)), [x, c, 2])


def test_nan_fails() -> None:
    with np.errstate(invalid="ignore"), pytest.raises(GradcheckError, match="ours nan, numerical nan"):
        gradcheck(F.sqrt, leaf(-1.0))


def test_empty_inputs_pass() -> None:
    x = Tensor(np.zeros((0, 3)), requires_grad=True)
    assert gradcheck(lambda x: F.sum(x, 1), x)
    assert gradgradcheck(lambda x: F.sum(x, 1), x)


def test_it_records_also_within_no_grad() -> None:
    with no_grad():
        assert gradcheck(F.exp, leaf(1.0))
        assert gradgradcheck(F.exp, leaf(1.0))


def test_grad_outputs_may_be_given() -> None:
    assert gradgradcheck(F.exp, leaf(1.0, 2.0), np.array([1.0, -1.0]))
    with pytest.raises(ValueError, match="grad_outputs must have the shapes"):
        gradgradcheck(F.exp, leaf(1.0, 2.0), np.ones(3))


def test_tolerances_are_used() -> None:
    slightly_wrong = lambda x: F.where(x > 0, x, x) + (x.detach() - x) * 1e-4 + x * 1e-4
    assert gradcheck(lambda x: WrongCube()(x), leaf(1.0), rtol=0.5)
    assert gradcheck(lambda x: WrongCube()(x), leaf(1.0), atol=1.6, rtol=0)
    assert gradcheck(slightly_wrong, leaf(1.0))
    assert not gradcheck(slightly_wrong, leaf(1.0), atol=0, rtol=1e-6, raise_exception=False)


def test_inputs_must_be_float64_and_require_a_gradient() -> None:
    with pytest.raises(ValueError, match="no input requires a gradient"):
        gradcheck(F.exp, Tensor([1.0]))
    with pytest.raises(TypeError, match="input 1 is float32"):
        gradcheck(F.add, [leaf(1.0), Tensor([1.0], requires_grad=True)])
    with pytest.raises(ValueError, match="no output of fn requires a gradient"):
        gradcheck(lambda x: x.detach(), leaf(1.0))
