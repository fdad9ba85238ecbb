"""What a drawing says about an operation beside its name.

`details` is a table that grows by one function for each class; the rest can be read off every recorded operation.
"""

from __future__ import annotations

from functools import singledispatch
from inspect import getdoc

import numpy as np

from tinygrad_cnn.autograd import Function
from tinygrad_cnn.functional.conv import Conv2d
from tinygrad_cnn.functional.dropout import Dropout
from tinygrad_cnn.functional.pool import AvgPool2d, MaxPool2d
from tinygrad_cnn.functional.reduce import Reduction
from tinygrad_cnn.functional.shape import Permute
from tinygrad_cnn.kernels.geometry import Padding, Pair
from tinygrad_cnn.tensor import Tensor
from tinygrad_cnn.tracing import Call
from tinygrad_cnn.viz.facts import quantity


@singledispatch
def details(node: Function) -> tuple[str, ...]:
    """Return lines for the box of a recorded operation; most need none.

    A new operation registers its own:

    >>> class Scale(Function):
    ...     def __init__(self, factor):
    ...         self.factor = factor
    ...     def forward(self, x):
    ...         return self.factor * x
    ...     def grad_x(self, gy):
    ...         return self.factor * gy
    >>> @details.register
    ... def _(node: Scale):
    ...     return (f"factor {node.factor}",)
    >>> details(Scale(3))
    ('factor 3',)
    """
    return ()


@details.register
def _(node: Conv2d) -> tuple[str, ...]:
    stride, padding, dilation, groups = node.geometry
    sides = _window(node.w_shape[2:], stride, padding, dilation)
    return (*sides, f"groups {groups}") if groups > 1 else sides


@details.register(MaxPool2d)
@details.register(AvgPool2d)
def _(node: MaxPool2d | AvgPool2d) -> tuple[str, ...]:
    return _window(*node.window)


@details.register
def _(node: Reduction) -> tuple[str, ...]:
    to_one_number = getattr(node, "y_shape", None) == ()  # which a node knows once it is recorded
    return () if to_one_number else (f"axes {', '.join(map(str, node.axes))}",)


@details.register
def _(node: Permute) -> tuple[str, ...]:
    return (f"order {', '.join(map(str, node.order))}",)


@details.register
def _(node: Dropout) -> tuple[str, ...]:
    return (f"scale {node.scale:g}",)


def _window(size: Pair, stride: Pair, padding: Padding, dilation: Pair) -> tuple[str, ...]:
    """Return height x width of a window, and what is not the default about it."""
    (top, bottom), (left, right) = padding
    parts = [f"{size[0]} x {size[1]}"]
    if stride != (1, 1):
        parts.append(f"stride {_sides(*stride)}")
    if (top, left) == (bottom, right):
        if top or left:
            parts.append(f"padding {_sides(top, left)}")
    else:
        parts.append(f"padding {top}+{bottom} x {left}+{right}")
    if dilation != (1, 1):
        parts.append(f"dilation {_sides(*dilation)}")
    return (", ".join(parts),)


def _sides(height: int, width: int) -> str:
    return str(height) if height == width else f"{height} x {width}"


def shape_text(value: Tensor | np.ndarray) -> str:
    """Return shape and dtype as they are written: float32 goes without saying."""
    return f"{value.shape if value.shape else 'scalar'}{'' if value.dtype == np.float32 else f' {value.dtype}'}"


def hints(call: Call) -> tuple[str, ...]:
    r"""Return the lines of a tooltip: the formula, the shapes, and what stays in memory until backward.

    >>> from tinygrad_cnn import functional as F, nn, trace
    >>> with trace(nn.ReLU()) as t:
    ...     y = F.linear(np.ones((2, 3)), Tensor(np.ones((4, 3)), requires_grad=True))
    >>> print(*hints(t[0]), sep="\n")
    y[n, o] = b[o] + sum over i of x[n, i] * w[o, i].
    x (2, 3), w (4, 3) -> (2, 4)
    kept for backward: x (48 B)
    """
    node = call.function
    shapes = [
        f"{node.input_name(i)} {shape}"
        for i, (x, shape) in enumerate(zip(call.inputs, call.input_shapes, strict=True))
        if hasattr(x, "shape")
    ]
    lines = [(getdoc(type(node)) or "").partition("\n")[0], f"{', '.join(shapes)} -> {call.shape}"]
    if node.edges is not None:
        kept = sum(node.saved[place].nbytes for place in _kept(node) if hasattr(node.saved[place], "nbytes"))
        names = ", ".join(kept_names(node))
        lines.append(f"kept for backward: {names} ({quantity(kept, 'B')})" if names else "nothing kept for backward")
    return tuple(lines)


def may_be_absent(node: Function, input_name: str) -> bool:
    """Say whether an input that was not saved may have been None, such as a bias."""
    return "None" in str(type(node).forward.__annotations__.get(input_name, ""))  # type: ignore[attr-defined]


def rule_name(node: Function, input_name: str) -> str:
    """Return the name of the rule that computes the gradient of an input."""
    return "backward" if hasattr(node, "backward") else f"grad_{input_name}"


def kept_names(node: Function) -> list[str]:
    """Return the names of what stays in memory until backward: inputs, and ``y`` for the result."""
    return ["y" if place == len(node.edges or ()) else node.input_name(place) for place in _kept(node)]


def _kept(node: Function) -> list[int]:
    return sorted({p for _, _, arguments in node.plan.rules for p in arguments if node.saved[p] is not None})
