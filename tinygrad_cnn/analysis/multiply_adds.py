"""How many multiply-adds an operation takes.

One multiply-add is one multiplication and one addition. As in the papers, what counts is convolutions and products of
matrices; element-wise work, pooling, normalisation and moving things count as none.
"""

from __future__ import annotations

import math
from functools import singledispatch

from tinygrad_cnn.autograd import Function
from tinygrad_cnn.calls import Shape
from tinygrad_cnn.functional.conv import Conv2d, Conv2dInputGrad, Conv2dWeightGrad
from tinygrad_cnn.functional.linalg import Linear, MatMul


@singledispatch
def multiply_adds(function: Function, inputs: tuple[Shape, ...], output: Shape) -> int:
    """Return the multiply-adds of one call of an operation; 0 unless the table says otherwise.

    Args:
        function: the operation.
        inputs: the shapes of its inputs.
        output: the shape of its result.

    An operation of one's own that multiplies matrices registers its count:

    >>> class Gram(Function):
    ...     def forward(self, x):
    ...         return x @ x.T
    ...     def grad_x(self, gy, x):
    ...         return (gy + gy.T) @ x
    >>> @multiply_adds.register
    ... def _(function: Gram, inputs, output):
    ...     return inputs[0][1] * output[0] * output[1]
    >>> multiply_adds(Gram(), ((3, 5),), (3, 3))
    45
    """
    return 0


@multiply_adds.register
def _(function: Conv2d, inputs: tuple[Shape, ...], output: Shape) -> int:
    return math.prod(output) * math.prod(inputs[1][1:])  # each output sums over (C/groups, KH, KW)


@multiply_adds.register
def _(function: Conv2dInputGrad, inputs: tuple[Shape, ...], output: Shape) -> int:
    return math.prod(inputs[0]) * math.prod(inputs[1][1:])  # each input is spread over (C/groups, KH, KW)


@multiply_adds.register
def _(function: Conv2dWeightGrad, inputs: tuple[Shape, ...], output: Shape) -> int:
    return math.prod(inputs[0]) * math.prod(output[1:])


@multiply_adds.register
def _(function: Linear, inputs: tuple[Shape, ...], output: Shape) -> int:
    return math.prod(output) * inputs[1][1]


@multiply_adds.register
def _(function: MatMul, inputs: tuple[Shape, ...], output: Shape) -> int:
    return math.prod(output) * inputs[0][-1]
