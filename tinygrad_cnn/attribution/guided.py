"""Backward with other rules at the rectifiers: applied while walking, so the model needs no change.

Where y = max(x, 0), and R is the gradient of y:

    gradient            R where x > 0
    deconvnet           R where R > 0
    guided              R where x > 0 and R > 0
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_cnn.attribution.query import asking, by_target, images_of, leaf, score_of, targets_of, traced
from tinygrad_cnn.attribution.result import Attribution
from tinygrad_cnn.autograd import Function, Steps
from tinygrad_cnn.functional.activation import LeakyReLU, PReLU, ReLU
from tinygrad_cnn.functional.arithmetic import Maximum
from tinygrad_cnn.functional.curves import Hardtanh
from tinygrad_cnn.functional.elementwise import Clamp
from tinygrad_cnn.nn import Module
from tinygrad_cnn.tensor import Tensor

Rule = Callable[[ndarray, ndarray], ndarray]  # of the gradient that came in and of what an honest backward makes of it


def is_rectifier(node: Function) -> bool:
    """Say whether an operation lets pass what is positive and little or nothing else: `relu` and what is like it.

    >>> from tinygrad_cnn import functional as F
    >>> x = Tensor([1.0, -1.0], requires_grad=True)
    >>> [is_rectifier(y.grad_fn) for y in (F.relu(x), F.relu6(x), x.clamp(min=0), x.maximum(0), x.maximum(1), x.tanh())]
    [True, True, True, True, False, False]
    """
    if isinstance(node, Maximum):  # with a constant 0
        return any(
            edge is None and value is not None and not np.any(value)
            for edge, value in zip(node.edges or (), node.saved, strict=False)
        )
    if isinstance(node, Hardtanh):
        return node.parameters[0] == 0
    return isinstance(node, (ReLU, LeakyReLU, PReLU)) or (isinstance(node, Clamp) and node.low == 0)


def _walked(op: str, model: Module, input: Any, target: Any, rule: Rule) -> Attribution:
    images = images_of(op, input)
    x = leaf(images)
    with asking(op, model):
        output, _ = traced(model, x)  # every rectifier is a node of its own
        score = score_of(op, output, target)
        raw = by_target(score, [_pixels(op, part, x, rule) for part in targets_of(op, score)])
    return Attribution(op, raw, abs(raw).max(-3), score.data, images.shape[-2:])


def _pixels(op: str, score: Tensor, x: Tensor, rule: Rule) -> ndarray:
    """Walk back from a score to the pixels, and let the rule decide at every rectifier."""
    walk = Steps([score], [np.ones_like(score.data)], True, [x])
    met = 0
    for step in walk:
        if is_rectifier(step.node):
            met += 1
            for name, g in step.gradients.items():
                step.gradients[name] = rule(step.gy, g)
    (found,) = walk.gradients()
    if found is None or not met:
        reason = "the target does not depend on the images" if found is None else (
            "there is no rectifier such as relu between the images and the target, so this would be their gradient: "
            "see saliency"
        )  # fmt: skip
        raise ValueError(f"{op}: {reason}")
    return found


def guided_backprop(model: Module, input: Any, target: Any = None) -> Attribution:
    """Return the gradient at every pixel that is left when negative gradients stop at every rectifier.

        raw: d score / d x by the rule "R where x > 0 and R > 0",        map = max over channels of |raw|

    The rule holds at relu, relu6 (where x < 6), leaky_relu, prelu, clamp(min=0) and maximum(0). What it shows owes more
    to the image than to the model: Adebayo et al. (2018), "Sanity checks for saliency maps", arXiv:1810.03292.

    Arguments and errors are those of `saliency`; ValueError also where there is no rectifier on the way.

    Source: Springenberg, Dosovitskiy, Brox and Riedmiller (2014), "Striving for simplicity", arXiv:1412.6806.

    >>> from tinygrad_cnn.models import LeNet5
    >>> guided_backprop(LeNet5(), np.ones((1, 1, 28, 28), np.float32), [[3], [8]])
    <guided_backprop: maps (2, 1, 28, 28) of images of 28 x 28>
    """
    return _walked("guided_backprop", model, input, target, lambda gy, gx: np.maximum(gx, 0))


def deconvnet(model: Module, input: Any, target: Any = None) -> Attribution:
    """Return what a deconvolutional network makes of a score: rectifiers rectify on the way back, too.

        raw: d score / d x by the rule "R where R > 0",        map = max over channels of |raw|

    Convolutions are applied transposed, and max pooling puts values where it found the largest, as in every backward
    pass; only at the rectifiers does the paper's reconstruction differ from the gradient. Rectifiers, arguments and
    errors are those of `guided_backprop`.

    Source: Zeiler and Fergus (2013), "Visualizing and understanding convolutional networks", arXiv:1311.2901; that the
    rest is a gradient: Simonyan, Vedaldi and Zisserman (2013), arXiv:1312.6034, section 4.

    >>> from tinygrad_cnn import nn
    >>> model = nn.Sequential(nn.Flatten(), nn.ReLU())
    >>> x = np.array([-1, 2], np.float32).reshape(1, 1, 1, 2)
    >>> deconvnet(model, x, 0).raw.ravel(), guided_backprop(model, x, 0).raw.ravel()
    (array([1., 0.], dtype=float32), array([0., 0.], dtype=float32))
    """
    return _walked("deconvnet", model, input, target, lambda gy, gx: np.maximum(gy, 0))
