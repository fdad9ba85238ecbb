"""What a model computes, operation by operation, seen from outside: nothing is put into the model.

An operation tells its observer, a module looks its path up in a dict, and who writes memory says so first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from itertools import chain
from time import perf_counter
from typing import Any, overload
from weakref import ref

import numpy as np

from tinygrad_cnn.autograd import set_grad_enabled, version
from tinygrad_cnn.nn import Module
from tinygrad_cnn.nn.module import tree
from tinygrad_cnn.state import observe
from tinygrad_cnn.tensor import Tensor
from tinygrad_cnn.tracing.call import Call, Visit, array_of
from tinygrad_cnn.tracing.notes import Notes, innermost, visits_of


class Trace:
    """The operations of a model in order, each with an address; see `trace`.

    An operation that is all that a layer does has the layer's path as its address: ``features.conv1``. Any other is
    called by the path of the module that calls it and its name: ``layer1.0.add``, or ``relu`` in the model itself. What
    comes again, because a module is used twice or a function called twice, is counted: ``relu#2``.

    ``t[address]`` is a call. The path of a module with parts stands for its result: ``t["layer1.0"]``.
    """

    def __init__(self, model: Module) -> None:
        self.model = model
        self._visits, self._notes = visits_of(model), Notes()
        self._is_over = False  # the block
        self._calls: list[Call] = []
        self._known: dict[int, tuple[Any, Call | None]] = {}  # by the id of an array: its tensor, what computed it
        self._given: dict[int, list[str | None]] = {}  # by the id of a run: which inputs are parameters
        self._addressed: dict[str, Call] = {}
        self._results: dict[int, Call] = {}  # by the id of a visit

    @property
    def visits(self) -> list[Visit]:
        """Every time that a module was called, in order."""
        self._address()
        return self._visits.inside

    # --- looking -------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        self._address()
        return len(self._calls)

    def __iter__(self) -> Iterator[Call]:
        self._address()
        return iter(self._calls)

    @overload
    def __getitem__(self, key: str | int) -> Call: ...
    @overload
    def __getitem__(self, key: slice) -> list[Call]: ...
    def __getitem__(self, key: str | int | slice) -> Call | list[Call]:
        """Return the call of an address or a module, or by its place."""
        self._address()
        if isinstance(key, int | np.integer | slice):
            return self._calls[key]
        if not isinstance(key, str):
            raise TypeError(
                f"an address is text, such as 'conv1' or 'relu#2', or its place in a trace, got {key!r:.80}"
            )
        if key in self._addressed:
            return self._addressed[key]
        path, _, number = key.partition("#")
        for visit in self.visits:
            if visit == path and str(visit.number) == (number or "1"):
                if id(visit) in self._results:
                    return self._results[id(visit)]
                raise KeyError(f"{key!r}: the module {path!r} was called, but computed nothing")
        if path in dict(self.model.named_modules()):
            raise KeyError(
                f"{key!r}: the module {path!r} was called {len([v for v in self.visits if v == path])} times"
            )
        names = list(dict.fromkeys([*self._addressed, *map(str, self.visits)]))
        if not names:
            raise KeyError(f"{key!r} is no address: this trace is empty; call the model inside of the block")
        close = get_close_matches(key, names, 5) or names[:8]
        raise KeyError(f"{key!r} is no address of this trace; there are {', '.join(close)}, ...")

    def __contains__(self, address: str) -> bool:
        with suppress(KeyError):
            return bool(self[address])
        return False

    @property
    def addresses(self) -> list[str]:
        """Those of all calls in order."""
        return [call.address for call in self]

    def find(self, op: str | None = None, kind: type | None = None, under: str | None = None) -> list[Call]:
        """Return the calls of an operation, those in modules of a kind, or those inside a module; or of all three.

        Args:
            op: the name of the operation as `functional` spells it, such as ``"conv2d"``.
            kind: a class of modules, such as ``nn.Conv2d``: the calls whose module is one.
            under: the path of a module: the calls in it and in its parts.
        """
        return [
            call
            for call in self
            if op in (None, call.op)
            and (kind is None or isinstance(getattr(call.path, "module", None), kind))
            and (under is None or call.path == under or call.path.startswith(f"{under}."))
        ]

    def _address(self) -> None:
        self._read()
        if len(self._addressed) == len(self._calls):
            return
        modules, visited = {id(module): module for module in self.model.modules()}, Counter[str]()
        for visit in self._visits.inside:
            visited[visit] += 1
            visit.module, visit.number = modules[visit.key], visited[visit]
        self._calls = [single for call in self._calls for single in self._singles(call)]
        own, times = Counter(id(call.path) for call in self._calls), Counter[str]()
        self._addressed = {}
        for index, call in enumerate(self._calls):
            path = call.path
            module = getattr(path, "module", None)
            is_layer = module is not None and next(module.children(), None) is None
            name = path if is_layer and own[id(path)] == 1 and path else ".".join(filter(None, (path, call.op)))
            times[name] += 1
            call.index, call.address = index, str(name) if times[name] == 1 else f"{name}#{times[name]}"
            self._addressed[call.address] = call
            while isinstance(path, Visit):
                self._results[id(path)] = call
                path = self._visits.own(path.outside)

    def _singles(self, call: Call) -> list[Call]:
        """Run layers that ran as one again, one by one; the call of the last takes the place of theirs."""
        node: Any = call.function
        if not hasattr(node, "replay"):
            return [call]
        calls: list[Call] = []
        found, last = observe(None), perf_counter()
        try:
            with set_grad_enabled(node.tick > 0 and node.edges is not None):  # recorded, and not used up by backward
                named = dict(zip(map(id, call.inputs), self._given[id(call)], strict=True))
                for path, function, inputs, output in node.replay(*call.inputs):
                    before = {id(x): source for x, source in zip(call.inputs, call.sources, strict=True)}
                    sources = tuple(calls[-1] if calls and x is calls[-1].output else before.get(id(x)) for x in inputs)
                    parameters = {name: call.parameters[name] for x in inputs if (name := named.get(id(x)))}
                    seconds, own = perf_counter() - last, self._visits.own(path)
                    calls.append(Call(function, own, inputs, sources, output, parameters, seconds, 0))
                    last = perf_counter()
        finally:
            observe(found)
        *calls, last_call = calls
        if not np.array_equal(array_of(last_call.output), array_of(call.output), equal_nan=True):
            raise RuntimeError(
                f"trace: {calls[0].path} and {last_call.path} ran as one; running them again, to show what lies "
                "between, gives another result. Their input, parameters or result were written through NumPy "
                "(t.data[...] = v) since; look into the trace before, or write by copy_()"
            )
        call.function = last_call.function if hasattr(node, "replay") else node  # the node itself became the last one
        call.path, call.inputs, call.sources = last_call.path, last_call.inputs, last_call.sources
        call.parameters, call.seconds = last_call.parameters, last_call.seconds
        return [*calls, call]

    # --- noting --------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        """Make calls of the notes: who computed what is found by the identity of arrays."""
        if not self._notes:
            return
        names = {id(p): name for name, p in self.model.named_parameters()}
        for function, path, inputs, output, seconds in self._notes:
            seen = [self._seen(x) for x in inputs]
            values, sources = tuple(value for value, _ in seen), tuple(source for _, source in seen)
            given = [names.get(id(x[0])) if type(x) is tuple else None for x in inputs]
            parameters = {name: x[0] for name, x in zip(given, inputs, strict=True) if name is not None}
            own = self._visits.own(path)
            call = Call(function, own, values, sources, _handle(output), parameters, seconds, 0)
            if hasattr(function, "replay"):
                self._given[id(call)] = given
            self._known[id(array_of(call.output))] = call.output, call
            self._calls.append(call)
        self._notes.clear()

    def _seen(self, x: Any) -> tuple[Any, Call | None]:
        array = x[1] if type(x) is tuple else x
        if not isinstance(array, np.ndarray):
            return x, None
        value, source = self._known.get(id(array), (None, None))
        if value is None or array_of(value) is not array:  # new, or written since
            value = _handle(x)
            self._known[id(array)] = value, source  # which keeps the array, so that its id stays its own
        return value, source

    @property
    def has_runs(self) -> bool:
        """Whether there are layers that ran as one, and nobody has looked at them yet."""
        functions = chain((note[0] for note in self._notes), (call.function for call in self._calls))
        return any(hasattr(function, "replay") for function in functions)

    def keep(self, memory: np.ndarray) -> None:
        """Copy what was noted in this memory, which is about to be written.

        After the block only layers that ran as one need that, until somebody looks and they are run again.
        """
        copies: dict[int, Any] = {}
        self._read()
        if self._is_over and not self.has_runs:
            return

        def kept(x: Any) -> Any:
            array = array_of(x)
            if not isinstance(array, np.ndarray) or version.owner(array) is not memory:
                return x
            if id(x) not in copies:
                copies[id(x)] = Tensor.wrap(array.copy(), x.edge) if isinstance(x, Tensor) else array.copy()
            return copies[id(x)]

        for call in self._calls:
            call.inputs = tuple(kept(x) for x in call.inputs)
            call.output = kept(call.output)


@contextmanager
def trace(model: Module) -> Iterator[Trace]:
    """Note every operation of this thread inside the block, with its address, inputs, result, parameters and time.

    The model is not touched: no hooks, modes as they are, gradients recorded or not as elsewhere. Layers that could run
    as one operation do so; when somebody looks they are run again one by one, with the same bits. Values are kept by
    reference; what `Tensor` methods and optimisers are about to overwrite is copied first (not what is written through
    ``t.data[...]``). They stay alive as long as the trace. Several models may be traced at once: each trace has the
    operations of all, those outside of its own model without a path.

    Args:
        model: the module whose paths are the addresses.

    >>> from tinygrad_cnn import nn, trace
    >>> model = nn.Sequential({"conv": nn.Conv2d(1, 2, 3), "relu": nn.ReLU()})
    >>> with trace(model) as t:
    ...     y = model(np.zeros((1, 1, 5, 4), np.float32)) + 1
    >>> list(t)
    [<conv: conv2d -> (1, 2, 3, 2)>, <relu: relu -> (1, 2, 3, 2)>, <add: add -> (1, 2, 3, 2)>]
    >>> sorted(t["conv"].parameters), t["relu"].sources[0] is t["conv"]
    (['conv.bias', 'conv.weight'], True)
    """
    if not isinstance(model, Module):
        raise TypeError(f"trace: model must be an nn.Module, got {type(model).__name__}")
    found = Trace(model)
    notes = found._notes
    token, notes.found = tree.set(innermost(found._visits)), observe(notes)
    version.watchers.append(found.keep)
    notes.last = perf_counter()
    try:
        yield found
    finally:
        version.watchers.remove(found.keep)
        found._is_over = True
        if found.has_runs:
            _watch(found)
        observe(notes.found)
        tree.reset(token)


def _watch(found: Trace) -> None:
    """Tell a trace of what is about to be written, as long as anybody else holds it."""

    def keep(memory: np.ndarray) -> None:
        if (alive := reference()) is not None:
            alive.keep(memory)

    reference = ref(found, lambda _: version.watchers.remove(keep))
    version.watchers.append(keep)


def _handle(x: Any) -> Any:
    return Tensor.wrap(*x[1:]) if type(x) is tuple else x
