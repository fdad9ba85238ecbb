"""Several operations in one pass over memory, where nobody sees what lies between them.

`nn.Sequential` calls these for runs of its layers. The bits are those of the single operations, forward and backward;
`singles` lists them, so that a drawing shows what was asked for. Two exceptions, where max pooling follows a
convolution: what a NaN or an infinity spoils, and the last bit of a bias's gradient where its sum nearly cancels.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from numpy import ndarray

from tinygrad_cnn.autograd import Function
from tinygrad_cnn.functional.activation import ReLU, gate
from tinygrad_cnn.functional.conv import Conv2d, Conv2dInputGrad, Conv2dWeightGrad, Geometry, convolved, over_pixels
from tinygrad_cnn.functional.elementwise import FLOAT32
from tinygrad_cnn.functional.norm import BatchNormFixed
from tinygrad_cnn.functional.pool import MaxPool2d, MaxPoolScatter
from tinygrad_cnn.kernels import conv_fused as kernel
from tinygrad_cnn.kernels import conv_input_maxima, conv_weight_grad
from tinygrad_cnn.kernels.norm import scale_and_shift
from tinygrad_cnn.kernels.pool import SIDE_BY_SIDE
from tinygrad_cnn.state import tick


class Run(NamedTuple):
    """What follows a convolution."""

    relu: bool
    pool: bool  # the maxima of 2x2 windows side by side
    paths: tuple[str, ...]  # of the modules that are run as one


# Of one of several operations that ran as one: the path of its module, and function, inputs and result.
Single = tuple[str, Function, tuple[Any, ...], Any]


def _one_by_one(paths: tuple[str, ...], steps: list[tuple[Any, ...]], x: Any) -> Iterator[Single]:
    """Apply operations, each given with its further inputs, one after the other."""
    for path, (function, *others) in zip(paths, steps, strict=True):
        y = function.apply(x, *others)
        function.path = path
        yield path, function, (x, *others), y
        x = y


class ConvRun(Function):
    """A convolution, then ReLU, then 2x2 max pooling, as far as the run says."""

    keeps = ("index",)
    index: Any  # where in its window each maximum was found

    def __init__(self, geometry: Geometry, run: Run) -> None:
        self.geometry, self.run = geometry, run
        self.earlier = tick(), tick()  # when the operations before the last one would have been recorded

    def forward(self, x: ndarray, w: ndarray, b: ndarray | None) -> ndarray:
        self.x_shape, self.w_shape = x.shape, w.shape
        y, self.index = kernel.conv2d_fused(x, w, b, *self.geometry, relu=self.run.relu, pool=self.run.pool)
        return y

    def backward(self, gy: Any, x: Any, w: Any, y: Any) -> tuple[Any, Any, Any]:
        if self.run.relu:
            gy = gate(gy, y)  # where a maximum is not positive, nothing in its window is
        # Of float32 the maxima alone may do: a quarter of the pixels. A bias's sum in float64 would show its order.
        pooled = self.run.pool and type(gy) is ndarray and gy.dtype == FLOAT32
        shapes = self.x_shape, self.w_shape, *self.geometry
        sparse_x = pooled and self.needs(0) and conv_input_maxima.pays(*shapes, gy.dtype)
        sparse_w = pooled and self.needs(1) and conv_weight_grad.takes_maxima(*shapes, gy.dtype)
        dense = (self.needs(0) and not sparse_x) or (self.needs(1) and not sparse_w) or not pooled
        # the gradient of every pixel, where somebody needs it
        whole = MaxPoolScatter(self.index, self.convolved).apply(gy) if self.run.pool and dense else gy
        gx = gw = gb = None
        if sparse_x:
            gx = conv_input_maxima.input_grad(gy, self.index, w, self.x_shape, self.geometry.padding)
        elif self.needs(0):
            gx = Conv2dInputGrad(self.geometry, self.x_shape).apply(whole, w)
        if sparse_w:
            gw = conv_weight_grad.conv2d_weight_grad(gy, x, self.w_shape, *self.geometry, self.index)
        elif self.needs(1):
            gw = Conv2dWeightGrad(self.geometry, self.w_shape).apply(whole, x)
        if self.needs(2):
            gb = over_pixels(gy if pooled else whole)
        return gx, gw, gb

    @property
    def convolved(self) -> Any:
        """The shape of the convolution's own result."""
        return convolved(self.x_shape, self.w_shape, self.geometry)

    def replay(self, x: Any, w: Any, b: Any) -> Iterator[Single]:
        """Run the operations one by one on the same inputs; the last one's node then stands in the place of this."""
        oh, ow = self.convolved[2:]
        steps = [(Conv2d(self.geometry), w, b), *[(ReLU(),)] * self.run.relu]
        steps += [(MaxPool2d(SIDE_BY_SIDE, (oh // 2, ow // 2)),)] * self.run.pool
        yield from _one_by_one(self.run.paths, steps, x)
        *before, (last, *_) = steps
        if last.tick:
            for (function, *_), moment in zip(before, self.earlier, strict=False):
                function.tick = moment
            self.become(last)

    def singles(self) -> list[Function]:
        """Return the operations of the run as if they had been recorded one by one."""
        conv, relu, pool = Conv2d(self.geometry), ReLU(), MaxPool2d(SIDE_BY_SIDE, (self.y_shape[2], self.y_shape[3]))
        conv.x_shape, conv.w_shape = self.x_shape, self.w_shape
        chain = [conv, *[relu] * self.run.relu, *[pool] * self.run.pool]
        for i, (single, path) in enumerate(zip(chain, self.run.paths, strict=True)):
            single.edges = (chain[i - 1],) if i else self.edges
            single.saved = [None, self.saved[-1]] if i else self.saved[:-1]
            single.y_shape = self.y_shape if single is pool else self.convolved
            single.y_dtype, single.tick, single.path = self.y_dtype, self.tick, path
            given = single.edges or ()
            single.plan = single.plans[(1 << len(given)) + sum(1 << k for k, edge in enumerate(given) if edge)]
        return chain


class ConvNormRun(Function):
    """A convolution, then batch norm by fixed statistics, then what the run says: without gradients."""

    differentiable = False

    def __init__(self, geometry: Geometry, eps: float, run: Run) -> None:
        self.geometry, self.eps, self.run = geometry, eps, run

    def forward(
        self, x: ndarray, w: ndarray, b: ndarray | None, mean: ndarray, var: ndarray, gamma: ndarray, beta: ndarray
    ) -> ndarray:
        scale, shift = scale_and_shift(gamma, beta, mean, var, self.eps)
        run = self.run
        return kernel.conv2d_fused(
            x, w, b, *self.geometry, scale=scale, shift=shift, relu=run.relu, pool=run.pool
        )[0]  # fmt: skip

    def replay(self, x: Any, w: Any, b: Any, mean: Any, var: Any, gamma: Any, beta: Any) -> Iterator[Single]:
        """Run the operations one by one on the same inputs."""
        norm = BatchNormFixed(self.eps), mean, var, gamma, beta
        steps = [(Conv2d(self.geometry), w, b), norm, *[(ReLU(),)] * self.run.relu]
        oh, ow = convolved(x.shape, w.shape, self.geometry)[2:]
        steps += [(MaxPool2d(SIDE_BY_SIDE, (oh // 2, ow // 2)),)] * self.run.pool
        yield from _one_by_one(self.run.paths, steps, x)
