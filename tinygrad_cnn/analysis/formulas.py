"""What each operation computes and how its gradients follow, in a line of mathematics each: what `explain` prints.

The names are those of the rules: x w b y, and gx gw gb gy for the gradients of the loss with respect to them.
"""

from __future__ import annotations

from functools import singledispatch
from typing import NamedTuple

from tinygrad_cnn.autograd import Function
from tinygrad_cnn.functional.activation import LeakyReLU, LogSoftmax, PReLU, ReLU, Sigmoid, Softmax, Tanh
from tinygrad_cnn.functional.arithmetic import Add, Div, Maximum, Minimum, Mul, Pow, Sub
from tinygrad_cnn.functional.conv import Conv2d, Conv2dInputGrad, Conv2dWeightGrad
from tinygrad_cnn.functional.curves import Curve
from tinygrad_cnn.functional.dropout import Dropout
from tinygrad_cnn.functional.elementwise import Abs, Cast, Clamp, Clone, Exp, Log, Neg, Sqrt, Where
from tinygrad_cnn.functional.extremum import Extremum, ExtremumAlong
from tinygrad_cnn.functional.indexing import Index
from tinygrad_cnn.functional.joining import Cat, Pad
from tinygrad_cnn.functional.linalg import Linear, MatMul
from tinygrad_cnn.functional.loss import CrossEntropy, LabelLoss, MSELoss
from tinygrad_cnn.functional.norm import BatchNorm, BatchNormFixed
from tinygrad_cnn.functional.norm_groups import GroupNorm
from tinygrad_cnn.functional.pool import AdaptiveAvgPool2d, AvgPool2d, MaxPool2d
from tinygrad_cnn.functional.reduce import Mean, Sum, Var
from tinygrad_cnn.functional.shape import Expand, Permute, Reshape


class Formula(NamedTuple):
    """An operation on one page.

    Attributes:
        forward: how y follows from the inputs.
        gradients: how the gradient of each input follows from gy; input name -> text.
    """

    forward: str
    gradients: dict[str, str]


@singledispatch
def formula(function: Function) -> Formula:
    """Return what an operation computes and how its gradients follow.

    An operation that is not in the table is described by the first line of its class; one of one's own may be taught by
    ``@formula.register``.

    >>> formula(ReLU())
    Formula(forward='y = max(x, 0)', gradients={'x': 'gx = gy where y > 0, else 0'})
    """
    return Formula(said(function), {})


def said(function: Function) -> str:
    """Return the first line of what the class says of itself."""
    return (type(function).__doc__ or function.name).strip().partition("\n")[0]


def _same(kind: type[Function], forward: str, **gradients: str) -> None:
    """Give all calls of a class one text."""
    formula.register(kind, lambda function: Formula(forward, dict(gradients)))


_XHAT = "xhat = (x - mean) / sqrt(var + eps)"
_THROUGH = "gx = gamma / sqrt(var + eps) * (gy - mean of gy - xhat * mean of gy xhat)"
_SUMMED = {"gamma": "ggamma = sum of gy xhat", "beta": "gbeta = sum of gy"}
_HALVES = "gy where it was {}, half of it where both are equal, else 0"
_PUT_BACK = "gx = gy put back where it was read, 0 elsewhere"

