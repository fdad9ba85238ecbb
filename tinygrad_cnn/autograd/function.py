"""A Function is an operation and, once called, the node of the graph.

``forward`` sees arrays. One rule ``grad_<input>(gy, ...)`` for each input is its vector-Jacobian product; the names
after the incoming gradient (inputs by their own name, the result as ``y``) are exactly what stays alive until backward.
Rules run on arrays, and under ``create_graph`` on variables: they are written in operators that both understand.
"""

from __future__ import annotations

from _thread import get_ident
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, ClassVar
from weakref import ref

import numpy as np
from numpy import ndarray

from tinygrad_cnn.autograd import version
from tinygrad_cnn.autograd.variable import Leaf, Variable
from tinygrad_cnn.state import module_path, place, recording, tick

new = object.__new__
_ABSENT: Any = object()  # in the place of an input that was not given
_VARIADIC = 0x04  # the flag of code objects that take *args
_FLOATS = np.dtype(np.float32), np.dtype(np.float64)
_RESERVED = {"edges", "owner", "plan", "saved", "tick", "path", "y_dtype", "y_shape"}


@dataclass(slots=True)
class Plan:
    """What a call keeps for backward and which rules will run, given which inputs need gradients."""

    # (input, rule, positions in ``saved``); a joint ``backward`` is the one rule, of "input" -1
    rules: tuple[tuple[int, Callable[..., Any], tuple[int, ...]], ...]
    drops: tuple[int, ...]  # positions of the inputs that no rule reads
    keeps_y: bool
    keeps: bool  # anything at all
    view: bool
    records: bool  # False for operations without derivatives
    by_products: tuple[str, ...]  # attributes that are freed with the graph
    retains_grad: bool = False  # on the plan of one node: retain_grad() was called


# While the joint backward of a node runs in this thread: the edges that lead to a wanted gradient, None where all do.
useful: ContextVar[set[Any] | None] = ContextVar("useful", default=None)


def no_derivative(function: Function, gy: Any) -> Any:
    """Stand as the rule of an input that has no derivative (labels, indices): asking for one is an error."""
    raise TypeError(f"{function.name} has no derivative with respect to this input")


def zero_derivative(function: Function, gy: Any) -> None:
    """Stand as the rule of an input whose derivative is zero almost everywhere."""
    return None


