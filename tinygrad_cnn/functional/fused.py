"""Several operations in one pass over memory, where nobody sees what lies between them.

`nn.Sequential` calls these for runs of its layers. The bits are those of the single operations, forward and backward;
`singles` lists them, so that a drawing shows what was asked for. Two exceptions, where max pooling follows a
convolution: what a NaN or an infinity spoils, and the last bit of a bias's gradient where its sum nearly cancels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

from numpy import dtype, empty, minimum, ndarray

from tinygrad_cnn.autograd import Function
from tinygrad_cnn.functional.activation import ReLU, gate
from tinygrad_cnn.functional.conv import Conv2d, Conv2dInputGrad, Conv2dWeightGrad, Geometry, convolved, over_pixels
from tinygrad_cnn.functional.elementwise import FLOAT32
from tinygrad_cnn.functional.linalg import Linear
from tinygrad_cnn.functional.norm import BatchNormFixed
from tinygrad_cnn.functional.pool import MaxPool2d, MaxPoolScatter
from tinygrad_cnn.functional.shape import Reshape, Shape, reshape
from tinygrad_cnn.kernels import conv_fused as kernel
from tinygrad_cnn.kernels import conv_input_grad, conv_input_maxima, conv_weight_grad
from tinygrad_cnn.kernels import linear as linear_kernel
from tinygrad_cnn.kernels.norm import scale_and_shift
from tinygrad_cnn.kernels.pool import SIDE_BY_SIDE
from tinygrad_cnn.kernels.winograd import choose as choose_winograd
from tinygrad_cnn.state import get_winograd, tick


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


# The same, of operations that were not run: function, edges of its further inputs, what it would keep, shape of y.
Step = tuple[Any, Sequence[Any], Sequence[Any], Shape]


def _linked(node: Function, paths: tuple[str, ...], steps: list[Step]) -> list[Function]:
    """Return the functions of the steps as recorded nodes, each on the one before, that end where ``node`` stands."""
    chain: list[Function] = []
    for path, (single, edges, saved, y_shape) in zip(paths, steps, strict=True):
        single.edges = chain[-1] if chain else (node.edges or ())[0], *edges
        single.saved, single.y_shape, single.y_dtype = saved, y_shape, node.y_dtype
        single.tick, single.path = node.tick, path
        given = enumerate(single.edges)
        single.plan = single.plans[(1 << len(single.edges)) + sum(1 << k for k, edge in given if edge is not None)]
        chain.append(single)
    return chain


def _stand_apart(node: Function, steps: list[tuple[Any, ...]], earlier: tuple[int, ...]) -> None:
    """Let the last of the operations take the place of the node that they had run as, and the others come before."""
    *before, (last, *_) = steps
    if last.tick:
        for (function, *_), moment in zip(before, earlier, strict=False):
            function.tick = moment
        node.become(last)


_DENSE = None, False


@lru_cache(maxsize=256)
def _sparse(x: Shape, w: Shape, geometry: Geometry, dtype: dtype, winograd: bool) -> tuple[Any, bool]:
    """Return the kernel that computes the images' gradient from the maxima alone, or None; and whether the filters' is.

    Winograd's algorithm, where it may be used, computes an input gradient from all pixels.
    """
    shapes, to_x = (x, w, *geometry, dtype), None
    if conv_input_maxima.pays(*shapes):
        to_x = conv_input_maxima.input_grad
    elif conv_input_grad.takes_maxima(*shapes) and not choose_winograd(dtype, x, w, *geometry):
        to_x = conv_input_grad.conv2d_input_grad
    return to_x, conv_weight_grad.takes_maxima(*shapes)


class ConvRun(Function):
    """A convolution, then ReLU, then 2x2 max pooling, as far as the run says."""

    keeps = ("index",)
    index: Any  # where in its window each maximum was found, if it is positive where a ReLU comes before

    def __init__(self, geometry: Geometry, run: Run) -> None:
        self.geometry, self.run = geometry, run
        self.earlier = tick(), tick()  # when the operations before the last one would have been recorded

    def forward(self, x: ndarray, w: ndarray, b: ndarray | None) -> ndarray:
        self.x_shape, self.w_shape = x.shape, w.shape
        y, self.index = kernel.conv2d_fused(x, w, b, *self.geometry, relu=self.run.relu, pool=self.run.pool)
        return y

    def backward(self, gy: Any, x: Any, w: Any, y: Any) -> tuple[Any, Any, Any]:
        wants_x, wants_w, wants_b = self.wanted()
        on_arrays, index = type(gy) is ndarray, self.index
        if self.run.relu and not (on_arrays and self.run.pool):
            gy = gate(gy, y)  # on arrays the maxima that are not positive have no place in their windows
            index = None if index is None else minimum(index, 3)
        # Of float32 the maxima alone may do: a quarter of the pixels. A bias's sum in float64 would show its order.
        pooled = self.run.pool and on_arrays and gy.dtype == FLOAT32 and gy.size > 0
        asked = self.x_shape, self.w_shape, self.geometry, gy.dtype, get_winograd()
        sparse_x, sparse_w = _sparse(*asked) if pooled else _DENSE
        dense = (wants_x and not sparse_x) or ((wants_w or wants_b) and not sparse_w)
        whole = gy  # the gradient of every pixel, where somebody needs it
        if self.run.pool and dense:
            scatter = MaxPoolScatter(index, self.convolved)
            whole = scatter.forward(gy) if on_arrays else scatter.apply(gy)
        gx = gw = None
        if wants_x and sparse_x:
            gx = sparse_x(gy, w, self.x_shape, *self.geometry, index)
        elif wants_x:
            to_x = Conv2dInputGrad(self.geometry, self.x_shape)
            gx = to_x.forward(whole, w) if on_arrays else to_x.apply(whole, w)
        if (wants_w or wants_b) and sparse_w:
            gb = empty(self.w_shape[0], gy.dtype)
            return gx, conv_weight_grad.conv2d_weight_grad(gy, x, self.w_shape, *self.geometry, index, gb), gb
        if wants_w:
            to_w = Conv2dWeightGrad(self.geometry, self.w_shape)
            gw = to_w.forward(whole, x) if on_arrays else to_w.apply(whole, x)
        return gx, gw, over_pixels(whole) if wants_b else None

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
        _stand_apart(self, steps, self.earlier)

    def singles(self) -> list[Function]:
        """Return the operations of the run as if they had been recorded one by one."""
        if self.edges is None:
            return [self]
        conv, kept = Conv2d(self.geometry), [None, self.saved[-1]]
        conv.x_shape, conv.w_shape = self.x_shape, self.w_shape
        steps: list[Step] = [(conv, self.edges[1:], self.saved[:-1], self.convolved)]
        steps += [(ReLU(), (), kept, self.convolved)] * self.run.relu
        steps += [(MaxPool2d(SIDE_BY_SIDE, (self.y_shape[2], self.y_shape[3])), (), kept, self.y_shape)] * self.run.pool
        return _linked(self, self.run.paths, steps)


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


class Layers(NamedTuple):
    """Fully connected layers in a row."""

    flat: bool  # all axes of the input but the first are joined before
    relus: tuple[bool, ...]  # for each layer, whether a ReLU follows
    paths: tuple[str, ...]  # of the modules that are run as one


class LinearRun(Function):
    """Fully connected layers and their ReLUs: what stands at the end of a classifier."""

    keeps = ("hidden",)
    hidden: list[Any]  # what each layer was given

    def __init__(self, layers: Layers) -> None:
        self.layers = layers
        self.earlier = tuple([tick() for _ in layers.paths[1:]])

    def forward(self, *xs: Any) -> ndarray:  # x, then the weight and the bias (or None) of each layer
        x = xs[0]
        self.x_shape = x.shape
        if self.layers.flat:
            x = x.reshape(_flat(x.shape))
        self.hidden = []
        for relu, w, b in zip(self.layers.relus, xs[1::2], xs[2::2], strict=True):
            self.hidden.append(x)
            x = linear_kernel.linear(x, w, b, relu)
        return x

    def apply(self, *xs: Any) -> Any:
        result = super().apply(*xs)
        if self.tick:  # recorded: what no rule will read need not stay
            if not self.layers.relus[-1]:
                self.saved[-1] = None
            for i in range((self._lowest() - 1) // 2):
                self.hidden[i] = None
        return result

    __call__ = apply  # type: ignore[assignment]  # as in Function, whose apply spells its first inputs out

    def _lowest(self) -> int:
        """Return the first input that needs a gradient."""
        return next(i for i, edge in enumerate(self.edges or ()) if edge is not None)

    def check_versions(self, positions: Iterable[int] | None = None) -> None:
        """Look at what the kernels read; computing the layers again, under create_graph, reads all."""
        if positions is None:
            lowest, ws = self._lowest(), range(1, len(self.saved) - 1, 2)
            positions = [*[0] * self.wanted()[1], *[at for at in ws if lowest < at], len(self.saved) - 1]
        super().check_versions(positions)

    def backward(self, gy: Any, y: Any, *xs: Any) -> list[Any]:
        on_arrays, relus = type(gy) is ndarray, self.layers.relus
        hidden: Sequence[Any] = self.hidden if on_arrays else self._hidden_again(*xs)
        gradients: list[Any] = [None] * len(xs)
        needs = self.wanted()
        lowest = needs.index(True) if True in needs else len(xs)
        gy = gate(gy, y) if relus[-1] else gy
        for i in range(len(relus) - 1, -1, -1):
            at, gated = 1 + 2 * i, i > 0 and relus[i - 1]
            wanted = lowest < at, needs[at], needs[at + 1]
            if on_arrays:
                gy, *gradients[at : at + 2] = linear_kernel.gradients(gy, hidden[i], xs[at], wanted, gated)
            else:
                node = Linear()
                gradients[at : at + 2] = node.grad_w(gy, hidden[i]), node.grad_b(gy)
                gy = node.grad_x(gy, xs[at]) if wanted[0] else gy
                gy = gate(gy, hidden[i]) if gated and wanted[0] else gy
            if not wanted[0]:
                return gradients
        gradients[0] = gy.reshape(self.x_shape)
        return gradients

    def input_name(self, i: int) -> str:
        """Return x, w1, b1, w2, ..."""
        return f"{'bw'[i % 2]}{(i + 1) // 2}" if i else "x"

    def _hidden_again(self, x: Any, *parameters: Any) -> list[Any]:
        """Compute what each layer was given, in operations that are recorded."""
        self.check_versions(range(len(self.saved)))
        hidden = [reshape(x, *_flat(self.x_shape)) if self.layers.flat else x]
        for relu, w, b in zip(self.layers.relus[:-1], parameters[::2], parameters[1::2], strict=False):
            y = Linear().apply(hidden[-1], w, b)
            hidden.append(ReLU().apply(y) if relu else y)
        return hidden

    def replay(self, x: Any, *parameters: Any) -> Iterator[Single]:
        """Run the operations one by one on the same inputs; the last one's node then stands in the place of this."""
        steps: list[tuple[Any, ...]] = [(Reshape(_flat(x.shape)),)] * self.layers.flat
        for relu, w, b in zip(self.layers.relus, parameters[::2], parameters[1::2], strict=True):
            steps += [(Linear(), w, b), *[(ReLU(),)] * relu]
        yield from _one_by_one(self.layers.paths, steps, x)
        _stand_apart(self, steps, self.earlier)

    def singles(self) -> list[Function]:
        """Return the operations of the run as if they had been recorded one by one."""
        if self.edges is None:
            return [self]
        steps: list[Step] = []
        if self.layers.flat:
            steps.append((Reshape(_flat(self.x_shape)), (), (), _flat(self.x_shape)))
            steps[0][0].x_shape = self.x_shape
        for i, (relu, y) in enumerate(zip(self.layers.relus, [*self.hidden[1:], self.saved[-1]], strict=True)):
            at, shape = 1 + 2 * i, (self.y_shape[0], len(self.saved[1 + 2 * i]))
            steps.append((Linear(), self.edges[at : at + 2], [self.hidden[i], self.saved[at], None], shape))
            steps += [(ReLU(), (), [None, y], shape)] * relu
        return _linked(self, self.layers.paths, steps)


def _flat(shape: Shape) -> tuple[int, int]:
    return shape[0], prod(shape[1:])
