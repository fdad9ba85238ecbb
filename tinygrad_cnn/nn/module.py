"""Module: a part of a network, made of parameters, buffers and further modules.

There is no registry. A module's parts are the attributes that hold a Parameter, a registered buffer or a Module, in
the order in which they were first assigned; walking ``vars(module)`` finds them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, Self

import numpy as np

from tinygrad_cnn.autograd import no_grad
from tinygrad_cnn.nn.kept import kept, note_change
from tinygrad_cnn.nn.loading import Differences, fit
from tinygrad_cnn.nn.parameter import Parameter, convert
from tinygrad_cnn.state import module_path
from tinygrad_cnn.tensor import Tensor

# The names of all modules (by id) below the outermost one that is being called in this thread, None outside.
tree: ContextVar[dict[int, str] | None] = ContextVar("tree", default=None)


class Module:
    """The base of every layer and every network.

    A subclass assigns its parts in ``__init__``, with or without ``super().__init__()``, and computes in ``forward``.

    Attributes:
        training: what `train` and `eval` set; dropout and batch normalisation look at it.

    >>> from tinygrad_cnn import nn
    >>> class Perceptron(nn.Module):
    ...     def __init__(self):
    ...         self.hidden = nn.Linear(2, 3)
    ...         self.out = nn.Linear(3, 1, bias=False)
    ...     def forward(self, x):
    ...         return self.out(self.hidden(x).maximum(0))
    >>> model = Perceptron()
    >>> [name for name, _ in model.named_parameters()]
    ['hidden.weight', 'hidden.bias', 'out.weight']
    >>> model(np.ones((5, 2), np.float32)).shape
    (5, 1)
    """

    # What is found out about a module (kept.py) is no attribute: neither its parts nor its copies know of it.
    __slots__ = ("__dict__", "__weakref__", "_kept_names", "_kept_runs")

    training: bool = True
    _buffers: Mapping[str, bool] = MappingProxyType({})  # name of a buffer -> whether it is part of the state dict

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the result; every subclass defines it."""
        raise NotImplementedError(f"{type(self).__name__} has no forward(); define it to say what the module computes")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run `forward`, and let errors and graphs know in which module."""
        names = tree.get()
        if names is None:
            return self._call_outermost(args, kwargs)
        found = module_path.get()
        module_path.set(names.get(id(self), found))
        try:
            return self.forward(*args, **kwargs)
        finally:
            module_path.set(found)

    def _call_outermost(self, args: Any, kwargs: Any) -> Any:
        tree.set(kept(self, "_kept_names", names_of))
        try:
            return self.forward(*args, **kwargs)
        finally:
            tree.set(None)

    # --- parts -----------------------------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        found = self.__dict__.get(name)
        if isinstance(found, Parameter) and not (value is None or isinstance(value, Parameter)):
            raise TypeError(
                f"{type(self).__name__}.{name} is a Parameter; a {type(value).__name__} in its place would no longer "
                f"be trained. Write its values with {name}.copy_(...) under no_grad(), or assign a Parameter"
            )
        if name in self._buffers and not (value is None or isinstance(value, Tensor)):
            raise TypeError(f"{type(self).__name__}.{name} is a buffer, a Tensor or None, not a {type(value).__name__}")
        if isinstance(value, Module) and any(module is self for module in value.modules()):
            raise ValueError(
                f"{type(self).__name__}.{name}: the {type(value).__name__} contains this module, so it would contain "
                "itself; keep a parent out of sight in a tuple: self.parent = (parent,)"
            )
        super().__setattr__(name, value)
        note_change()

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        if name in self._buffers:
            self._buffers = {buffer: saved for buffer, saved in self._buffers.items() if buffer != name}
        note_change()

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Assign a tensor that belongs to the module but is not trained, such as a running mean.

        A value of None keeps the place free; one that is not ``persistent`` stays out of the state dict.
        """
        self._check_name("register_buffer", name)
        if isinstance(tensor, Parameter) or not (tensor is None or isinstance(tensor, Tensor)):
            kind = type(tensor).__name__
            raise TypeError(f"register_buffer: {name!r} must be a Tensor or None, got {kind}; wrap it: Tensor(array)")
        setattr(self, name, tensor)
        self._buffers = {**self._buffers, name: persistent}

    def add_module(self, name: str, module: Module | None) -> None:
        """Assign a module as the attribute ``name``, which may be a number written out."""
        self._check_name("add_module", name)
        if not (module is None or isinstance(module, Module)):
            raise TypeError(f"add_module: {name!r} must be a Module or None, got {type(module).__name__}")
        setattr(self, name, module)

    def _check_name(self, op: str, name: str) -> None:
        if not isinstance(name, str) or not name or "." in name:
            raise ValueError(f"{op}: a name is text without dots, got {name!r}")
        if hasattr(self, name) and name not in self.__dict__:
            raise ValueError(f"{op}: {type(self).__name__}.{name} already means something else; choose another name")

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Yield the modules directly inside this one, each once, with their names."""
        first: dict[int, tuple[str, Module]] = {}
        for name, part in self._own_modules():
            first.setdefault(id(part), (name, part))
        return iter(first.values())

    def children(self) -> Iterator[Module]:
        """Yield the modules directly inside this one."""
        return (module for _, module in self.named_children())

    def named_modules(self, prefix: str = "", remove_duplicate: bool = True) -> Iterator[tuple[str, Module]]:
        """Yield this module (named ``prefix``) and all modules inside it, parents first.

        A module used in several places comes once, under its first name, unless ``remove_duplicate`` is False.
        """
        seen = set()
        waiting: list[tuple[str, Module]] = [(prefix, self)]
        while waiting:
            path, module = waiting.pop()
            if remove_duplicate and id(module) in seen:
                continue
            seen.add(id(module))
            yield path, module
            waiting += [(_join(path, name), part) for name, part in reversed(module._own_modules())]

    def modules(self) -> Iterator[Module]:
        """Yield this module and all modules inside it, each once."""
        return (module for _, module in self.named_modules())

    def _own_modules(self) -> list[tuple[str, Module]]:
        return [(name, part) for name, part in vars(self).items() if isinstance(part, Module)]

    def _own_parameters(self) -> list[tuple[str, Tensor]]:
        return [(name, part) for name, part in vars(self).items() if isinstance(part, Parameter)]

    def _own_buffers(self) -> list[tuple[str, Tensor]]:
        return [(name, buffer) for name in self._buffers if (buffer := vars(self)[name]) is not None]

    def named_parameters(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Parameter]]:
        """Yield all parameters, each once, with dotted names, in definition order; without ``recurse`` only its own."""
        return self._once(Module._own_parameters, prefix, recurse)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Yield all parameters, each once: what an optimiser is given."""
        return (parameter for _, parameter in self.named_parameters("", recurse))

    def named_buffers(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Tensor]]:
        """Yield all buffers, each once, with their dotted names; arguments as in `named_parameters`."""
        return self._once(Module._own_buffers, prefix, recurse)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """Yield all buffers, each once."""
        return (buffer for _, buffer in self.named_buffers("", recurse))

    def _once(self, own: Callable[[Module], list[tuple[str, Any]]], prefix: str, recurse: bool) -> Iterator[Any]:
        seen = set()
        for path, module in self.named_modules(prefix) if recurse else [(prefix, self)]:
            for name, tensor in own(module):
                if id(tensor) not in seen:
                    seen.add(id(tensor))
                    yield _join(path, name), tensor

    # --- state -----------------------------------------------------------------------------------------------

    def _state(self) -> dict[str, Tensor]:
        # Shared parts stand under each of their names, as in PyTorch's files.
        return {
            _join(path, name): tensor
            for path, module in self.named_modules(remove_duplicate=False)
            for name, tensor in module._own_parameters() + module._own_buffers()
            if module._buffers.get(name, True)
        }

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return all parameters and persistent buffers by name, as read-only views: they change with the model.

        ``copy.deepcopy(model.state_dict())`` keeps the values of a moment.

        >>> from tinygrad_cnn import nn
        >>> {name: array.shape for name, array in nn.Linear(3, 2).state_dict().items()}
        {'weight': (2, 3), 'bias': (2,)}
        """
        return {name: tensor.detach().numpy() for name, tensor in self._state().items()}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> Differences:
        """Write the values of a state dict into the parameters and buffers: all of them, or none when it does not fit.

        Values are cast to the dtype here, except floats to integers; shapes must be equal.

        Args:
            state_dict: name to ndarray or Tensor.
            strict: False ignores names that only one side has.

        Raises:
            ValueError: it does not fit; every difference is listed, and nothing was changed.
        """
        own = self._state()
        values, differences = fit(type(self).__name__, own, state_dict, strict)
        with no_grad():
            for name, value in values.items():
                own[name].copy_(value)
        return differences

    def __getstate__(self) -> dict[str, Any]:
        return vars(self).copy()

    # --- modes and conversions -------------------------------------------------------------------------------

    def train(self, mode: bool = True) -> Self:
        """Set training mode (or, with False, evaluation mode) here and in all modules inside; return the module."""
        if not isinstance(mode, bool):
            raise TypeError(f"train: mode must be a bool, got {mode!r}")
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Set evaluation mode; recording is another matter, see `no_grad`."""
        return self.train(False)

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call ``fn`` with every module inside, innermost first, and with this one; return the module.

        >>> from tinygrad_cnn import nn
        >>> model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
        >>> _ = model.apply(lambda m: nn.init.zeros_(m.weight) if isinstance(m, nn.Linear) else None)
        >>> float(model[0].weight.sum())
        0.0
        """
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Collect gradients for all parameters, or (False) freeze them; return the module."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters (or fill them with zeros)."""
        for parameter in self.parameters():
            parameter.zero_grad(set_to_none)

    def float(self) -> Self:
        """Convert float parameters and buffers to float32 in place; return the module."""
        return self._convert(np.dtype(np.float32))

    def double(self) -> Self:
        """Convert float parameters and buffers to float64 in place; return the module.

        An optimiser that has taken steps keeps state in the old dtype: convert before it is built.
        """
        return self._convert(np.dtype(np.float64))

    def _convert(self, dtype: np.dtype) -> Self:
        for tensor in [*self.parameters(), *self.buffers()]:
            convert(tensor, dtype)
        return self

    # --- text ------------------------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """Return the settings of the module, for its repr."""
        return ""

    def __repr__(self) -> str:
        lines = [f"  ({name}): " + repr(part).replace("\n", "\n  ") for name, part in self._own_modules()]
        if not lines:
            return f"{type(self).__name__}({self.extra_repr()})"
        lines = [f"  {self.extra_repr()}"] * bool(self.extra_repr()) + lines
        return f"{type(self).__name__}(\n" + "\n".join(lines) + "\n)"


def names_of(model: Module) -> dict[int, str]:
    """Return the paths of all modules of a model by their ids."""
    return {id(part): name for name, part in model.named_modules()}


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
