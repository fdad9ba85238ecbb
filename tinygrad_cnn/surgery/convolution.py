"""A classifier becomes a network of convolutions, which takes images of any size and scores every place.

A linear layer on flattened maps (C, H, W) is a convolution with filters of H x W; one on vectors is a convolution of
1 x 1. On the size that the network was trained for, the score map is 1 x 1 and holds the same scores. On a larger image
it holds those of a window that slides over it, and what windows share is computed once.
Long, Shelhamer and Darrell, 2014, https://arxiv.org/abs/1411.4038.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from tinygrad_cnn import nn
from tinygrad_cnn.calls import record_calls
from tinygrad_cnn.functional.conv import Conv2d
from tinygrad_cnn.functional.linalg import Linear
from tinygrad_cnn.functional.norm_groups import GroupNorm, LayerNorm
from tinygrad_cnn.functional.pool import AdaptiveAvgPool2d, AvgPool2d, MaxPool2d
from tinygrad_cnn.functional.pool_bins import AdaptiveMaxPool2d
from tinygrad_cnn.functional.reduce import Reduction
from tinygrad_cnn.functional.shape import Reshape
from tinygrad_cnn.kernels.geometry import Pair
from tinygrad_cnn.surgery.proof import Surgery, prove, prove_part, replace, run, sample
from tinygrad_cnn.tracing import Call, Shape

_OP = "convolutionalize"
_ONE = "give the input_size it was trained for; one of several inputs needs a module around it that takes one"
_LARGER = "every layer must take any height and width, and nn.Flatten the maps (N, C, H, W) as convolutions give them"
_SIZE = ": what a layer computes depends on the size of the image, such as ceil_mode at its edge or a softmax of pixels"


@dataclass
class Dense(Surgery):
    """A network that gives a score map, and where on the image its scores lie.

    ``model(images)[n, k, i, j]`` is the score of class k for the window of ``window`` pixels whose first pixel is
    (i*stride, j*stride), and whose centre is ``offset`` further. Where the network pads its maps, a window inside of an
    image sees its neighbours where at training size it saw zeros: there the scores are close, not equal.
    """

    window: Pair
    stride: Pair
    offset: tuple[float, float]


def convolutionalize(model: nn.Module, input_size: Any) -> Dense:
    """Turn a classifier into a network of convolutions and pooling, and prove that it computes the same.

    Every ``nn.Flatten`` goes, every ``nn.Linear`` behind it becomes an ``nn.Conv2d``, batch norm of vectors one of
    maps, and every adaptive pool the fixed pool that it equals at this size. The rest stays as it is.

    Args:
        model: a network whose flattening, linear layers and adaptive pools are modules; it does not change.
        input_size: the size it was trained for, (C, H, W).

    Returns:
        The new network, in the modes of the old one, with its stride and offset: see `Dense`.

    Raises:
        ValueError: the network does not take one input of this size and give a vector of scores, it flattens or pools
            everything outside of a module, bins of adaptive pooling differ, or what follows a flattening needs vectors.
        RuntimeError: outputs differ: at this size, in the size of the score map of a larger image, or (in a network
            without padding) from those of its windows, as where statistics are those of a whole image.

    >>> model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4 * 3 * 2, 10))
    >>> dense = convolutionalize(model, (1, 8, 6))
    >>> dense.model[3]
    Conv2d(4, 10, kernel_size=(3, 2), stride=(1, 1))
    >>> dense.model(np.zeros((1, 1, 20, 6), np.float32)).shape, dense.stride, dense.offset
    ((1, 10, 7, 1), (2, 2), (3.5, 2.5))
    """
    images = sample(_OP, model, input_size)
    if len(images.shape) != 4:
        raise ValueError(f"{_OP}: input_size must be (C, H, W), got {tuple(images.shape[1:])}")
    new = copy.deepcopy(model)
    with _said(f"the model does not take one input of shape {images.shape}", _ONE):
        calls = record_calls(new, images)
        expected = run(model, images)
    replacements = _plan(dict(new.named_modules()), calls)
    flattened = [path for path, (old, *_) in replacements.items() if isinstance(old, nn.Flatten)]
    _check_head(expected.shape, flattened)
    if "" in replacements:
        raise ValueError(f"{_OP}: the model is a single {type(model).__name__}; put it into an nn.Sequential")
    for old, fixed, *_ in replacements.values():
        replace(new, old, fixed)
    changes = [f"{path}: {old!r} -> {fixed!r}" for path, (old, fixed, *_) in replacements.items()]

    with _said(
        f"where {' and '.join(flattened) or 'pooling'} gave vectors there are maps (N, C, 1, 1) now",
        "linear layers, BatchNorm1d and element-wise operations take them; convolutionalize the part before the rest",
    ):
        scores = run(new, images)
    if expected.ndim == 2 and scores.ndim == 4 and scores.shape[2:] != (1, 1):
        raise ValueError(
            f"{_OP}: no nn.Linear reads what {' and '.join(flattened)} flattens, maps of {scores.shape[2:]}; end the "
            "model in one, or leave the flattening out"
        )
    lifted = expected.reshape(*expected.shape, *(1,) * (4 - expected.ndim))
    error, spread = prove(_OP, lifted, scores, "at the training size")
    finished = dict(new.named_modules())
    alone = [
        prove_part(_OP, path, old, finished[path], shapes[0], images.dtype, shapes[1])
        for path, (old, _, *shapes) in replacements.items()
    ]
    height, width = images.shape[2:]
    offset, stride = ((height - 1) / 2, (width - 1) / 2), _stride(record_calls(new, images))
    _prove_windows(model, new, images, stride, calls)
    return Dense(new, changes, error, spread, max(alone, default=0.0), (height, width), stride, offset)


@contextmanager
def _said(what: str, advice: str) -> Iterator[None]:
    """Say what it means that the model cannot be run."""
    try:
        yield
    except (TypeError, ValueError, IndexError) as error:
        raise ValueError(f"{_OP}: {what}: {error}; {advice}") from error


def _check_head(shape: Shape, flattened: list[str]) -> None:
    """Raise ValueError unless a model that gives this shape gives scores."""
    if len(shape) == 4 and shape[2:] != (1, 1) and not flattened:
        raise ValueError(
            f"{_OP}: the model gives maps {shape[1:]}, no vector of scores: it has no linear head, and takes larger "
            "images as it is"
        )
    if len(shape) != 2 and (len(shape) != 4 or shape[2:] != (1, 1)):
        raise ValueError(f"{_OP}: the model must give scores (N, K), got shape {shape}; cut what comes after them")


def _plan(modules: dict[str, nn.Module], calls: Iterable[Call]) -> dict[str, tuple[nn.Module, nn.Module, Shape, Shape]]:
    """Return by path which module is to be replaced by which, and the shapes that the two take."""
    plan: dict[str, tuple[nn.Module, nn.Module, Shape, Shape]] = {}
    maps: dict[int, Shape] = {}  # id of a vector -> (C, H, W) of the maps that it was, or would be now
    for call in calls:
        module, x = modules[call.path], call.inputs[0]
        new: nn.Module | None = None
        match call.function:
            case Reshape() if len(x.shape) == 4 and len(call.shape) == 2:
                if not isinstance(module, nn.Flatten):
                    raise ValueError(f"{_OP}: {_where(call)} flattens by itself; let an nn.Flatten() do it")
                maps[id(call.output)], new = x.shape[1:], nn.Identity()
            case Reshape() if len(x.shape) == 4 and len(call.shape) in (1, 3):
                raise ValueError(
                    f"{_OP}: {_where(call)} turns maps {x.shape} into {call.shape}; only vectors (N, C*H*W) can become "
                    "dense: let an nn.Flatten() do it"
                )
            case Reshape() if id(x) in maps and len(call.shape) > 2:
                raise ValueError(
                    f"{_OP}: {_where(call)} makes {call.shape[1:]} of vectors again; convolutionalize the part of the "
                    "network before it"
                )
            case Reduction() if len(x.shape) == 4 and {2, 3} & set(call.function.axes):
                raise ValueError(f"{_OP}: {_where(call)} pools by itself; let an nn.AdaptiveAvgPool2d(1) do it")
            case AdaptiveAvgPool2d() | AdaptiveMaxPool2d():
                if not isinstance(module, nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d):
                    raise ValueError(f"{_OP}: {_where(call)} pools by itself; let an nn.{call.function.name} do it")
                new = _fixed_pool(call)
            case Linear() if id(x) in maps:
                if not isinstance(module, nn.Linear):
                    raise ValueError(f"{_OP}: {_where(call)} calls linear() by itself; let an nn.Linear do it")
                new = _convolution(module, maps[id(x)])
                maps[id(call.output)] = (module.out_features, 1, 1)
            case _ if id(x) in maps and x.shape == call.shape:
                maps[id(call.output)] = maps[id(x)]
                if isinstance(module, nn.BatchNorm1d):
                    new = nn.BatchNorm2d(module.num_features)
                    vars(new).update(vars(module))
        if new is not None:
            if call.path in plan and repr(plan[call.path][1]) != repr(new):
                raise ValueError(f"{_OP}: {call.path} is used twice, in two ways; give each its own module")
            lifted = (x.shape[0], *maps[id(x)]) if id(x) in maps else x.shape
            plan.setdefault(call.path, (module, new, x.shape, lifted))
    return plan


def _convolution(linear: nn.Linear, maps: Shape) -> nn.Conv2d:
    """Return the convolution whose filters are the rows of a linear layer's weight."""
    channels, height, width = maps
    unused = np.random.default_rng(0)  # what it draws is overwritten
    conv = nn.Conv2d(channels, linear.out_features, 1, bias=False, dtype=linear.weight.dtype, generator=unused)
    conv.kernel_size = height, width
    conv.weight = nn.Parameter(linear.weight.data.reshape(-1, *maps), linear.weight.requires_grad)
    conv.bias = linear.bias
    return conv


