"""Batch normalisation by running statistics is a linear map of each channel: it fits into the layer before it.

gamma * (w*x + b - mean) / sqrt(var + eps) + beta  =  (s*w)*x + (s*(b - mean) + beta),    s = gamma / sqrt(var + eps)
"""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any

import numpy as np

from tinygrad_cnn import nn
from tinygrad_cnn.calls import record_calls
from tinygrad_cnn.functional.norm import BatchNormFixed
from tinygrad_cnn.nn.conv_transpose import ConvTransposeNd
from tinygrad_cnn.nn.norm import BatchNorm
from tinygrad_cnn.surgery.proof import Surgery, prove, prove_part, replace, run, sample

_OP = "fuse_batchnorm"
_LAYERS: tuple[type[nn.Module], ...] = (
    nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d,
)  # fmt: skip


def fuse_batchnorm(model: nn.Module, input_size: Any) -> Surgery:
    """Fold batch normalisation into the convolution or linear layer before it, and prove that outputs agree.

    Convolutions are those along 1, 2 or 3 axes, transposed ones too. The layer gets new weights and a bias, an
    ``nn.Identity`` stands where the normalisation was. One that no layer precedes directly, whose layer feeds something
    else too, that is called more than once, or that has no running statistics, stays; ``changes`` says so.

    Args:
        model: any module; it does not change.
        input_size: the size of one input, such as (3, 224, 224).

    Returns:
        A `Surgery`: its ``model`` is a copy in evaluation mode, with the statistics as part of its weights.

    Raises:
        RuntimeError: outputs differ: those of the network, or of a layer and its normalisation alone.

    >>> model = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU())
    >>> fused = fuse_batchnorm(model, (3, 9, 7))
    >>> fused.model
    Sequential(
      (0): Conv2d(3, 8, kernel_size=(3, 3), stride=(1, 1))
      (1): Identity()
      (2): ReLU()
    )
    >>> fused.changes
    ['1: folded into 0']
    """
    images = sample(_OP, model, input_size)
    new = copy.deepcopy(model).eval()
    modules, originals = dict(new.named_modules()), dict(model.named_modules())
    calls = record_calls(new, images)
    reads = Counter(id(x) for call in calls for x in call.inputs)
    visits = Counter(str(visit) for visit in calls.visits)
    changes, folded = [], []
    for path, norm in modules.items():
        if not isinstance(norm, BatchNorm):
            continue
        call = next((call for call in calls if call.path == path and isinstance(call.function, BatchNormFixed)), None)
        before = call.sources[0] if call else None
        layer: Any = modules.get(before.path) if before else None
        if not _computes(norm, (BatchNorm,)):
            changes.append(f"{path}: stays, a {type(norm).__name__} computes more than batch normalisation")
        elif before is None or not _computes(layer, _LAYERS):
            changes.append(f"{path}: stays, no layer that is a convolution or linear comes directly before it")
        elif len(before.shape) != layer.weight.ndim:
            changes.append(f"{path}: stays, its channels are not those of {before.path}, which gives {before.shape}")
        elif reads[id(before.output)] > 1 or visits[path] > 1 or visits[before.path] > 1:
            changes.append(f"{path}: stays, it or the layer before it is used more than once")
        else:
            _fold(layer, norm)
            replace(new, norm, nn.Identity())
            changes.append(f"{path}: folded into {before.path}")
            folded.append((path, next(call for call in calls if call.path == before.path)))
    error, spread = prove(_OP, run(model, images), run(new, images), "with and without batch normalisation")
    finished, alone = dict(new.named_modules()), [0.0]
    for path, first in folded:
        two, one = (nn.Sequential(parts[first.path], parts[path]) for parts in (originals, finished))
        alone.append(prove_part(_OP, f"{path} in {first.path}", two, one, first.input_shapes[0], images.dtype))
    return Surgery(new, changes, error, spread, max(alone))


def _computes(layer: Any, kinds: tuple[type[nn.Module], ...]) -> bool:
    """Say whether a module computes what one of these layers does, and nothing more."""
    return "forward" not in vars(layer) and any(type(layer).forward is kind.forward for kind in kinds)


def _fold(layer: Any, norm: Any) -> None:
    """Give the layer the weights of both, computed in float64."""
    channels = norm.num_features
    mean, var = (np.asarray(t.data, np.float64) for t in (norm.running_mean, norm.running_var))
    gamma = np.ones(channels) if norm.weight is None else norm.weight.data
    beta = np.zeros(channels) if norm.bias is None else norm.bias.data
    bias = np.zeros(channels) if layer.bias is None else layer.bias.data
    scale, old = gamma / np.sqrt(var + norm.eps), layer.weight
    groups = layer.groups if isinstance(layer, ConvTransposeNd) else channels  # of channels that share a first index
    weight = old.data.reshape(groups, -1, channels // groups, old.data[0, 0].size) * scale.reshape(groups, 1, -1, 1)
    layer.weight = nn.Parameter(weight.reshape(old.shape).astype(old.dtype), old.requires_grad)
    layer.bias = nn.Parameter(((bias - mean) * scale + beta).astype(old.dtype), old.requires_grad)
