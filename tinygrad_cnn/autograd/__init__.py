"""The graph: variables, functions, and the walk backward. It knows no operation and no Tensor."""

from tinygrad_cnn.autograd.check import GradcheckError, gradcheck, gradgradcheck
from tinygrad_cnn.autograd.engine import Part
from tinygrad_cnn.autograd.function import Function, no_derivative, zero_derivative
from tinygrad_cnn.autograd.gradients import grad
from tinygrad_cnn.autograd.mode import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from tinygrad_cnn.autograd.stepping import Step, Steps
from tinygrad_cnn.autograd.variable import Leaf, Variable

__all__ = [
    "Function",
    "GradcheckError",
    "Leaf",
    "Part",
    "Step",
    "Steps",
    "Variable",
    "enable_grad",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "is_grad_enabled",
    "no_derivative",
    "no_grad",
    "set_grad_enabled",
    "zero_derivative",
]
