"""Class-activation maps: the maps of a layer, added with weights that say what each is worth for a class.

    raw[n, i, j] = sum over k of w[n, k] * A[n, k, i, j]

A is what a layer gives, K maps of h x w. The methods differ in the weights; with g = d score / d A and a mean or a sum
over all places i, j:

    CAM             w[k] = the weight of class and map in the last, linear layer
    Grad-CAM        w[k] = mean of g[k]
    Grad-CAM++      w[k] = sum of a[k] * max(e**score g[k], 0),  a = g**2 / (2 g**2 + (sum of A[k]) g**3)
    LayerCAM        w[k, i, j] = max(g[k, i, j], 0)

All papers rectify the sum, so the map of interest is ``rectified``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_cnn.attribution.query import array_of, asking, gradient, images_of, leaf, score_of, settled, traced
from tinygrad_cnn.attribution.result import Attribution
from tinygrad_cnn.nn import Module
from tinygrad_cnn.tensor import Tensor
from tinygrad_cnn.tracing import Call, Trace

_LARGEST = 700.0  # e**709 is the largest power that float64 holds


def grad_cam(model: Module, input: Any, target: Any = None, layer: str | None = None) -> Attribution:
    """Return Grad-CAM: each map of a layer counts with the mean of its gradient.

        w[k] = mean over i, j of d score / d A[k, i, j],        raw = sum over k of w[k] A[k],        map = raw

    The paper's map is ``rectified``, max(raw, 0): only what speaks for the target.

    Args:
        model: any module; it is asked in evaluation mode, and nothing in it changes.
        input: images (N, C, H, W), float32 or float64.
        target: what is explained, as in `saliency`: label, labels, several at a time, a function of the output, None.
        layer: the address of a call or the path of a module that gives maps (see `trace`); None takes the last that
            gives more than one place, such as the end of a network's features.

    Returns:
        An `Attribution`; ``raw`` and ``map`` are (N, h, w), ``weights`` (N, K). `Attribution.upsampled` brings the maps
        to the size of the images.

    Raises:
        IndexError: there is no such label.
        KeyError: there is no such layer.
        ValueError: the layer gives no maps, or the score does not depend on them.

    Source: Selvaraju et al. (2017), "Grad-CAM: visual explanations from deep networks via gradient-based localization",
    arXiv:1610.02391.

    >>> from tinygrad_cnn.models import LeNet5
    >>> found = grad_cam(LeNet5(), np.ones((2, 1, 28, 28), np.float32), 3, "features.relu2")
    >>> found, found.weights.shape, found.upsampled().shape
    (<grad_cam: maps (2, 10, 10) of images of 28 x 28>, (2, 16), (2, 28, 28))
    """
    images, maps, g, scores = _asked("grad_cam", model, input, target, layer)
    return _weighted("grad_cam", images, maps, g.mean((-2, -1)), scores)


def grad_cam_pp(model: Module, input: Any, target: Any = None, layer: str | None = None) -> Attribution:
    """Return Grad-CAM++: places that raise the score count, each so that all of an object's do.

        g = d score / d A
        a[k, i, j] = g**2 / (2 g**2 + (sum over a, b of A[k, a, b]) g**3), 0 where g is 0
        w[k] = sum over i, j of a[k, i, j] max(e**score g[k, i, j], 0),        raw = sum over k of w[k] A[k]

    These are the paper's closed form for Y = e**score, with ``score`` before the softmax; it holds where the network is
    piecewise linear between the layer and the score. A score is taken as 700 where it is larger. The numbers are
    float64. Arguments, result and errors are those of `grad_cam`.

    Source: Chattopadhyay, Sarkar, Howlader and Balasubramanian (2018), "Grad-CAM++: improved visual explanations for
    deep convolutional networks", arXiv:1710.11063, equations 13 and 19.

    >>> from tinygrad_cnn.models import LeNet5
    >>> grad_cam_pp(LeNet5(), np.ones((2, 1, 28, 28), np.float32), 3).weights.dtype
    dtype('float64')
    """
    images, maps, g, scores = _asked("grad_cam_pp", model, input, target, layer)
    maps, g, exponents = (part.astype(np.float64) for part in (maps, g, scores))
    below = 2 * g**2 + maps.sum((-2, -1), keepdims=True) * g**3
    shares = np.divide(g**2, below, out=np.zeros_like(g), where=below != 0)
    power = np.exp(np.minimum(exponents, _LARGEST))[..., None, None, None]
    return _weighted("grad_cam_pp", images, maps, (shares * np.maximum(power * g, 0)).sum((-2, -1)), scores)


def layer_cam(model: Module, input: Any, target: Any = None, layer: str | None = None) -> Attribution:
    """Return LayerCAM: every place of every map counts with its own gradient, if that is positive.

        w[k, i, j] = max(d score / d A[k, i, j], 0),        raw = sum over k of w[k] A[k]

    Made for early layers, whose maps are large: there the mean of a gradient says little about a place. Arguments,
    result and errors are those of `grad_cam`; ``weights`` are (N, K, h, w).

    Source: Jiang, Zhang, Hou, Cheng and Wei (2021), "LayerCAM: exploring hierarchical class activation maps for
    localization", https://doi.org/10.1109/TIP.2021.3089943.

    >>> from tinygrad_cnn.models import LeNet5
    >>> layer_cam(LeNet5(), np.ones((2, 1, 28, 28), np.float32), 3, "features.relu1")
    <layer_cam: maps (2, 28, 28) of images of 28 x 28>
    """
    images, maps, g, scores = _asked("layer_cam", model, input, target, layer)
    return _weighted("layer_cam", images, maps, np.maximum(g, 0), scores)


def cam(model: Module, input: Any, target: Any = None) -> Attribution:
    """Return the class-activation map of a network that ends with global average pooling and one linear layer.

        w[k] = weight of the last layer[target, k],        raw = sum over k of w[k] A[k],        map = raw

    The mean of raw, plus the bias, is the score: for such a network this is Grad-CAM times the number of places.

    Args:
        model: as in `grad_cam`.
        input: as in `grad_cam`.
        target: a label, labels (N,), several at a time (T, 1) or (T, N); None is each image's highest score.

    Raises:
        TypeError: ``target`` is a function.
        ValueError: the network ends in another way; `grad_cam` explains those, too.

    Source: Zhou, Khosla, Lapedriza, Oliva and Torralba (2016), "Learning deep features for discriminative
    localization", arXiv:1512.04150.

    >>> from tinygrad_cnn import nn
    >>> conv, head = nn.Conv2d(1, 4, 3), nn.Linear(4, 2)
    >>> model = nn.Sequential(conv, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)
    >>> found = cam(model, np.ones((1, 1, 6, 7), np.float32), 1)
    >>> found, bool(np.isclose(found.raw.mean() + head.bias.data[1], found.scores[0]))
    (<cam: maps (1, 4, 5) of images of 6 x 7>, True)
    """
    if callable(target):
        raise TypeError("cam: a class has weights in the last layer, a function has none; use grad_cam")
    images = images_of("cam", input)
    with asking("cam", model):
        output, calls = traced(model, leaf(images))
        target = settled(output, target)
        scores = score_of("cam", output, target).data
        maps, linear = _pooled(calls, output)
    labels = np.broadcast_to(array_of(target), scores.shape)
    return _weighted("cam", images, maps.output.data, linear.inputs[1].data[labels], scores)


def _asked(
    op: str, model: Module, input: Any, target: Any, layer: str | None
) -> tuple[ndarray, ndarray, ndarray, ndarray]:
    """Return the images, the maps (N, K, h, w) of a layer, the gradient of the score there, and the scores."""
    images = images_of(op, input)
    with asking(op, model):
        output, calls = traced(model, leaf(images))
        score = score_of(op, output, target)
        call = _last_maps(op, calls) if layer is None else calls[layer]
        if len(call.shape) != 4 or not isinstance(call.output, Tensor) or call.output.edge is None:
            raise ValueError(
                f"{op}: layer must give maps (N, K, h, w) that depend on the images, {call.address} gives {call.shape}"
            )
        g = gradient(op, score, call.output, f"the layer {call.address}")
    return images, call.output.data, g, score.data


def _last_maps(op: str, calls: Trace) -> Call:
    for call in reversed(list(calls)):
        if len(call.shape) == 4 and call.shape[2] * call.shape[3] > 1 and call.output.edge is not None:
            return call
    raise ValueError(f"{op}: no layer gives maps (N, K, h, w) of more than one place")


def _pooled(calls: Trace, output: Tensor) -> tuple[Call, Call]:
    """Return the call whose maps are averaged, and the linear one that ends the network."""
    linear = calls[-1] if len(calls) else None
    if linear is None or linear.op != "linear" or linear.output.data is not output.data:
        last = "it computes nothing" if linear is None else f"it ends with {linear.address}; use grad_cam"
        raise ValueError(f"cam: the network must end with a linear layer, {last}")
    call = linear.sources[0]
    while call is not None and (len(call.shape) != 4 or call.shape[2:] == (1, 1)):
        call = call.sources[0]
    pooled = linear.inputs[0].data
    if call is None or call.shape[:2] != pooled.shape or not np.allclose(
        call.output.data.mean((2, 3)), pooled, rtol=1e-3, atol=1e-5 * abs(pooled).max()
    ):  # fmt: skip
        raise ValueError(
            "cam: between maps and the last layer there must be global average pooling and nothing else, so that its "
            "weights are those of the maps; use grad_cam"
        )
    return call, linear


def _weighted(op: str, images: ndarray, maps: ndarray, weights: ndarray, scores: ndarray) -> Attribution:
    """Return the sum of the maps (N, K, h, w) with weights (..., N, K) or (..., N, K, h, w)."""
    raw = np.einsum("...nk,nkhw->...nhw" if weights.ndim < maps.ndim else "...nkhw,nkhw->...nhw", weights, maps)
    return Attribution(op, raw, raw, scores, images.shape[-2:], weights)
