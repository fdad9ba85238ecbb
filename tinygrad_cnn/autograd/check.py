"""Compare the gradients that rules compute with differences of the values that functions return.

Everything is reduced to one number: s(x) = <u, fn(x)> for a random u, the cotangent. Its gradient comes from one
backward pass, and from two values of s for each element of x. A u of ones would not do: softmax adds up to 1, so that
the gradient of its sum is 0 whatever its rule says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from typing import Any, NamedTuple

import numpy as np
from numpy import ndarray

from tinygrad_cnn.autograd import engine
from tinygrad_cnn.autograd.mode import enable_grad
from tinygrad_cnn.autograd.variable import Leaf, Variable

Site = tuple[int, ...]
Draw = Callable[[Site], ndarray]


class GradcheckError(RuntimeError):
    """A gradient is wrong, or the function has none at this point."""


class Tolerance(NamedTuple):
    """How far elements are moved, and what differences pass."""

    eps: float
    atol: float
    rtol: float

    def allows(self, difference: float, size: float) -> bool:
        """Say whether a difference between two values of about this size passes; NaN never does."""
        return abs(difference) <= self.atol + self.rtol * abs(size)


class Probe:
    """The function s(x) = <u, fn(x)> of those inputs that require a gradient.

    Args:
        fn: takes the inputs, returns a variable or several; those that require a gradient are looked at.
        inputs: variables, and anything else that ``fn`` takes; every call receives copies of them.
        draw: returns the cotangent for an output of a given shape.
        constants: look at outputs that require no gradient too: they must not change with the inputs.
    """

    def __init__(self, fn: Callable[..., Any], inputs: Sequence[Any], draw: Draw, constants: bool = False) -> None:
        self.fn, self.inputs = fn, inputs
        self.wanted = [i for i, v in enumerate(inputs) if isinstance(v, Variable) and v.edge is not None]
        _, outputs = self.run()
        variables = [(k, y) for k, y in enumerate(outputs) if isinstance(y, Variable)]
        if not constants and all(y.edge is None for _, y in variables):
            raise ValueError("gradcheck: no output of fn requires a gradient; it must depend on an input that does")
        self.outputs = [k for k, y in variables if y.edge is not None or (constants and y._data.dtype.kind == "f")]
        self.values = self.copies(outputs)
        self.cotangents = [draw(y.shape) for y in self.values]

    def run(self, i: int = -1, site: Site = (), step: float = 0.0) -> tuple[list[Any], list[Any]]:
        """Call fn on fresh leaves, one element of input ``i`` moved by ``step``; return the leaves and the outputs."""
        arguments = list(self.inputs)
        for j in self.wanted:
            array = self.inputs[j]._data.copy()
            if j == i:
                array[site] += step
            arguments[j] = self.inputs[j].wrap(array, Leaf(array))
        before = [arguments[j]._data.copy() for j in self.wanted]
        with enable_grad():
            result = self.fn(*arguments)
        for j, array in zip(self.wanted, before, strict=True):
            if not np.array_equal(arguments[j]._data, array, equal_nan=True):
                raise GradcheckError(f"fn wrote to its input {j}; differences need a function that leaves them alone")
        outputs = [result] if isinstance(result, Variable) else list(result)
        return [arguments[j] for j in self.wanted], outputs

    def copies(self, outputs: Sequence[Any]) -> list[ndarray]:
        """Return copies of the arrays of the outputs: fn may use the memory of one result for the next."""
        return [outputs[k]._data.copy() for k in self.outputs]

    def change(self, i: int, site: Site, step: float) -> float:
        """Return s(x + step) - s(x), as the sum of small differences, which loses no digits to the size of s."""
        moved = self.copies(self.run(i, site, step)[1])
        return sum(
            float(np.vdot(u, y - y0)) for u, y, y0 in zip(self.cotangents, moved, self.values, strict=True) if y.size
        )

    def gradients(self) -> list[ndarray]:
        """Return the gradient of s for each wanted input, by one backward pass."""
        leaves, outputs = self.run()
        seeds = [u.copy() for u in self.cotangents]
        found: Sequence[Any] = [None] * len(leaves)
        if self.outputs:
            found = engine.grad([outputs[k] for k in self.outputs], leaves, seeds, None, False, True)
        for u, seed in zip(self.cotangents, seeds, strict=True):
            if not np.array_equal(u, seed):
                raise GradcheckError("a gradient rule wrote to the gradient that came in; compute a new array")
        return [np.zeros_like(x._data) if g is None else g._data for x, g in zip(leaves, found, strict=True)]

    def differences(self, i: int, step: float) -> ndarray:
        """Return the gradient of s for input ``i`` by central differences."""
        numerical = np.empty(self.inputs[i]._data.shape)
        for site in np.ndindex(numerical.shape):
            numerical[site] = (self.change(i, site, step) - self.change(i, site, -step)) / (2 * step)
        return numerical

    def fault(self, i: int, site: Site, ours: float, tolerance: Tolerance) -> str:
        """Return what is wrong with the gradient ``ours`` at one element, "" where nothing is.

        The two sides of a smooth s differ in slope by eps * s'', in proportion to the step. At a kink (or a jump)
        between x - eps and x + eps the difference does anything else as the step shrinks.
        """

        def sides(step: float) -> tuple[float, float]:
            return -self.change(i, site, -step) / step, self.change(i, site, step) / step

        left, right = sides(tolerance.eps)
        steepest = max(abs(left), abs(right))
        if not tolerance.allows(right - left, steepest):
            for shrink in (2, 4):  # one ratio alone has a blind spot: for 2 it is a kink at eps / 3
                near_left, near_right = sides(tolerance.eps / shrink)
                if abs((right - left) - shrink * (near_right - near_left)) > tolerance.atol + tolerance.rtol * steepest:
                    return (
                        f"a kink or a jump: slope {shown(left)} to the left, {shown(right)} to the right, "
                        f"ours {shown(ours)}"
                    )
        numerical = (left + right) / 2
        if tolerance.allows(ours - numerical, numerical):
            return ""
        return f"a wrong gradient: ours {shown(ours)}, numerical {shown(numerical)}"

    def singles(self) -> Iterator[tuple[str, Probe]]:
        """Yield the probe of each single element of the outputs, and a name for it."""
        for k, u in enumerate(self.cotangents):
            for site in np.ndindex(u.shape):
                single = copy(self)
                single.cotangents = [np.zeros_like(v) for v in self.cotangents]
                single.cotangents[k][site] = 1
                yield f"output {self.outputs[k]}, element {site}", single


def gradcheck(
    fn: Callable[..., Any],
    inputs: Any,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    *,
    generator: np.random.Generator | None = None,
) -> bool:
    """Check the gradients of ``fn`` against central differences, in float64 and for a random cotangent.

    An element agrees where |ours - numerical| <= atol + rtol * |numerical|; the defaults are PyTorch's. Where ``fn``
    has a kink (ReLU at 0, equal values in max pooling) there is no gradient to compare with: the check says so, with
    the slopes of both sides, and does not pass by luck.

    Args:
        fn: takes ``inputs`` and returns a tensor or several. It must be deterministic.
        inputs: a tensor or a sequence; those that require a gradient are checked and must be float64.
        eps: how far each element is moved, to both sides.
        atol: the absolute difference that passes.
        rtol: the difference that passes, relative to the numerical value.
        raise_exception: raise where the check fails; False makes it return False instead.
        generator: draws the cotangent. By default one of its own, with a fixed seed: no other random number changes.

    Returns:
        True where every gradient agrees.

    Raises:
        GradcheckError: which input and element is wrong, or has a kink, or ``fn`` is not deterministic.
        TypeError: an input that requires a gradient is not float64.
        ValueError: no input, or no output, requires a gradient.

    >>> from tinygrad_cnn import Tensor
    >>> x = Tensor([0.5, -2.0], dtype="float64", requires_grad=True)
    >>> gradcheck(lambda x: x * x, x)
    True
    >>> gradcheck(abs, Tensor([0.5, 0.0], dtype="float64", requires_grad=True))
    Traceback (most recent call last):
    ...
    tinygrad_cnn.autograd.check.GradcheckError: gradcheck: output 0, element (1,), as a function of input 0,
    element (1,), has a kink or a jump: slope -1 to the left, 1 to the right, ours 0
    """
    inputs = _inputs("gradcheck", inputs)
    create = lambda: Probe(fn, inputs, random_cotangent(generator))
    return _check("gradcheck", create, Tolerance(eps, atol, rtol), raise_exception)


def gradgradcheck(
    fn: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    *,
    generator: np.random.Generator | None = None,
) -> bool:
    """Check second derivatives: apply `gradcheck` to the gradients of ``fn``.

    The gradients are looked at as a function of the inputs and then of the incoming gradients, ``grad_outputs`` (drawn
    at random where None): in messages "output" is a gradient, and the incoming ones are counted after the inputs.
    Arguments, result and errors are otherwise those of `gradcheck`.

    >>> from tinygrad_cnn import Tensor
    >>> x = Tensor([0.5, -2.0], dtype="float64", requires_grad=True)
    >>> gradgradcheck(lambda x: x * x * x, x)
    True
    """
    inputs = _inputs("gradgradcheck", inputs)
    draw = random_cotangent(generator)
    derivative, incoming = differentiated(fn, inputs, draw)
    if grad_outputs is not None:
        given = [grad_outputs] if isinstance(grad_outputs, (Variable, ndarray)) else list(grad_outputs)
        arrays = [np.array(g._data if isinstance(g, Variable) else g, np.float64) for g in given]
        if [a.shape for a in arrays] != [u.shape for u in incoming]:
            raise ValueError(
                f"gradgradcheck: grad_outputs must have the shapes {[u.shape for u in incoming]} of the outputs, got "
                f"{[a.shape for a in arrays]}"
            )
        incoming = [u.wrap(a, Leaf(a)) for u, a in zip(incoming, arrays, strict=True)]
    create = lambda: Probe(derivative, [*inputs, *incoming], draw, constants=True)
    return _check("gradgradcheck", create, Tolerance(eps, atol, rtol), raise_exception)


def differentiated(fn: Callable[..., Any], inputs: Sequence[Any], draw: Draw) -> tuple[Callable[..., Any], list[Any]]:
    """Return the function (inputs, incoming gradients) -> gradients of ``fn``, and incoming gradients for it."""
    probe = Probe(fn, inputs, draw)

    def derivative(*arguments: Any) -> list[Any]:
        xs, incoming = arguments[: len(inputs)], arguments[len(inputs) :]
        result = fn(*xs)
        outputs = [result] if isinstance(result, Variable) else list(result)
        wanted = [xs[i] for i in probe.wanted]
        return list(engine.grad([outputs[k] for k in probe.outputs], wanted, incoming, None, True, True))

    wrap = inputs[probe.wanted[0]].wrap
    return derivative, [wrap(u, Leaf(u)) for u in probe.cotangents]


def random_cotangent(generator: np.random.Generator | None) -> Draw:
    """Return a function that draws a cotangent for an output of a given shape."""
    rng = generator or np.random.default_rng(0)
    # Of either sign and never near 0, so that no output escapes the check.
    return lambda shape: np.asarray(rng.uniform(0.5, 1.5, shape) * rng.choice([-1.0, 1.0], shape))


def shown(slope: float) -> str:
    """Return a slope in six digits; what rounding leaves of a zero is a zero."""
    return f"{round(slope, 8) + 0.0:.6g}"


def _inputs(op: str, inputs: Any) -> list[Any]:
    inputs = [inputs] if isinstance(inputs, Variable) else list(inputs)
    wanted = [(i, v) for i, v in enumerate(inputs) if isinstance(v, Variable) and v.edge is not None]
    if not wanted:
        raise ValueError(f"{op}: no input requires a gradient; create one with requires_grad=True")
    for i, v in wanted:
        if v._data.dtype != np.float64:
            raise TypeError(
                f"{op}: input {i} is {v._data.dtype}, whose few digits are lost in differences; use dtype=float64"
            )
    return inputs


def _check(op: str, create: Callable[[], Probe], tolerance: Tolerance, raise_exception: bool) -> bool:
    try:
        _examine(create(), tolerance)
    except GradcheckError as problem:
        if raise_exception:
            raise GradcheckError(f"{op}: {problem}") from None
        return False
    return True


def _examine(probe: Probe, tolerance: Tolerance) -> None:
    again = probe.copies(probe.run()[1])
    if not all(np.array_equal(a, b, equal_nan=True) for a, b in zip(probe.values, again, strict=True)):
        raise GradcheckError("fn returned two values for the same inputs; seed its generator inside of fn")
    for n, (i, ours) in enumerate(zip(probe.wanted, probe.gradients(), strict=True)):
        for site in np.ndindex(ours.shape):
            if message := probe.fault(i, site, float(ours[site]), tolerance):
                blamed = "the outputs together"
                for name, single in probe.singles():
                    if found := single.fault(i, site, float(single.gradients()[n][site]), tolerance):
                        blamed, message = name, found
                        break
                raise GradcheckError(f"{blamed}, as a function of input {i}, element {site}, has {message}")