class Function:
    """The base of every operation.

    A subclass defines ``forward(self, x, ...)`` on arrays and, for each input, ``grad_<input>(self, gy, ...)``; or,
    where the gradients share work (and always for ``forward(self, *xs)``), one ``backward(self, gy, ...)`` that returns
    them all. Facts without a gradient (sizes, indices) go on ``self``. A missing or misspelt rule is an error when the
    class is created.

    >>> import numpy as np
    >>> from tinygrad_cnn import Tensor
    >>> class Cube(Function):
    ...     def forward(self, x):
    ...         return x * x * x
    ...     def grad_x(self, gy, x):
    ...         return gy * 3 * x * x
    >>> x = Tensor([1.0, 2.0], requires_grad=True)
    >>> Cube()(x).sum().backward()
    >>> x.grad
    Tensor([ 3., 12.])
    """

    # Facts about the class, filled in when it is created.
    input_names: ClassVar[tuple[str, ...]] = ()
    variadic: ClassVar[bool] = False
    plans: ClassVar[dict[int, Plan]]  # by a 1 and then a bit for each input that was given: does it need a gradient?
    differentiable: ClassVar[bool] = True  # False for comparisons and the like: never recorded
    view: ClassVar[bool] = False  # the result shares the memory of the first input
    keeps: ClassVar[tuple[str, ...]] = ()  # attributes that hold arrays until backward

    # Facts about the call, filled in when it is recorded.
    tick: int = 0
    edges: tuple[Function | Leaf | None, ...] | None = None
    saved: Any = ()
    plan: Plan
    path: str = ""
    y_shape: tuple[int, ...]
    y_dtype: np.dtype
    owner: ref[ndarray] | None = None
    grad: Any = None

    @property
    def name(self) -> str:
        """The name of the operation, for drawings and errors."""
        return type(self).__name__

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.plans = _Plans(cls)
        if hasattr(cls, "forward"):
            _check_class(cls)

    def apply(self, x1: Any = _ABSENT, x2: Any = _ABSENT, *more: Any) -> Any:
        """Compute the result; record the call where an input needs a gradient. ``self(...)`` is the same.

        Arrays alone give an array; with a Variable among the inputs the result is a Variable.
        """
        if self.tick:
            raise RuntimeError(f"{self.name}: one Function object serves one recorded call; create one for each call")
        inputs: Any = None
        arrays: Any = None
        if x2 is not _ABSENT and not more:  # the common case unrolled: a quarter of a microsecond less
            a, b = x1, x2
            first = ea = eb = None
            if isinstance(b, Variable):
                first, eb, b = b, b.edge, b._data
            if isinstance(a, Variable):
                first, ea, a = a, a.edge, a._data
            y = self.forward(a, b)  # type: ignore[attr-defined]
            mask = 4 if ea is None else 5  # as in ``plans``: 4 and a bit for each of two inputs
            if eb is not None:
                mask += 2
            recorded = mask > 4
            edges: Any = (ea, eb)
        else:
            inputs = () if x1 is _ABSENT else (x1,) if x2 is _ABSENT else (x1, x2, *more)
            first, arrays, needs, bit = None, [], [], 1
            mask = none = 1 << len(inputs)
            for v in inputs:
                edge = None
                if isinstance(v, Variable):
                    if first is None:
                        first = v
                    edge, v = v.edge, v._data
                    if edge is not None:
                        mask |= bit
                arrays.append(v)
                needs.append(edge)
                bit += bit
            y = self.forward(*arrays)  # type: ignore[attr-defined]
            edges = tuple(needs)
            recorded = mask > none
        if type(y) is not ndarray:
            y = np.asarray(y)
        how = recording.get()
        if first is None:  # arrays alone
            result = y
        else:
            result = new(first.kind)  # its constructor would check what is known here
            result._data = y
            result.edge = None
            # Paused by this very thread, that is: a pause inherited from another one does not count (state.py).
            if recorded and (how is None or how.paused_by != get_ident()):
                plan = self.plans[mask]
                if plan.records:
                    if y.dtype not in _FLOATS:
                        raise TypeError(f"{place(self.name)}: result of {y.dtype}; gradients need float32 or float64")
                    if plan.keeps:
                        if arrays is None:
                            arrays = [a, b]
                        for i in plan.drops:
                            arrays[i] = None
                        if plan.keeps_y:
                            arrays.append(y)
                        self.saved = arrays
                    if plan.view:
                        self.owner = ref(version.owner(y))
                    result.edge = self
                    self.plan = plan
                    self.edges = edges
                    self.y_shape = y.shape
                    self.y_dtype = y.dtype
                    if path := module_path.get():
                        self.path = path
                    self.tick = tick()
        if how is not None and how.observer is not None:
            replaced = how.observer(self, inputs or (x1, x2), result)
            return result if replaced is None else replaced
        return result

    __call__ = apply

    def wanted(self) -> list[bool]:
        """Say, inside ``backward``, of which inputs the gradient is wanted."""
        reached = useful.get()
        return [edge is not None and (reached is None or edge in reached) for edge in self.edges or ()]

    def fit(self, g: Any, shape: tuple[int, ...]) -> Any:
        """Bring a gradient of another shape to the input's; only broadcasting operations can."""
        raise RuntimeError(f"{self.name}: a gradient rule returned shape {g.shape} for an input of shape {shape}")

    def input_name(self, i: int) -> str:
        """Return the name of input ``i`` as ``forward`` calls it; of ``*xs`` it is ``xs[i]``."""
        last = len(self.input_names) - 1
        return f"{self.input_names[last]}[{i - last}]" if self.variadic and i >= last else self.input_names[i]

    def singles(self) -> list[Function]:
        """Return the operations that this node stands for, oldest first: itself, unless several ran as one."""
        return [self]

    def become(self, other: Function) -> None:
        """Be another node from now on, at this one's place in the graph: its tick and whoever leads here stay."""
        plan = replace(other.plan, retains_grad=self.plan.retains_grad)
        # Nothing else of its own: what it saved for its old rules goes.
        self.__dict__ = {**vars(other), "tick": self.tick, "plan": plan, "grad": self.grad}
        self.__class__ = other.__class__

    def check_versions(self, positions: Iterable[int] | None = None) -> None:
        """Raise where an array at these positions in ``saved`` (all) was written after this node was recorded."""
        for i in range(len(self.saved)) if positions is None else positions:
            array = self.saved[i]
            if isinstance(array, ndarray) and version.written_since(version.owner(array), self.tick):
                name = "y" if i == len(self.edges or ()) else self.input_name(i)  # the result comes after all inputs
                what = f"its {'result' if name == 'y' else f'input {name!r}'} (shape {array.shape})"
                break
        else:
            if self.owner is None or not version.written_since(self.owner(), self.tick):
                return
            what = f"the memory of which its result (shape {self.y_shape}) is a view"
        raise RuntimeError(
            f"backward of {self.name}{f' in {self.path}' if self.path else ''}: {what} was written in place after the "
            "operation had been recorded, so its gradient would be wrong. Write before the forward pass or to a "
            "clone(), or compute a new tensor (x = x + v) instead"
        )


