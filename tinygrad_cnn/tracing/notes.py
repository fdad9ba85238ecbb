"""What a trace writes down while a model runs: as little as possible, so that the model runs as it always does."""

from __future__ import annotations

from time import perf_counter
from typing import Any, NamedTuple

from numpy import ndarray

from tinygrad_cnn.autograd import Function
from tinygrad_cnn.nn import Module
from tinygrad_cnn.nn.module import tree
from tinygrad_cnn.state import module_path
from tinygrad_cnn.tensor import Tensor
from tinygrad_cnn.tracing.call import Visit


class Held(NamedTuple):
    """A tensor as it was: ``x += v`` gives its handle another array and another edge."""

    tensor: Tensor
    data: ndarray
    edge: Any


class Note(NamedTuple):
    """An operation as its observer is told of it."""

    function: Function
    path: str
    inputs: list[Any]  # tensors held, all else as it was given
    output: Any
    seconds: float


class Notes(list[Note]):
    """The observer of a thread: it takes notes of all operations.

    Attributes:
        found: who observed before; it sees everything first, and may put another result in the place of one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.found: Any = None
        self.last = perf_counter()

    @property
    def takes_runs_apart(self) -> bool:
        """Whether layers may run as one under this observer: not where another one watches too."""
        return self.found is None

    def __call__(self, function: Function, inputs: tuple[Any, ...], output: Any) -> Any:
        """Note an operation."""
        seconds = perf_counter() - self.last
        replaced = None if self.found is None else self.found(function, inputs, output)
        result = output if replaced is None else replaced
        self.append(Note(function, module_path.get(), [held(x) for x in inputs], held(result), seconds))
        self.last = perf_counter()
        return replaced


def held(x: Any) -> Any:
    """Return a tensor as it is now, and anything else as it is."""
    return Held(x, x.data, x.edge) if isinstance(x, Tensor) else x


class Visits(dict[int, str]):
    """The paths of the modules of a model by their ids, where each look is a visit: modules look theirs up when called.

    Attributes:
        inside: all visits so far.
    """

    def __init__(self, model: Module) -> None:
        self.model = model
        super().__init__({id(module): name for name, module in model.named_modules()})
        self.inside: list[Visit] = []

    def get(self, key: int, default: Any = None) -> Any:
        """Return the path of a module as a visit."""
        path = super().get(key)
        if path is None:
            return default
        visit = Visit(path)
        visit.outside, visit.key = module_path.get(), key
        self.inside.append(visit)
        return visit


def visits_of(model: Module) -> Visits:
    """Return the visits of a model: those of a trace of it that runs already, or new ones."""
    running = tree.get()
    return running if isinstance(running, Visits) and running.model is model else Visits(model)
