"""Where the first NaN or infinity came from: which operation, on which line, and which of its inputs went bad first."""

from __future__ import annotations

import copy
import linecache
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from tinygrad_cnn.analysis.elements import element
from tinygrad_cnn.analysis.formulas import formula
from tinygrad_cnn.autograd import Function, enable_grad
from tinygrad_cnn.nn import Module
from tinygrad_cnn.state import generator_state, module_path, observe, set_generator_state
from tinygrad_cnn.tensor import Tensor
from tinygrad_cnn.tracing import op_name, trace

_PACKAGE = str(Path(__file__).parents[1])
_WALK = str(Path("autograd", "engine.py")), str(Path("autograd", "stepping.py"))


class Line(NamedTuple):
    """A line of somebody's program."""

    file: str
    number: int

    def __str__(self) -> str:
        text = linecache.getline(self.file, self.number).strip()
        return f"{Path(self.file).name}:{self.number}" + (f": {text}" if text else "")


@dataclass(frozen=True)
class NonFinite:
    """The first NaN or infinity; ``print`` tells the story.

    Attributes:
        phase: "forward" or "backward".
        op: the operation as `functional` spells it.
        address: of the call, as in a `trace` where there is one, else the path of its module.
        line: where the program called it, outside of this package; None where that is unknown.
        name: what is bad: "y", or the gradient of an input, such as "gx".
        values: which values are bad, and where the first one stands.
        input: the input, or "gy", that had come in bad already; None where it happened here.
        parameter: the name of that input in the model, where it is a parameter.
        how: the formula, or the numbers of the first bad element.
    """

    phase: str
    op: str
    address: str
    line: Line | None
    name: str
    values: str
    input: str | None
    parameter: str | None
    how: str

    def __str__(self) -> str:
        where = f" in {self.address}" if self.address not in ("", self.op) else ""
        line = f" ({self.line})" if self.line else ""
        story = f"{self.phase} of {self.op}{where}{line}: {self.name} is {self.values}"
        if self.input is None:
            return f"{story}. It happened here, from finite numbers: {self.how}"
        named = f", the parameter {self.parameter}," if self.parameter else ""
        return f"{story}. It did not happen here: {self.input}{named} came in {self.how}"


class NonFiniteError(FloatingPointError):
    """Raised by the first operation that gives a NaN or an infinity; ``error.found`` has the particulars."""

    def __init__(self, found: NonFinite) -> None:
        super().__init__(str(found))
        self.found = found


class Blame:
    """What `blame_nonfinite` watches with; `backward` goes backward under its eyes."""

    def __init__(self, model: Module | None, nan_only: bool) -> None:
        self.bad = np.isnan if nan_only else lambda array: ~np.isfinite(array)
        if not isinstance(model, Module | None):
            raise TypeError(f"blame_nonfinite: model must be an nn.Module or None, got {type(model).__name__}")
        self.names = {id(p): name for name, p in model.named_parameters()} if model else {}
        self.lines: WeakKeyDictionary[Function, Line] = WeakKeyDictionary()
        self.address_of: Callable[[Function], str | None] = lambda function: None
        self.found: Any = None  # who observed before us

    def saw(self, function: Function, inputs: tuple[Any, ...], output: Any) -> Any:
        """Look at an operation, as the observer of the thread."""
        replaced = None if self.found is None else self.found(function, inputs, output)
        y = _array(output if replaced is None else replaced)
        line = _line()
        if line is None:  # a gradient rule at work: `backward` looks at what it gives
            return replaced
        self.lines[function] = line
        if said := self.say(y):
            place, values = said
            arrays = [_array(x) for x in inputs]
            for i, x in enumerate(arrays):
                if came := self.say(x):
                    how, name = f"as {came[1]}", function.input_name(i)
                    self.blame("forward", function, "y", values, name, self.names.get(id(inputs[i])), how)
            how = "; ".join(filter(None, [formula(function).forward, self.number(function, arrays, place)]))
            self.blame("forward", function, "y", values, None, None, how)
        return replaced

    def backward(self, loss: Any, gradient: Any = None, retain_graph: bool = False) -> None:
        """Do what ``loss.backward(gradient, retain_graph)`` does, and stop at the first gradient that is not finite.

        Then no ``.grad`` has changed.

        Raises:
            NonFiniteError: a gradient is NaN or infinite.
        """
        for step in loss.backward_steps(gradient, retain_graph):
            came = self.say(step.gy)
            for name, g in step.gradients.items():
                if said := self.say(g):
                    how = f"as {came[1]}" if came else formula(step.node).gradients.get(name, "its rule")
                    self.blame("backward", step.node, f"g{name}", said[1], "gy" if came else None, None, how)

    def say(self, x: Any) -> tuple[tuple[int, ...], str] | None:
        """Return the index of the first bad value, and how many there are of which kind; None if all are good."""
        array = np.asarray(x) if isinstance(x, (np.ndarray, float, np.floating)) else None
        if array is None or array.dtype.kind != "f" or not (bad := self.bad(array)).any():
            return None
        place = tuple(int(i) for i in np.argwhere(bad)[0])
        at = f", first at {list(place)}" if place else ""
        many = f" in {int(bad.sum()):,} of {array.size:,} numbers" if array.size > 1 else ""
        return place, f"{'NaN' if np.isnan(array[place]) else f'{array[place]:+}'}{many}{at}"

    def number(self, function: Function, arrays: list[Any], place: tuple[int, ...]) -> str:
        """Return how the first bad number came about, where that is one line."""
        with np.errstate(all="ignore"):
            text = element(function, arrays, place)
        return text if "\n" not in text else ""

    def blame(
        self,
        phase: str,
        function: Function,
        name: str,
        values: str,
        input: str | None,
        parameter: str | None,
        how: str,
    ) -> None:
        """Raise what was found."""
        address = self.address_of(function) or str(function.path or (module_path.get() if phase == "forward" else ""))
        line = self.lines.get(function)
        found = NonFinite(phase, op_name(function), address, line, name, values, input, parameter, how)
        raise NonFiniteError(found)


