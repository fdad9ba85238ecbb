"""Which layers in a row run as one operation, and how.

A convolution and what follows it, map by map, make one pass over memory where nothing observes what lies between:
[Conv2d, ReLU, MaxPool2d(2)] or a part of it; where no gradient is recorded also [Conv2d, BatchNorm2d, ...] in
evaluation mode. The bits are those of the layers one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

from tinygrad_cnn.autograd import is_grad_enabled
from tinygrad_cnn.functional.conv import checked_geometry, convolved
from tinygrad_cnn.functional.fused import ConvNormRun, ConvRun, Run
from tinygrad_cnn.nn.activation import ReLU
from tinygrad_cnn.nn.conv import Conv2d
from tinygrad_cnn.nn.module import Module, tree
from tinygrad_cnn.nn.norm import BatchNorm2d
from tinygrad_cnn.nn.pool import MaxPool2d
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
    if type(modules[at]) is not Conv2d or getattr(input, "ndim", 0) != 4 or not _is_plain(modules[at]):
        return 1
    how = recording.get()
    if how is not None and how.observer is not None and not getattr(how.observer, "takes_runs_apart", False):
        return 1
    if sizes_are_strict.get():
        return 1
    end = at + 1
    if end < len(modules) and type(modules[end]) is BatchNorm2d:
        if is_grad_enabled() or not _is_fixed(modules[end], modules[at], input):
            return 1
        end += 1
    if end < len(modules) and type(modules[end]) is ReLU and _is_plain(modules[end]):
        end += 1
    if end < len(modules) and type(modules[end]) is MaxPool2d and _is_side_by_side(modules[end]):
        end += 1
    return end - at


def call_run(modules: Sequence[Module], input: Any) -> Any:
    """Call modules whose run was found by `run_length`."""
    conv: Any
    conv, norm, *_ = modules
    kinds = [type(module) for module in modules]
    outside, names = module_path.get(), tree.get() or {}
    run = Run(ReLU in kinds, MaxPool2d in kinds, tuple(names.get(id(module), outside) for module in modules))
    module_path.set(run.paths[0])
    try:
        geometry = checked_geometry(
            input, conv.weight, conv.bias, conv.stride, conv.padding, conv.dilation, conv.groups
        )  # fmt: skip
        # Of maps too small for a window the pooling itself has something to say.
        if run.pool and min(convolved(input.shape, conv.weight.shape, geometry)[2:]) < 2:
            module_path.set(outside)
            for module in modules:
                input = module(input)
            return input
        if not isinstance(norm, BatchNorm2d):
            return ConvRun(geometry, run).apply(input, conv.weight, conv.bias)
        gamma = np.ones(norm.num_features, input.dtype) if norm.weight is None else norm.weight
        beta = np.zeros(norm.num_features, input.dtype) if norm.bias is None else norm.bias
        fixed = norm.running_mean, norm.running_var, gamma, beta
        return ConvNormRun(geometry, norm.eps, run).apply(input, conv.weight, conv.bias, *fixed)
    finally:
        module_path.set(outside)


def _is_plain(module: Module) -> bool:
    return "forward" not in vars(module)  # nobody has put another function in its place


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
