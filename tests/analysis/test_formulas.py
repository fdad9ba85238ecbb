from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn import Function, Tensor
from tinygrad_cnn import functional as F
from tinygrad_cnn.analysis import formula
from tinygrad_cnn.autograd import no_derivative

X = Tensor(np.random.default_rng(0).uniform(0.5, 1, (2, 4, 6, 5)), requires_grad=True)
W = Tensor(np.random.default_rng(1).uniform(0.5, 1, (4, 2, 3, 3)), requires_grad=True)


def every_kind(kind: type) -> set[type]:
    return {kind, *(found for sub in kind.__subclasses__() for found in every_kind(sub))}


def test_every_entry_speaks_of_inputs_that_there_are():
    """A gradient is said for names that forward has, and for all that have one."""
    told = [kind for kind in formula.registry if kind not in (object, Function) and kind.__subclasses__() == []]
    assert len(told) > 35
    for kind in told:
        function = object.__new__(kind)
        function.__dict__ |= {"geometry": ((1, 1), ((0, 0), (0, 0)), (1, 1), 1), "reduction": "mean"}
        said = formula(function)
        names = {n for n in kind.input_names if getattr(kind, f"grad_{n}", None) is not no_derivative}
        assert set(said.gradients) <= set(kind.input_names), kind
        assert names - {"condition", "mean", "var", "weight"} <= set(said.gradients), kind
        assert said.forward.startswith(("y ", "y[", "gx ", "gw ")), kind


def test_a_convolution_has_its_numbers_in_the_formula():
    node = F.conv2d(X, W, None, (2, 1), ((1, 0), (3, 0)), (1, 2), 2).grad_fn
    said = formula(node)
    assert "over c of the group of o, p, q of x[n, c, 2*i + p - 1, j + 2*q - 3] * w[o, c, p, q]" in said.forward
    assert set(said.gradients) == {"x", "w", "b"}


@pytest.mark.parametrize(
    ("reduction", "begins"), [("mean", "y = mean over n"), ("sum", "y = sum"), ("none", "y[n] = -")]
)
def test_losses_say_how_they_are_reduced(reduction, begins):
    scores = Tensor(np.zeros((2, 3)), requires_grad=True)
    for loss in (F.cross_entropy, F.nll_loss):
        said = formula(loss(scores, np.array([0, 1]), reduction=reduction).grad_fn)
        assert said.forward.startswith(begins)
        assert ("/ N" in said.gradients["x"]) == (reduction == "mean")


def test_curves_speak_for_themselves():
    assert formula(F.silu(X).grad_fn).forward == "y = x * sigmoid(x)"


def test_an_operation_of_ones_own():
    class Cube(Function):
        """x ** 3, slowly.

        More about it.
        """

        def forward(self, x):
            return x * x * x

        def grad_x(self, gy, x):
            return gy * 3 * x * x

    assert formula(Cube()) == ("x ** 3, slowly.", {})