@contextmanager
def blame_nonfinite(model: Module | None = None, nan_only: bool = False) -> Iterator[Blame]:
    """Stop at the first operation inside the block whose result is NaN or infinite, and say how that came about.

    Every result is looked at, so a step takes longer; outside of such blocks nothing costs anything. Layers that could
    run as one operation run one by one. Go backward by ``blame.backward(loss)``: ``loss.backward()`` is not watched.

    Args:
        model: names the parameters that came in bad.
        nan_only: let infinities pass, which masks and logarithms of 0 may mean.

    Raises:
        NonFiniteError: inside the block, at the operation.

    >>> x = Tensor([1.0, 0.0], requires_grad=True)
    >>> with blame_nonfinite() as blame:
    ...     blame.backward(x.sqrt().sum())
    Traceback (most recent call last):
        ...
    tinygrad_cnn.analysis.nonfinite.NonFiniteError: backward of sqrt (...): gx is +inf in 1 of 2 numbers, first at [1].
    It happened here, from finite numbers: gx = gy / (2 y)
    """
    blame = Blame(model, nan_only)
    blame.found = observe(blame.saw)
    try:
        with np.errstate(all="ignore"):  # we say more than NumPy's warning
            yield blame
    finally:
        observe(blame.found)


def find_nonfinite(
    model: Module, input: Any, loss: Callable[[Any], Any] | None = None, nan_only: bool = False
) -> NonFinite | None:
    """Run a model forward and backward and return the first NaN or infinity; None where all numbers are finite.

    A copy of the model runs, in the mode that the model is in: nothing of the model changes, nor does the default
    generator.

    Args:
        model: the network.
        input: what it is called with.
        loss: called with the result; returns what to go backward from. None: the sum of the result.
        nan_only: let infinities pass.

    >>> from tinygrad_cnn import nn
    >>> model = nn.Sequential({"fc": nn.Linear(2, 2), "relu": nn.ReLU()})
    >>> model.fc.bias.data[1] = np.nan
    >>> found = find_nonfinite(model, np.ones((1, 2), np.float32))
    >>> found.address, found.input, found.parameter
    ('fc', 'b', 'fc.bias')
    """
    if not isinstance(model, Module):
        raise TypeError(f"find_nonfinite: model must be an nn.Module, got {type(model).__name__}")
    trial, luck = copy.deepcopy(model), generator_state()
    x = Tensor(_array(input)) if isinstance(input, (Tensor, np.ndarray)) else input
    found = observe(None)
    try:
        with enable_grad(), trace(trial) as t, blame_nonfinite(trial, nan_only) as blame:
            blame.address_of = lambda function: next((c.address for c in t if c.function is function), None)
            y = trial(x)
            y = y if loss is None else loss(y)
            if isinstance(y, Tensor) and y.requires_grad:
                blame.backward(y, None if y.size == 1 else np.ones(y.shape))
    except NonFiniteError as error:
        return error.found
    finally:
        observe(found)
        set_generator_state(luck)
    return None


def _line() -> Line | None:
    """Return the line outside of this package that led here; None where it led through a walk backward."""
    frame = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        if frame.f_code.co_filename.endswith(_WALK):
            return None
        frame = frame.f_back  # type: ignore[assignment]
    return Line(frame.f_code.co_filename, frame.f_lineno) if frame is not None else Line("?", 0)


def _array(x: Any) -> Any:
    return x.data if isinstance(x, Tensor) else x
