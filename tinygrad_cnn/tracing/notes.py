"""What a trace writes down while a model runs: as little as possible, so that the model runs as it always does."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from numpy import ndarray

from tinygrad_cnn.autograd import Function
from tinygrad_cnn.nn import Module
from tinygrad_cnn.nn.module import names_of, tree
from tinygrad_cnn.state import module_path
from tinygrad_cnn.tensor import Tensor
from tinygrad_cnn.tracing.call import Visit

# A tensor as it was, with its array and edge: ``x += v`` gives the handle others.
Held = tuple[Tensor, ndarray, Any]
# An operation as its observer is told of it: function, path, inputs (tensors held, all else as it was given), result
# likewise, seconds. Plain tuples: a name for each place would take as long as all the rest.
Note = tuple[Function, str, list[Any], Any, float]


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
        self.append((function, module_path.get(), [held(x) for x in inputs], held(result), seconds))
        self.last = perf_counter()
        return replaced


def held(x: Any) -> Any:
    """Return a tensor as it is now, and anything else as it is."""
    return (x, x.data, x.edge) if isinstance(x, Tensor) else x


class Visits(dict[int, str]):
    """The paths of the modules of a model by their ids, where each look is a visit: modules look theirs up when called.

    Attributes:
        inside: all visits so far.
        around: those of another model, whose trace runs already: it wants to know of its visits too.
        tree: what its visits are known by.
    """

    def __init__(self, model: Module, around: Visits | None = None) -> None:
        self.model, self.around, self.tree = model, around, object()
        super().__init__(names_of(model))
        self.inside: list[Visit] = []

    def get(self, key: int, default: Any = None) -> Any:
        """Return the path of a module as a visit."""
        path = super().get(key)
        beside = None if self.around is None else self.around.get(key)
        if path is None:
            return default if beside is None else beside
        visit = Visit(path)
        visit.outside, visit.key, visit.tree, visit.beside = module_path.get(), key, self.tree, beside
        self.inside.append(visit)
        return visit

    def own(self, path: str) -> str:
        """Return the visit of this model that a path is, or lies in; outside of the model, what it is."""
        while isinstance(path, Visit):
            each: Visit | None = path
            while each is not None:
                if each.tree is self.tree:
                    return each
                each = each.beside
            path = path.outside
        return path


def visits_of(model: Module) -> Visits:
    """Return the visits of a model: those of a trace of it that runs already, or new ones."""
    found = running = _running()
    while found is not None and found.model is not model:
        found = found.around
    return Visits(model, running) if found is None else found


def innermost(visits: Visits) -> Visits:
    """Return the visits that know of these and of all that run already."""
    running = _running()
    return visits if running is None or visits.around is running else running


def _running() -> Visits | None:
    running = tree.get()
    return running if isinstance(running, Visits) else None