_same(Add, "y = x1 + x2", x1="gx1 = gy", x2="gx2 = gy")
_same(Sub, "y = x1 - x2", x1="gx1 = gy", x2="gx2 = -gy")
_same(Mul, "y = x1 * x2", x1="gx1 = gy * x2", x2="gx2 = gy * x1")
_same(Div, "y = x1 / x2", x1="gx1 = gy / x2", x2="gx2 = -gy * x1 / x2**2")
_same(Pow, "y = x1 ** x2", x1="gx1 = gy * x2 * x1**(x2 - 1)", x2="gx2 = gy * y * log(x1)")
_same(Maximum, "y = max(x1, x2)", x1="gx1 = " + _HALVES.format("larger"), x2="gx2 = " + _HALVES.format("larger"))
_same(Minimum, "y = min(x1, x2)", x1="gx1 = " + _HALVES.format("smaller"), x2="gx2 = " + _HALVES.format("smaller"))
_same(Neg, "y = -x", x="gx = -gy")
_same(Exp, "y = e**x", x="gx = gy * y")
_same(Log, "y = log(x)", x="gx = gy / x")
_same(Sqrt, "y = sqrt(x)", x="gx = gy / (2 y)")
_same(Abs, "y = |x|", x="gx = gy * sign(x)")
_same(Clamp, "y = x, limited to [low, high]", x="gx = gy where low <= x <= high, else 0")
_same(Where, "y = x1 where the condition holds, else x2", x1="gx1 = gy where it holds", x2="gx2 = gy where not")
_same(Cast, "y = x in another dtype", x="gx = gy")
_same(Clone, "y = a copy of x", x="gx = gy")
_same(ReLU, "y = max(x, 0)", x="gx = gy where y > 0, else 0")
_same(LeakyReLU, "y = x where x > 0, else slope * x", x="gx = gy where x > 0, else slope * gy")
_same(
    PReLU,
    "y = x where x > 0, else w * x",
    x="gx = gy where x > 0, else w * gy",
    w="gw = sum of gy * x over x <= 0",
)
_same(Sigmoid, "y = 1 / (1 + e**-x)", x="gx = gy * y * (1 - y)")
_same(Tanh, "y = tanh(x)", x="gx = gy * (1 - y**2)")
_same(Softmax, "y = e**x / sum of e**x along the axis", x="gx = y * (gy - sum of gy y along the axis)")
_same(LogSoftmax, "y = x - log(sum of e**x along the axis)", x="gx = gy - e**y * sum of gy along the axis")
_same(
    Linear, "y[n, o] = b[o] + sum over i of x[n, i] * w[o, i]", x="gx = gy w", w="gw = gy' x", b="gb = sum over n of gy"
)
_same(MatMul, "y = a b", a="ga = gy b'", b="gb = a' gy")
_same(Reshape, "y = the same elements under another shape", x="gx = gy under the shape of x")
_same(Permute, "y = x with its axes in another order", x="gx = gy in the order before")
_same(Expand, "y = x, repeated along axes of size 1", x="gx = sum of gy over the copies")
_same(Index, "y = x[key]", x=_PUT_BACK + " (added up where a place was read twice)")
_same(Cat, "y = the inputs side by side", xs="its own part of gy")
_same(Pad, "y = x with a constant around it", x="gx = gy without the border")
_same(Sum, "y = sum of x over the axes", x="gx = gy, repeated over the axes")
_same(Mean, "y = mean of x over the axes", x="gx = gy / how many were averaged, repeated over the axes")
_same(Var, "y = sum of (x - mean)**2 / (n - correction)", x="gx = gy * 2 (x - mean) / (n - correction)")
_same(Extremum, "y = the extreme value over the axes", x="gx = gy, shared evenly among those equal to y, 0 elsewhere")
_same(ExtremumAlong, "y = the extreme value along the axis", x=_PUT_BACK)
_same(MaxPool2d, "y = the largest of each window", x=_PUT_BACK + " (added up where windows overlap)")
_same(AvgPool2d, "y = sum of each window / its divisor", x="gx = gy / the divisor, added to each pixel of its window")
_same(AdaptiveAvgPool2d, "y = mean of each bin", x="gx = gy / the size of the bin, added to each of its pixels")
_same(BatchNorm, f"y = gamma * xhat + beta, {_XHAT}, over the batch, channel by channel", x=_THROUGH, **_SUMMED)
_same(
    BatchNormFixed,
    f"y = gamma * xhat + beta, {_XHAT}, with running statistics",
    x="gx = gy * gamma / sqrt(var + eps)",
    **_SUMMED,
)
_same(GroupNorm, f"y = gamma * xhat + beta, {_XHAT}, over each group of each image", x=_THROUGH, **_SUMMED)
_same(Dropout, "y = x * scale where kept, else 0", x="gx = gy * scale where kept, else 0")
_same(MSELoss, "y = sum of (x - t)**2 / divisor", x="gx = gy * 2 (x - t) / divisor", target="gt = -gx")
_same(
    Conv2dInputGrad,
    "gx = every gy[n, o, i, j] * w[o], added to the patch that it was computed from",
    gy="ggy = the convolution of ggx with w",
    w="gw = the weight gradient of gy and ggx",
)
_same(
    Conv2dWeightGrad,
    "gw = the sum of all patches of x, each times its gy[n, o, i, j]",
    gy="ggy = the convolution of x with ggw",
    x="gx = the input gradient of gy and ggw",
)


@formula.register
def _(function: Curve) -> Formula:
    return Formula(f"y = {said(function).rstrip('.')}", {"x": "gx = gy * the slope of the curve at x"})


@formula.register
def _(function: Conv2d) -> Formula:
    (sh, sw), ((top, _), (left, _)), (dh, dw), groups = function.geometry
    row, column = _position("i", sh, "p", dh, top), _position("j", sw, "q", dw, left)
    channel = "c" if groups == 1 else "c of the group of o"
    return Formula(
        f"y[n, o, i, j] = b[o] + sum over {channel}, p, q of x[n, c, {row}, {column}] * w[o, c, p, q]",
        {
            "x": "gx = every gy[n, o, i, j] * w[o], added to the patch that y[n, o, i, j] was computed from",
            "w": "gw[o] = sum over n, i, j of gy[n, o, i, j] * the patch of x at (i, j)",
            "b": "gb[o] = sum over n, i, j of gy[n, o, i, j]",
        },
    )


@formula.register
def _(function: LabelLoss) -> Formula:
    over = {"mean": "mean over n of ", "sum": "sum over n of ", "none": ""}[function.reduction]
    y = "y[n] = " if function.reduction == "none" else "y = "
    share = " / N" if function.reduction == "mean" else ""
    if isinstance(function, CrossEntropy):
        return Formula(f"{y}{over}-log softmax(x)[n, t[n]]", {"x": f"gx = gy * (softmax(x) - 1 at the label){share}"})
    return Formula(f"{y}{over}-x[n, t[n]]", {"x": f"gx = -gy{share} at the label, 0 elsewhere"})


def _position(at: str, stride: int, tap: str, dilation: int, padding: int) -> str:
    """Return where a window reads: ``2*i + p - 1``."""
    first = at if stride == 1 else f"{stride}*{at}"
    second = tap if dilation == 1 else f"{dilation}*{tap}"
    return f"{first} + {second}" + (f" - {padding}" if padding else "")