def _fixed_pool(call: Call) -> nn.Module:
    """Return the pooling that adaptive pooling is at this size: all its bins must be alike."""
    sides = []
    for size, count in zip(call.input_shapes[0][2:], call.shape[2:], strict=True):
        bins = [(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]
        lengths, steps = {b - a for a, b in bins}, {b[0] - a[0] for a, b in pairwise(bins)}
        if len(lengths) > 1 or len(steps) > 1 or 0 in steps:
            raise ValueError(
                f"{_OP}: {_where(call)} pools {size} pixels into {count} bins {bins}, which no fixed pool does; "
                "choose an input_size whose maps it divides"
            )
        sides.append((lengths.pop(), steps.pop() if steps else 1))
    (height, down), (width, across) = sides
    if (height, width) == (1, 1):
        return nn.Identity()
    kind = nn.AvgPool2d if isinstance(call.function, AdaptiveAvgPool2d) else nn.MaxPool2d
    return kind((height, width), (down, across))


def _where(call: Call) -> str:
    return f"{call.function.name} in {call.path or 'the model'}"


def _stride(calls: Iterable[Call]) -> Pair:
    """Return how many pixels of the image lie between neighbours of the last map."""
    strides: dict[int, Pair] = {}
    last = 1, 1
    for call in calls:
        down, across = max((strides[id(x)] for x in call.inputs if id(x) in strides), default=(1, 1))
        match call.function:
            case Conv2d():
                step = call.function.geometry.stride
            case MaxPool2d() | AvgPool2d():
                step = call.function.window.stride
            case _:
                step = 1, 1
        last = strides[id(call.output)] = down * step[0], across * step[1]
    return last


def _prove_windows(model: nn.Module, new: nn.Module, images: Any, stride: Pair, calls: Iterable[Call]) -> None:
    """Look at an image that is one stride higher and two wider: 2 x 3 windows."""
    count, channels, height, width = images.shape
    size = count, channels, height + stride[0], width + 2 * stride[1]
    larger = np.random.default_rng(1).standard_normal(size).astype(images.dtype)
    with _said(f"the network of convolutions does not take images of {size[2]} x {size[3]}", _LARGER):
        scores = run(new, larger)
    if scores.shape[2:] != (2, 3):
        others = ", ".join(f"{_where(call)}" for call in calls if _changes_size(call)) or "a layer with ceil_mode"
        raise RuntimeError(
            f"{_OP}: an image of {size[2]} x {size[3]} has 2 x 3 windows of {height} x {width} at stride {stride}, but "
            f"the score map is {scores.shape[2]} x {scores.shape[3]}; nothing was returned: {others} has another step"
        )
    if any(_padded(call) for call in calls):  # then windows inside of an image see its pixels, not zeros
        for call in calls:
            if isinstance(call.function, GroupNorm) and not isinstance(call.function, LayerNorm):
                raise RuntimeError(
                    f"{_OP}: {_where(call)} normalises by statistics of a whole image, so on a larger one the scores "
                    "would not be those of its windows; nothing was returned. Use batch norm, or remove it"
                )
        return
    for i, j in np.ndindex(2, 3):
        window = larger[:, :, i * stride[0] :, j * stride[1] :][:, :, :height, :width]
        expected = run(model, np.ascontiguousarray(window))
        what = f"the score at {i, j} and its window"
        prove(_OP, expected, scores[:, :, i, j].reshape(expected.shape), what, _SIZE)


def _changes_size(call: Call) -> bool:
    """Say whether an operation other than convolution and pooling gives maps of another size."""
    if isinstance(call.function, Conv2d | MaxPool2d | AvgPool2d | AdaptiveAvgPool2d | AdaptiveMaxPool2d):
        return False
    return len(call.shape) == len(call.input_shapes[0]) == 4 and call.shape[2:] != call.input_shapes[0][2:]


def _padded(call: Call) -> bool:
    match call.function:
        case Conv2d():
            return any(map(any, call.function.geometry.padding))
        case MaxPool2d() | AvgPool2d():
            return any(map(any, call.function.window.padding))
    return False
