"""How many multiply-adds an operation takes.

One multiply-add is one multiplication and one addition. As in the papers, what counts is convolutions and products of
matrices; element-wise work, pooling, normalisation, resampling and moving things count as none.
"""

from __future__ import annotations

import math
from functools import singledispatch
from typing import Any

from tinygrad_cnn.autograd import Function
from tinygrad_cnn.functional.activation import HardChoice, LeakyReLU, LogSoftmax, PReLU, ReLU, Sigmoid, Softmax, Tanh
from tinygrad_cnn.functional.conv import Conv2d, Conv2dInputGrad, Conv2dWeightGrad
from tinygrad_cnn.functional.curves import Curve
from tinygrad_cnn.functional.dropout import Dropout
from tinygrad_cnn.functional.elementwise import Elementwise
from tinygrad_cnn.functional.extremum import ArgExtremum, PutAlong, TakeAlong
from tinygrad_cnn.functional.fused import ConvNormRun, ConvRun, LinearRun
from tinygrad_cnn.functional.indexing import Index, Mask, Scatter, SetItem
from tinygrad_cnn.functional.joining import Cat, Pad
from tinygrad_cnn.functional.label import OneHot
from tinygrad_cnn.functional.linalg import Linear, MatMul
from tinygrad_cnn.functional.loss import LabelLoss, MSELoss
from tinygrad_cnn.functional.loss_binary import BCEWithLogits, BinaryCrossEntropy
from tinygrad_cnn.functional.loss_difference import SmoothL1Loss
from tinygrad_cnn.functional.lrn import LocalResponseNorm
from tinygrad_cnn.functional.max_unpool import MaxUnpool
from tinygrad_cnn.functional.norm import BatchNorm, BatchNormFixed
from tinygrad_cnn.functional.norm_groups import GroupNorm
from tinygrad_cnn.functional.picking import Gather, GatherAdjoint, ScatterAdd
from tinygrad_cnn.functional.pool import (
    AdaptiveAvgPool2d,
    AdaptiveAvgPool2dGrad,
    AvgPool2d,
    AvgPool2dGrad,
    MaxPool2d,
    MaxPoolGather,
    MaxPoolScatter,
)
from tinygrad_cnn.functional.pool_bins import AdaptiveMaxPool2d
from tinygrad_cnn.functional.reduce import Reduction
from tinygrad_cnn.functional.resize import Resize
from tinygrad_cnn.functional.roi import RoIAlign, RoIAlignGrad, RoIGather, RoIPool, RoIScatter
from tinygrad_cnn.functional.sampling import Sample, SampleInputGrad, SampleWeightGrad
from tinygrad_cnn.functional.shape import Expand, Permute, Reshape, SumTo
from tinygrad_cnn.functional.sums import CumSum
from tinygrad_cnn.functional.unfold import Fold, Unfold
from tinygrad_cnn.kernels.geometry import Window
from tinygrad_cnn.tracing import Shape


@singledispatch
def multiply_adds(function: Function, inputs: tuple[Shape, ...], output: Shape) -> int:
    """Return the multiply-adds of one call of an operation, as the table says.

    Args:
        function: the operation.
        inputs: the shapes of its inputs.
        output: the shape of its result.

    Raises:
        NotImplementedError: the table has no entry for the operation.

    An operation of one's own registers its count:

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
    raise NotImplementedError(
        f"multiply_adds: no count for {function.name}; list it in tinygrad_cnn/analysis/multiply_adds.py, or teach the "
        "table an operation of your own by @multiply_adds.register: 0 where it convolves and multiplies no matrices"
    )


@multiply_adds.register(Conv2d)
@multiply_adds.register(ConvRun)
@multiply_adds.register(ConvNormRun)
def _(function: Any, inputs: tuple[Shape, ...], output: Shape) -> int:
    x, w = inputs[:2]
    pixels = Window((w[2], w[3]), *function.geometry[:3]).out_size("conv2d", (x[2], x[3]))
    return x[0] * math.prod(pixels) * math.prod(w)  # each of O outputs sums over (C/groups, KH, KW)


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
def _(function: LinearRun, inputs: tuple[Shape, ...], output: Shape) -> int:
    return inputs[0][0] * sum(math.prod(w) for w in inputs[1::2])


@multiply_adds.register
def _(function: MatMul, inputs: tuple[Shape, ...], output: Shape) -> int:
    return math.prod(output) * inputs[0][-1]


def _none(function: Function, inputs: tuple[Shape, ...], output: Shape) -> int:
    return 0


for _kind in (
    *(Reshape, Permute, Expand, SumTo, Index, Scatter, SetItem, Mask, Cat, Pad, Unfold, Fold),  # they move things
    *(Gather, GatherAdjoint, ScatterAdd, TakeAlong, PutAlong, ArgExtremum, OneHot),
    *(Elementwise, ReLU, LeakyReLU, PReLU, Sigmoid, Tanh, HardChoice, Curve, Dropout),  # each element alone
    *(Reduction, CumSum, Softmax, LogSoftmax),  # sums
    *(LabelLoss, MSELoss, SmoothL1Loss, BinaryCrossEntropy, BCEWithLogits),
    *(BatchNorm, BatchNormFixed, GroupNorm, LocalResponseNorm),
    *(MaxPool2d, MaxPoolScatter, MaxPoolGather, AvgPool2d, AvgPool2dGrad, AdaptiveAvgPool2d, AdaptiveAvgPool2dGrad),
    *(AdaptiveMaxPool2d, MaxUnpool, RoIPool, RoIScatter, RoIGather, RoIAlign, RoIAlignGrad),
    *(Resize, Sample, SampleInputGrad, SampleWeightGrad),
):
    multiply_adds.register(_kind, _none)
