"""Which layers in a row run as one operation, and how.

A convolution and what follows it, map by map, make one pass over memory where nothing observes what lies between:
[Conv2d, ReLU, MaxPool2d(2)] or a part of it; where no gradient is recorded also [Conv2d, BatchNorm2d, ...] in
evaluation mode. So do fully connected layers: [Flatten, Linear, ReLU, Linear, ...]. The bits are those of the layers
one after the other, of finite numbers: see functional/fused.py.

A row of layers is cut into such *runs* once (`runs_of`); whether a run fits what it is given is asked at every call.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise, product
from typing import Any

import numpy as np

from tinygrad_cnn.autograd import Variable, is_grad_enabled
from tinygrad_cnn.functional.conv import checked_geometry, convolved
from tinygrad_cnn.functional.elementwise import FLOATS
from tinygrad_cnn.functional.fused import ConvNormRun, ConvRun, Layers, LinearRun, Run
from tinygrad_cnn.nn.activation import ReLU
from tinygrad_cnn.nn.conv import Conv2d
from tinygrad_cnn.nn.linear import Linear
from tinygrad_cnn.nn.module import Module, tree
from tinygrad_cnn.nn.norm import BatchNorm2d
from tinygrad_cnn.nn.pool import MaxPool2d
from tinygrad_cnn.nn.shape import Flatten
from tinygrad_cnn.state import module_path, recording, sizes_are_strict


def call_in_turn(modules: Sequence[Module], input: Any) -> Any:
    """Call modules one after the other, each on the result of the one before; runs of them as one operation.

    >>> call_in_turn([Conv2d(1, 2, 3), ReLU()], np.ones((1, 1, 4, 5), np.float32)).shape
    (1, 2, 2, 3)
    """
    for part in runs_of(modules):
        input = part(input)
    return input


def runs_of(modules: Sequence[Module]) -> list[Module | ModuleRun]:
    """Cut a row of modules: what may run as one operation stands together, the others alone."""
    parts: list[Module | ModuleRun] = []
    at = 0
    while at < len(modules):
        kind = _KINDS.get(type(modules[at]))
        count = kind.length(modules, at) if kind is not None else 1
        parts.append(kind(modules[at : at + count]) if kind is not None and count > 1 else modules[at])
        at += count
    return parts


class ModuleRun:
    """Modules in a row that run as one operation where that fits their input, and one after the other elsewhere."""

    length: Callable[[Sequence[Module], int], int]  # how many modules may run as one, where the first stands at a place
    fits: Callable[[Any], bool]  # whether they do on an input
    facts: Callable[[tuple[str, ...]], Any]  # what the operation is told, given the paths of the modules
    call: Callable[[Any, Any], Any]  # run the operation on an input, given the facts

    def __init__(self, modules: Sequence[Module]) -> None:
        self.modules = modules
        # Below which outermost module (the names in its tree), in which place there, and what the operation is told.
        self.told: tuple[Any, str, Any] = None, "", None

    def __call__(self, input: Any) -> Any:
        """Return the result of the last module."""
        replaced = [module for module in self.modules if "forward" in module.__dict__]  # by another function
        if replaced or not self.fits(input) or _one_by_one():
            for module in self.modules:
                input = module(input)
            return input
        outside, names = module_path.get(), tree.get() or {}
        known, place, facts = self.told
        if known is not names or place != outside or type(names) is not dict:  # a trace counts who asks for a name
            facts = self.facts(tuple([names.get(id(module), outside) for module in self.modules]))
            self.told = names, outside, facts
        module_path.set(facts.paths[0])
        try:
            return self.call(input, facts)
        finally:
            module_path.set(outside)


def _one_by_one() -> bool:
    """Say whether somebody observes single operations."""
    how = recording.get()
    return how is not None and how.observer is not None and not getattr(how.observer, "takes_runs_apart", False)


class ConvolutionRun(ModuleRun):
    """A convolution, batch norm of evaluation mode, ReLU, 2x2 max pooling: the first two or more of these."""

    def __init__(self, modules: Sequence[Module]) -> None:
        super().__init__(modules)
        kinds = [type(module) for module in modules]
        self.conv: Any = modules[0]
        self.norm: Any = modules[1] if kinds[1] is BatchNorm2d else None
        self.relu, self.pool = ReLU in kinds, MaxPool2d in kinds

    @staticmethod
    def length(modules: Sequence[Module], at: int) -> int:
        count = 1
        for kind in (BatchNorm2d, ReLU, MaxPool2d):
            after = modules[at + count] if at + count < len(modules) else None
            count += type(after) is kind and (kind is not MaxPool2d or _is_side_by_side(after))
        return count

    def fits(self, input: Any) -> bool:
        if getattr(input, "ndim", 0) != 4 or sizes_are_strict.get():
            return False
        return self.norm is None or (not is_grad_enabled() and _is_fixed(self.norm, self.conv, input))

    def facts(self, paths: tuple[str, ...]) -> Run:
        return Run(self.relu, self.pool, paths)

    def call(self, input: Any, facts: Run) -> Any:
        conv, norm = self.conv, self.norm
        w, b = conv.weight, conv.bias
        geometry = checked_geometry(input, w, b, conv.stride, conv.padding, conv.dilation, conv.groups)
        # Of maps too small for a window the pooling itself has something to say.
        if facts.pool and min(convolved(input.shape, w.shape, geometry)[2:]) < 2:
            for path, module in zip(facts.paths, self.modules, strict=True):
                module_path.set(path)
                input = module.forward(input)
            return input
        if norm is None:
            return ConvRun(geometry, facts).apply(input, w, b)
        gamma = np.ones(norm.num_features, input.dtype) if norm.weight is None else norm.weight
        beta = np.zeros(norm.num_features, input.dtype) if norm.bias is None else norm.bias
        fixed = norm.running_mean, norm.running_var, gamma, beta
        return ConvNormRun(geometry, norm.eps, facts).apply(input, w, b, *fixed)


class LayersRun(ModuleRun):
    """Fully connected layers, each perhaps with a ReLU; a Flatten perhaps before the first."""

    def __init__(self, modules: Sequence[Module]) -> None:
        super().__init__(modules)
        kinds = [*map(type, modules), None]
        self.flat = kinds[0] is Flatten
        self.layers: list[Any] = [module for module in modules if type(module) is Linear]
        self.relus = tuple([after is ReLU for kind, after in pairwise(kinds) if kind is Linear])

    @staticmethod
    def length(modules: Sequence[Module], at: int) -> int:
        first: Any = modules[at]
        end = at
        if type(first) is Flatten:
            if (first.start_dim, first.end_dim) != (1, -1):
                return 1
            end = at + 1
        found = at
        seen: set[int] = set()
        while end < len(modules) and type(modules[end]) is Linear:
            layer: Any = modules[end]
            parameters = [layer.weight] if layer.bias is None else [layer.weight, layer.bias]
            # The gradients of a parameter that is used again are added in the order of the layers: it begins a new run.
            if not all([isinstance(p, Variable) and id(p) not in seen for p in parameters]):
                break
            seen.update(map(id, parameters))
            end = found = end + 1
            if end < len(modules) and type(modules[end]) is ReLU:
                end = found = end + 1
        return max(found - at, 1)

    def fits(self, input: Any) -> bool:
        """Say whether every layer fits what the one before gives it; what does not, the layer itself refuses."""
        x = getattr(input, "_data", input)
        if type(x) is not np.ndarray or x.dtype not in FLOATS or x.ndim < 2 or (x.ndim > 2) is not self.flat:
            return False
        width = math.prod(x.shape[1:])
        for layer in self.layers:
            w, b = layer.weight._data, layer.bias
            if w.dtype != x.dtype or w.ndim != 2 or w.shape[1] != width:
                return False
            width = len(w)
            if b is not None and (b._data.dtype != x.dtype or b._data.shape != (width,)):
                return False
        return True

    def facts(self, paths: tuple[str, ...]) -> Layers:
        return Layers(self.flat, self.relus, paths)

    def call(self, input: Any, facts: Layers) -> Any:
        module_path.set(facts.paths[-1])  # it is the last layer's result
        return LinearRun(facts).apply(input, *[p for layer in self.layers for p in (layer.weight, layer.bias)])


_KINDS: dict[type[Module], type[ModuleRun]] = {Conv2d: ConvolutionRun, Flatten: LayersRun, Linear: LayersRun}


# As text: 2.0 and True equal ints, but the layer refuses them.
_SIDE_BY_SIDE = {repr(sizes) for sizes in product(*((n, (n, n)) for n in (2, 2, 0, 1)))}


def _is_side_by_side(pool: Any) -> bool:
    if pool.ceil_mode or pool.return_indices:
        return False
    return repr((pool.kernel_size, pool.stride, pool.padding, pool.dilation)) in _SIDE_BY_SIDE


def _is_fixed(norm: Any, conv: Any, input: Any) -> bool:
    """Say whether batch norm will use running statistics, and has nothing to complain about."""
    if norm.training or norm.running_mean is None or norm.running_var is None:
        return False
    parts = [part for part in (norm.weight, norm.bias, norm.running_mean, norm.running_var) if part is not None]
    fits = all(part.dtype == input.dtype and part.shape == conv.weight.shape[:1] for part in parts)
    return fits and conv.weight.shape[0] == norm.num_features and norm.eps > 0
