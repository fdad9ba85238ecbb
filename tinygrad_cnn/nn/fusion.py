"""Which layers in a row run as one operation, and how.

A convolution and what follows it, map by map, make one pass over memory where nothing observes what lies between:
[Conv2d, ReLU, MaxPool2d(2)] or a part of it; where no gradient is recorded also [Conv2d, BatchNorm2d, ...] in
evaluation mode. So do fully connected layers: [Flatten, Linear, ReLU, Linear, ...]. The bits are those of the layers
one after the other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

from tinygrad_cnn.autograd import is_grad_enabled
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
    at = 0
    while at < len(modules):
        count = run_length(modules, at, input)
        input = modules[at](input) if count == 1 else call_run(modules[at : at + count], input)
        at += count
    return input


def run_length(modules: Sequence[Module], at: int, input: Any) -> int:
    """Return how many modules from ``at`` on can run as one operation on ``input``: 1 where nothing is fused."""
    count = _RUNS.get(type(modules[at]), _no_run)(modules, at, input)
    if count > 1:
        how = recording.get()
        if how is not None and how.observer is not None and not getattr(how.observer, "takes_runs_apart", False):
            return 1
    return count


def call_run(modules: Sequence[Module], input: Any) -> Any:
    """Call modules whose run was found by `run_length`."""
    outside, names = module_path.get(), tree.get() or {}
    paths = tuple([names.get(id(module), outside) for module in modules])
    module_path.set(paths[0])
    try:
        return (_call_convolution if type(modules[0]) is Conv2d else _call_layers)(modules, paths, input)
    finally:
        module_path.set(outside)


def _no_run(modules: Sequence[Module], at: int, input: Any) -> int:
    return 1


def _convolution(modules: Sequence[Module], at: int, input: Any) -> int:
    """Return the length of a run that begins with a convolution."""
    if getattr(input, "ndim", 0) != 4 or not _is_plain(modules[at]) or sizes_are_strict.get():
        return 1
    kinds = [*map(type, modules[at + 1 : at + 4]), None]
    count = 1
    if kinds[0] is BatchNorm2d:
        if is_grad_enabled() or not _is_fixed(modules[at + 1], modules[at], input):
            return 1
        count += 1
    if kinds[count - 1] is ReLU and _is_plain(modules[at + count]):
        count += 1
    if kinds[count - 1] is MaxPool2d and _is_side_by_side(modules[at + count]):
        count += 1
    return count


def _call_convolution(modules: Sequence[Module], paths: tuple[str, ...], input: Any) -> Any:
    conv: Any
    conv, norm, *_ = modules
    kinds = [type(module) for module in modules]
    run = Run(ReLU in kinds, MaxPool2d in kinds, paths)
    geometry = checked_geometry(input, conv.weight, conv.bias, conv.stride, conv.padding, conv.dilation, conv.groups)
    # Of maps too small for a window the pooling itself has something to say.
    if run.pool and min(convolved(input.shape, conv.weight.shape, geometry)[2:]) < 2:
        for path, module in zip(paths, modules, strict=True):
            module_path.set(path)
            input = module.forward(input)
        return input
    if not isinstance(norm, BatchNorm2d):
        return ConvRun(geometry, run).apply(input, conv.weight, conv.bias)
    gamma = np.ones(norm.num_features, input.dtype) if norm.weight is None else norm.weight
    beta = np.zeros(norm.num_features, input.dtype) if norm.bias is None else norm.bias
    fixed = norm.running_mean, norm.running_var, gamma, beta
    return ConvNormRun(geometry, norm.eps, run).apply(input, conv.weight, conv.bias, *fixed)


def _layers(modules: Sequence[Module], at: int, input: Any) -> int:
    """Return the length of a run of fully connected layers, which fit what each of them is given."""
    first: Any = modules[at]
    x, end = getattr(input, "_data", input), at
    if type(x) is not np.ndarray or x.dtype not in FLOATS:
        return 1
    shape: tuple[int, ...] = x.shape
    if type(first) is Flatten and _is_plain(first):
        if len(shape) < 3 or (first.start_dim, first.end_dim) != (1, -1):
            return 1
        shape, end = (shape[0], math.prod(shape[1:])), at + 1
    if len(shape) != 2:
        return 1
    width, found, seen = shape[1], at, set()
    while end < len(modules) and type(modules[end]) is Linear and _is_plain(modules[end]):
        layer: Any = modules[end]
        w, b = layer.weight, layer.bias
        # The gradients of a parameter that is used again are added in the order of the layers: it begins another run.
        if w is None or w.dtype != x.dtype or w.ndim != 2 or w.shape[1] != width or id(w) in seen or id(b) in seen:
            break
        width = w.shape[0]
        if b is not None:
            if b.dtype != x.dtype or b.shape != (width,):
                break
            seen.add(id(b))
        seen.add(id(w))
        end = found = end + 1
        if end < len(modules) and type(modules[end]) is ReLU and _is_plain(modules[end]):
            end = found = end + 1
    return max(found - at, 1)


def _call_layers(modules: Sequence[Module], paths: tuple[str, ...], input: Any) -> Any:
    flat, relus = False, []
    parameters: list[Any] = []
    for module in modules:
        if isinstance(module, Linear):
            parameters += [module.weight, module.bias]
            relus.append(False)
        elif type(module) is ReLU:
            relus[-1] = True
        else:
            flat = True
    module_path.set(paths[-1])  # it is the last layer's result
    return LinearRun(Layers(flat, tuple(relus), paths)).apply(input, *parameters)


_RUNS = {Conv2d: _convolution, Flatten: _layers, Linear: _layers}


def _is_plain(module: Module) -> bool:
    return "forward" not in module.__dict__  # nobody has put another function in its place


# As text: 2.0 and True equal ints, but the layer refuses them.
_SIDE_BY_SIDE = {repr(sizes) for sizes in product(*((n, (n, n)) for n in (2, 2, 0, 1)))}


def _is_side_by_side(pool: Any) -> bool:
    if pool.ceil_mode or pool.return_indices or not _is_plain(pool):
        return False
    return repr((pool.kernel_size, pool.stride, pool.padding, pool.dilation)) in _SIDE_BY_SIDE


def _is_fixed(norm: Any, conv: Any, input: Any) -> bool:
    """Say whether batch norm will use running statistics, and has nothing to complain about."""
    if norm.training or norm.running_mean is None or norm.running_var is None or not _is_plain(norm):
        return False
    parts = [part for part in (norm.weight, norm.bias, norm.running_mean, norm.running_var) if part is not None]
    fits = all(part.dtype == input.dtype and part.shape == conv.weight.shape[:1] for part in parts)
    return fits and conv.weight.shape[0] == norm.num_features and norm.eps > 0
