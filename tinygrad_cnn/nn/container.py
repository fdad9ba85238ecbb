"""Containers: modules in a row, whose names are their positions unless they are given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self, overload

from tinygrad_cnn.nn.fusion import runs_of
from tinygrad_cnn.nn.kept import kept
from tinygrad_cnn.nn.module import Module


class Container(Module):
    """A list of modules: what `Sequential` and `ModuleList` share.

    The modules are its attributes "0", "1", ... A slice is a new container of the same modules, renumbered.
    """

    def _fill(self, parts: Iterable[tuple[str, Module]]) -> None:
        """Hold exactly these modules; numbers become positions, other names stay."""
        parts = [(name, self._checked(module)) for name, module in parts]
        for name in [name for name, _ in self._own_modules()]:
            delattr(self, name)
        for position, (name, module) in enumerate(parts):
            self.add_module(str(position) if name.isdigit() else name, module)

    def _checked(self, module: Any) -> Module:
        if not isinstance(module, Module):
            what = f"the class {module.__name__}; add ()" if isinstance(module, type) else type(module).__name__
            raise TypeError(f"{type(self).__name__} holds modules, got {what}")
        return module

    def _name_at(self, index: int) -> str:
        names = [name for name, _ in self._own_modules()]
        try:
            return names[index]
        except IndexError:
            raise IndexError(f"{type(self).__name__}: index {index} is out of range for {len(names)} modules") from None

    def __len__(self) -> int:
        return len(self._own_modules())

    def __iter__(self) -> Iterator[Any]:
        return iter([part for _, part in self._own_modules()])

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> Any:
        if not isinstance(index, slice):
            return vars(self)[self._name_at(index)]
        part = object.__new__(type(self))
        part._fill(self._own_modules()[index])
        part.training = self.training
        return part

    def __setitem__(self, index: int, module: Module) -> None:
        setattr(self, self._name_at(index), self._checked(module))

    def __delitem__(self, index: int | slice) -> None:
        parts = self._own_modules()
        if not isinstance(index, slice):
            self._name_at(index)  # an error that names the container
        del parts[index]
        self._fill(parts)

    def append(self, module: Module) -> Self:
        """Add a module at the end; return the container."""
        self.add_module(str(len(self)), self._checked(module))
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add modules at the end; return the container."""
        for module in list(modules):
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> Self:
        """Add a module before the one at ``index``; return the container."""
        parts = self._own_modules()
        parts.insert(index, ("0", module))
        self._fill(parts)
        return self


class Sequential(Container):
    """Modules that are called one after the other, each on the result of the one before.

    Args:
        modules: the modules, or one dict of name to module.

    >>> import numpy as np
    >>> from tinygrad_cnn import nn
    >>> model = nn.Sequential({"hidden": nn.Linear(4, 3), "out": nn.Linear(3, 2)})
    >>> model
    Sequential(
      (hidden): Linear(in_features=4, out_features=3, bias=True)
      (out): Linear(in_features=3, out_features=2, bias=True)
    )
    >>> model(np.ones((5, 4), np.float32)).shape, model[:1](np.ones((5, 4), np.float32)).shape
    ((5, 2), (5, 3))
    """

    def __init__(self, *modules: Module | Mapping[str, Module]) -> None:
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            self._fill(modules[0].items())
        else:
            self._fill(("0", module) for module in modules)  # type: ignore[misc]

    def forward(self, input: Any) -> Any:
        modules, runs = kept(self, "_kept_runs", _runs_of)
        if modules != [part for part in self.__dict__.values() if isinstance(part, Module)]:  # past __setattr__
            runs = _runs_of(self)[1]
        for part in runs:
            input = part(input)
        return input


def _runs_of(row: Sequential) -> tuple[list[Module], list[Any]]:
    modules = [part for _, part in row._own_modules()]
    return modules, runs_of(modules)


class ModuleList(Container):
    """A list of modules, for a ``forward`` that calls them as it likes.

    Args:
        modules: any number of them.

    >>> from tinygrad_cnn import nn
    >>> heads = ModuleList(nn.Linear(8, n) for n in (2, 3))
    >>> [name for name, _ in heads.named_parameters()]
    ['0.weight', '0.bias', '1.weight', '1.bias']
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        self._fill(("0", module) for module in modules)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError("a ModuleList cannot be called: call its modules, or use Sequential")