def _check_class(cls: type[Function]) -> None:
    forward = cls.forward  # type: ignore[attr-defined]
    code = forward.__code__
    cls.variadic = bool(code.co_flags & _VARIADIC)
    cls.input_names = code.co_varnames[1 : code.co_argcount + cls.variadic]
    where = f"{cls.__name__}.forward"
    if "y" in cls.input_names:
        raise TypeError(f"{where}: an input cannot be called 'y', which is the name of the result in rules")
    if taken := _RESERVED & set(code.co_names):
        raise TypeError(f"{where} uses {sorted(taken)}, which the graph keeps on every node; choose other names")
    if not cls.differentiable:
        return
    rules = {name[5:] for name in dir(cls) if name.startswith("grad_")}
    joint = getattr(cls, "backward", None)
    if joint and rules:
        raise TypeError(f"{cls.__name__} has both backward and rules for {sorted(rules)}; write one or the other")
    if joint is None and cls.variadic:
        raise TypeError(f"{where} takes *{cls.input_names[-1]}, so its gradients come from one backward(self, gy)")
    missing = set(cls.input_names) - rules
    if joint is None and missing:
        raise TypeError(
            f"{cls.__name__} has no rule {', '.join(f'grad_{name}' for name in sorted(missing))}. Write it, or declare "
            "it as no_derivative or zero_derivative: a forgotten gradient must not pass for zero"
        )
    if stray := rules - set(cls.input_names):
        raise TypeError(f"{cls.__name__} has rules for {sorted(stray)}, but the inputs are {cls.input_names}")
    for rule in [joint] if joint else [getattr(cls, f"grad_{name}") for name in cls.input_names]:
        _rule_arguments(cls, rule)


def _rule_arguments(cls: type[Function], rule: Callable[..., Any]) -> tuple[str, ...]:
    code = rule.__code__
    if code.co_argcount < 2:
        raise TypeError(f"{cls.__name__}.{rule.__name__} must take (self, gy, ...): gy is the gradient that comes in")
    starred = bool(code.co_flags & _VARIADIC)  # backward(self, gy, *xs) reads all inputs of forward(self, *xs)
    names = code.co_varnames[2 : code.co_argcount + starred]
    if unknown := set(names) - {*cls.input_names, "y"}:
        raise TypeError(
            f"{cls.__name__}.{rule.__name__} asks for {sorted(unknown)}; a rule can read the inputs "
            f"{cls.input_names}, the result 'y', and what forward left on self"
        )
    return names


class _Plans(dict[int, Plan]):
    """The plans of a class, each made when it is first asked for."""

    def __init__(self, cls: type[Function]) -> None:
        self.cls = cls

    def __missing__(self, mask: int) -> Plan:
        plan = _make_plan(self.cls, mask)
        if not self.cls.variadic or len(self) < 64:  # of a variadic operation the number of masks has no bound
            self[mask] = plan
        return plan


def _make_plan(cls: type[Function], mask: int) -> Plan:
    count = mask.bit_length() - 1
    positions: dict[str, tuple[int, ...]] = {name: (i,) for i, name in enumerate(cls.input_names)}
    positions["y"] = (count,)
    if cls.variadic:
        positions[cls.input_names[-1]] = tuple(range(count))
    rules = []
    kept: set[int] = set()
    if not cls.differentiable:
        pass
    elif joint := getattr(cls, "backward", None):
        rules.append((-1, joint))
    else:
        for i, name in enumerate(cls.input_names[:count]):
            if mask >> i & 1:
                rule = getattr(cls, f"grad_{name}")
                if rule is no_derivative:
                    raise TypeError(
                        f"{place(cls.__name__)} has no derivative with respect to its input {name!r}; detach() it"
                    )
                rules.append((i, rule))
    planned = []
    for i, rule in rules:
        needed = tuple(p for name in _rule_arguments(cls, rule) for p in positions[name])
        kept.update(needed)
        planned.append((i, rule, needed))
    inputs = kept - {count}
    drops = tuple(i for i in range(count) if i not in inputs)
    return Plan(tuple(planned), drops, count in kept, bool(kept), cls.view, cls.differentiable, cls.keeps)
