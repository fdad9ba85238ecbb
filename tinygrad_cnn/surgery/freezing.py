"""Part of a network stays as it is while the rest is trained."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from tinygrad_cnn import nn
from tinygrad_cnn.calls import record_calls
from tinygrad_cnn.functional import sum
from tinygrad_cnn.functional.norm import BatchNorm
from tinygrad_cnn.surgery.proof import Surgery, prove, run, sample
from tinygrad_cnn.tensor import Tensor
from tinygrad_cnn.tracing import Trace, trace


class _StaysInEvaluation:
    """Batch normalisation that uses its running statistics, and leaves them alone, in training mode too."""

    @property
    def training(self) -> bool:
        return False

    @training.setter
    def training(self, mode: bool) -> None:
        pass  # train() goes through all modules; this one stays


class FrozenBatchNorm1d(_StaysInEvaluation, nn.BatchNorm1d):
    """`BatchNorm1d` with fixed statistics; names in the state dict are the same."""


class FrozenBatchNorm2d(_StaysInEvaluation, nn.BatchNorm2d):
    """`BatchNorm2d` with fixed statistics; names in the state dict are the same."""


class FrozenBatchNorm3d(_StaysInEvaluation, nn.BatchNorm3d):
    """`BatchNorm3d` with fixed statistics; names in the state dict are the same."""


_FROZEN: dict[type, type] = {
    nn.BatchNorm1d: FrozenBatchNorm1d,
    nn.BatchNorm2d: FrozenBatchNorm2d,
    nn.BatchNorm3d: FrozenBatchNorm3d,
}


def freeze(model: nn.Module, input_size: Any, *names: str) -> Surgery:
    """Freeze parts of a network, in place, and prove that training leaves them alone.

    Their parameters no longer require gradients: backward neither computes nor stores anything for them. Their batch
    normalisation keeps to the running statistics, whatever `train` says. Dropout in them still drops in training mode.

    Args:
        model: the network. Its optimiser is given the rest: ``[p for p in model.parameters() if p.requires_grad]``.
        input_size: the size of one input, such as (3, 224, 224).
        names: of modules or parameters, such as "features" or "conv1.weight"; everything where none is given.

    Returns:
        The model itself and what became frozen.

    Raises:
        ValueError: the model has no part of this name, or the batch normalisation in it has no running statistics.
        RuntimeError: a result anywhere in the network is not the same, to the bit, or training would use the statistics
            of batches, or a backward pass reached or changed what is frozen. The model is then as it was.

    >>> model = nn.Sequential({"backbone": nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)), "head": nn.Linear(4, 2)})
    >>> freeze(model, (3,), "backbone").changes
    ['backbone.0.weight: frozen', 'backbone.0.bias: frozen', 'backbone.1.weight: frozen', 'backbone.1.bias: frozen',
     'backbone.1: keeps its running statistics']
    >>> [name for name, p in model.named_parameters() if p.requires_grad]
    ['head.weight', 'head.bias']
    """
    images = sample("freeze", model, input_size)
    chosen = _chosen(model, names)
    parameters = {name: p for name, p in model.named_parameters() if id(p) in chosen}
    modules = {path: module for path, module in model.named_modules() if id(module) in chosen}
    norms: dict[str, Any] = {path: module for path, module in modules.items() if type(module) in _FROZEN}
    for path, norm in norms.items():
        if norm.running_mean is None:
            raise ValueError(f"freeze: {path} has no running statistics to keep to: track_running_stats=False")
    for path, module in modules.items():
        moves = getattr(module, "running_mean", None) is not None and not isinstance(module, _StaysInEvaluation)
        if path not in norms and moves:
            raise ValueError(
                f"freeze: {path} is a {type(module).__name__}, whose running statistics would go on moving; give it "
                "track_running_stats=False"
            )
    before, calls = run(model, images), record_calls(model, images)
    kinds, flags = [type(norm) for norm in norms.values()], [p.requires_grad for p in parameters.values()]
    try:
        for norm in norms.values():
            norm.__class__ = _FROZEN[type(norm)]
        for p in parameters.values():
            p.requires_grad_(False)
        error, spread = prove("freeze", before, run(model, images), "before and after")
        _prove_same(calls, record_calls(model, images))
        _prove_still(model, images, list(parameters), list(norms))
    except BaseException:
        for norm, kind in zip(norms.values(), kinds, strict=True):
            norm.__class__ = kind
        for p, flag in zip(parameters.values(), flags, strict=True):
            p.requires_grad_(flag)
        raise
    changes = [f"{name}: frozen" for name in parameters] + [f"{path}: keeps its running statistics" for path in norms]
    return Surgery(model, changes, error, spread, 0.0)


def _chosen(model: nn.Module, names: tuple[str, ...]) -> set[int]:
    """Return the ids of the modules and parameters of these names and below: what is shared has several names."""
    modules = dict(model.named_modules(remove_duplicate=False))
    parts: dict[str, Any] = {**modules}
    for path, module in modules.items():
        parts.update(module.named_parameters(path, recurse=False))
    for name in names:
        if name not in parts:
            raise ValueError(f"freeze: the model has no part {name!r}; it has {', '.join(filter(None, modules))}")
    all_of_it = not names or "" in names
    return {
        id(part)
        for path, part in parts.items()
        if all_of_it or any(path == name or path.startswith(f"{name}.") for name in names)
    }


def _prove_same(before: Trace, after: Trace) -> None:
    """Compare every result inside: outputs may hardly depend on one that is wrong."""
    if before.addresses != after.addresses:
        raise RuntimeError("freeze: the network computes other operations than before; please report this")
    for old, new in zip(before, after, strict=True):
        if not np.array_equal(np.asarray(old.output), np.asarray(new.output), equal_nan=True):
            raise RuntimeError(f"freeze: {new.address} gives another result than before; please report this")


def _prove_still(model: nn.Module, images: Any, frozen: list[str], norms: list[str]) -> None:
    """Train a copy for a moment: no gradient may arrive, no statistics may move or be those of the batch."""
    trial = copy.deepcopy(model).train()
    trial.zero_grad()
    with trace(trial) as calls:
        y = trial(images)
    results = y if isinstance(y, tuple | list) else [y]  # in training some networks have several heads
    for result in results:
        if isinstance(result, Tensor) and result.requires_grad:
            sum(result).backward(retain_graph=True)
    parameters = dict(trial.named_parameters())
    reached = [name for name in frozen if parameters[name].grad is not None]
    state, found = model.state_dict(), trial.state_dict()
    fixed = [name for name in found if name.rpartition(".")[0] in norms]
    moved = [name for name in fixed if not np.array_equal(found[name], state[name])]
    if reached or moved:
        raise RuntimeError(f"freeze: a backward pass reached {reached} and moved {moved}; please report this")
    if batch := [call.address for call in calls if call.path in norms and isinstance(call.function, BatchNorm)]:
        raise RuntimeError(f"freeze: in training {batch} would use the statistics of the batch; please report this")
