"""How a model is asked: in evaluation mode, with a graph from the images on, and nothing in it changed afterwards.

A query asks what a *score* owes to the images: a class's, or any function of the output.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_cnn.autograd import enable_grad, grad
from tinygrad_cnn.calls import evaluation
from tinygrad_cnn.nn import Module
from tinygrad_cnn.tensor import Tensor
from tinygrad_cnn.tracing import Trace, trace


@contextmanager
def asking(op: str, model: Any) -> Iterator[None]:
    """Put a model into evaluation mode and record what it computes, until the block ends."""
    if not isinstance(model, Module):
        raise TypeError(f"{op}: model must be an nn.Module, got {type(model).__name__}")
    with evaluation(model), enable_grad():
        yield


def traced(model: Module, x: Tensor) -> tuple[Any, Trace]:
    """Run a model on images; return what it gives and its calls, layers that ran as one taken apart."""
    with trace(model) as calls:
        output = model(x)
    len(calls)
    return output, calls


def images_of(op: str, input: Any) -> ndarray:
    """Return the images (N, C, H, W) of a tensor or an array; ValueError for another shape."""
    array = array_of(input)
    if array.ndim != 4 or not array.size:
        hint = "; one image is x[None]" if array.ndim == 3 else ""
        raise ValueError(f"{op}: input must be images (N, C, H, W), got shape {array.shape}{hint}")
    if array.dtype not in (np.float32, np.float64):
        raise TypeError(f"{op}: input must be float32 or float64, as the model sees images, got {array.dtype}")
    return array


def array_of(x: Any) -> ndarray:
    """Return the array of a tensor, an array, a list or a number."""
    return np.asarray(x.data if isinstance(x, Tensor) else x)


def numbers_of(op: str, name: str, value: Any, images: ndarray) -> ndarray:
    """Return what is given as numbers, repeated to the shape of the images; an error that names it where it is none."""
    array = array_of(value)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{op}: {name} must be a number or an array of numbers, got {value!r:.80}")
    try:
        return np.broadcast_to(array.astype(images.dtype), images.shape)
    except ValueError:
        raise ValueError(f"{op}: {name} {array.shape} does not broadcast to the images {images.shape}") from None


def leaf(images: ndarray) -> Tensor:
    """Return images with an edge, where gradients arrive; so every map of the model is on the graph, frozen or not."""
    return Tensor(images, requires_grad=True)


def settled(output: Any, target: Any) -> Any:
    """Return the target itself, or for None the class of the highest score of each image."""
    return output.data.argmax(1) if target is None and isinstance(output, Tensor) and output.ndim == 2 else target


def score_of(op: str, output: Any, target: Any) -> Tensor:
    """Return the score that ``target`` means: a tensor (N,), or (T, N) for T targets at a time, or () from a function.

    Args:
        op: who asks, for errors.
        output: what the model gives for N images.
        target: None, a label, labels (N,), (T, 1) or (T, N), or a function of the output.
    """
    target = settled(output, target)
    if callable(target):
        score = target(output)
        if not isinstance(score, Tensor):
            raise TypeError(f"{op}: the function given as target must return a Tensor, got {type(score).__name__}")
        if score.ndim and (score.ndim > 2 or score.shape[-1] != len(output)):
            raise ValueError(
                f"{op}: the function given as target must return one number, or one for each of the {len(output)} "
                f"images, ({len(output)},), or for several targets (T, {len(output)}); got shape {score.shape}"
            )
        return score
    return _score_of_labels(op, output, target)


def _score_of_labels(op: str, output: Any, target: Any) -> Tensor:
    if not isinstance(output, Tensor) or output.ndim != 2:
        what = f"shape {output.shape}" if isinstance(output, Tensor) else type(output).__name__
        raise ValueError(
            f"{op}: labels need an output (N, classes), this model gives {what}; say what to explain by a function of "
            "the output, such as target=lambda y: y[:, 3].sum((1, 2))"
        )
    count, classes = output.shape
    labels = array_of(target)
    if labels.dtype.kind not in "iu":
        raise TypeError(f"{op}: target must be whole numbers, a function or None, got {target!r}")
    if labels.ndim > 2 or (labels.ndim and labels.shape[-1] not in (1, count)):
        raise ValueError(
            f"{op}: labels must be one, one for each of the {count} images, ({count},), or for T targets at a time "
            f"(T, 1) or (T, {count}); got shape {labels.shape}"
        )
    outside = labels[(labels < 0) | (labels >= classes)]
    if outside.size:
        raise IndexError(f"{op}: the label {outside[0]} is outside of 0..{classes - 1}")
    return output[np.arange(count), np.broadcast_to(labels, (*labels.shape[:-1], count))]


def targets_of(op: str, score: Tensor) -> list[Tensor]:
    """Return one number to differentiate for each target: images do not see each other, so theirs are added."""
    if score.edge is None:
        raise ValueError(f"{op}: the target does not depend on the images, or not by operations with a gradient")
    return [part.sum() for part in (score if score.ndim == 2 else [score])]


def by_target(score: Tensor, found: list[ndarray]) -> ndarray:
    """Return what was found for each target as one array, with an axis of targets only where there is one."""
    return np.stack(found) if score.ndim == 2 else found[0]


def gradient(op: str, score: Tensor, wrt: Tensor, what: str = "the images") -> ndarray:
    """Return d score / d wrt: its shape is that of ``wrt``, behind the axis of the targets where there is one."""
    found = []
    for part in targets_of(op, score):
        (g,) = grad(part, wrt, retain_graph=True, allow_unused=True)
        if g is None:
            raise ValueError(f"{op}: the target does not depend on {what}")
        found.append(g.data)
    return by_target(score, found)
