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
from tinygrad_cnn.functional.conv import Conv2d
from tinygrad_cnn.functional.linalg import Linear
from tinygrad_cnn.functional.norm import BatchNormFixed
from tinygrad_cnn.nn.norm import BatchNorm
from tinygrad_cnn.surgery.proof import Surgery, prove, replace, run, sample


def fuse_batchnorm(model: nn.Module, input_size: Any) -> Surgery:
    """Fold batch normalisation into the convolution or linear layer before it, and prove that outputs agree.

    The layer gets new weights and a bias, an ``nn.Identity`` stands where the normalisation was. One that no layer
    precedes directly, whose layer feeds something else too, that is called more than once, or that has no running
    statistics, stays; ``changes`` says so.

    Args:
        model: any module; it does not change.
        input_size: the size of one input, such as (3, 224, 224).

    Returns:
        A copy of the model in evaluation mode: the statistics are part of its weights now.

    Raises:
        RuntimeError: outputs differ.

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
    images = sample("fuse_batchnorm", model, input_size)
    new = copy.deepcopy(model).eval()
    modules = dict(new.named_modules())
    calls = record_calls(new, images)
    made_by = {id(call.output): call for call in calls}
    reads = Counter(id(x) for call in calls for x in call.inputs)
    used = Counter(call.path for call in calls)
    changes = []
    for path, norm in modules.items():
        if not isinstance(norm, BatchNorm):
            continue
        call = next((call for call in calls if call.path == path and isinstance(call.function, BatchNormFixed)), None)
        before = made_by.get(id(call.inputs[0])) if call else None
        layer = modules[before.path] if before else None
        if before is None or not isinstance(before.function, (Conv2d, Linear)):
            changes.append(f"{path}: stays, no convolution or linear layer comes directly before it")
        elif not isinstance(layer, (nn.Conv2d, nn.Linear)):
            changes.append(f"{path}: stays, what comes before it is not a layer of its own")
        elif reads[id(before.output)] > 1 or used[path] > 1 or used[before.path] > 1:
            changes.append(f"{path}: stays, it or the layer before it is used more than once")
        else:
            _fold(layer, norm)
            replace(new, norm, nn.Identity())
            changes.append(f"{path}: folded into {before.path}")
    error = prove("fuse_batchnorm", run(model, images), run(new, images), "with and without batch normalisation")
    return Surgery(new, changes, error)


def _fold(layer: nn.Conv2d | nn.Linear, norm: Any) -> None:
    """Give the layer the weights of both, computed in float64."""
    channels = norm.num_features
    mean, var = (np.asarray(t.data, np.float64) for t in (norm.running_mean, norm.running_var))
    gamma = np.ones(channels) if norm.weight is None else norm.weight.data
    beta = np.zeros(channels) if norm.bias is None else norm.bias.data
    bias = np.zeros(channels) if layer.bias is None else layer.bias.data
    scale, old = gamma / np.sqrt(var + norm.eps), layer.weight
    weight = old.data * scale.reshape(-1, *(1,) * (old.ndim - 1))
    layer.weight = nn.Parameter(weight.astype(old.dtype), old.requires_grad)
    layer.bias = nn.Parameter(((bias - mean) * scale + beta).astype(old.dtype), old.requires_grad)
