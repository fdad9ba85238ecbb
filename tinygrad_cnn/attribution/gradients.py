"""The gradient at the pixels, and three ways to make it speak more clearly."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_cnn.attribution.query import asking, gradient, images_of, leaf, numbers_of, score_of, settled
from tinygrad_cnn.attribution.result import Attribution
from tinygrad_cnn.kernels.geometry import number
from tinygrad_cnn.nn import Module
from tinygrad_cnn.state import generator_for


def _asked(op: str, model: Module, images: ndarray, target: Any) -> tuple[ndarray, ndarray, Any]:
    """Return the gradient, the scores, and the target that None meant."""
    with asking(op, model):
        x = leaf(images)
        output = model(x)
        target = settled(output, target)
        score = score_of(op, output, target)
        return gradient(op, score, x), score.data, target


def saliency(model: Module, input: Any, target: Any = None) -> Attribution:
    """Return the gradient of a score at every pixel: what a small change there would do to it.

        raw = d score / d x,        map = max over channels of |raw|

    Args:
        model: any module; it is asked in evaluation mode, and nothing in it changes.
        input: images (N, C, H, W), float32 or float64.
        target: what is explained. A label, labels (N,), several at a time (T, 1) or (T, N); any function of the output
            that gives one number, or one for each image (N,), or (T, N); None is each image's highest score.

    Raises:
        IndexError: there is no such label.
        ValueError: the shapes do not fit, or the score does not depend on the images.

    Source: Simonyan, Vedaldi and Zisserman (2013), "Deep inside convolutional networks", arXiv:1312.6034.

    >>> from tinygrad_cnn.models import LeNet5
    >>> saliency(LeNet5(), np.ones((2, 1, 28, 28), np.float32), [3, 8])
    <saliency: maps (2, 28, 28) of images of 28 x 28>
    """
    images = images_of("saliency", input)
    raw, scores, _ = _asked("saliency", model, images, target)
    return Attribution("saliency", raw, abs(raw).max(-3), scores, images.shape[-2:])


def gradient_x_input(model: Module, input: Any, target: Any = None) -> Attribution:
    """Return gradient times pixel: what each pixel adds to the score, were the model linear.

        raw = x * d score / d x,        map = sum over channels of raw

    Arguments and errors are those of `saliency`.

    Source: Shrikumar, Greenside, Shcherbina and Kundaje (2016), "Not just a black box", arXiv:1605.01713.

    >>> from tinygrad_cnn import nn
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2, bias=False))
    >>> x = np.arange(4, dtype=np.float32).reshape(1, 1, 2, 2)
    >>> found = gradient_x_input(model, x, 0)
    >>> bool(np.isclose(found.raw.sum(), found.scores[0]))
    True
    """
    images = images_of("gradient_x_input", input)
    raw, scores, _ = _asked("gradient_x_input", model, images, target)
    raw = raw * images
    return Attribution("gradient_x_input", raw, raw.sum(-3), scores, images.shape[-2:])


def integrated_gradients(
    model: Module, input: Any, target: Any = None, *, baseline: Any = 0.0, steps: int = 64
) -> Attribution:
    """Return what each pixel adds to the score on the straight way from a baseline to the image.

        raw = (x - b) * integral over a from 0 to 1 of d score / d x at b + a (x - b),    map = sum over channels of raw

    The sum of raw is score(x) - score(b) (completeness), but for the error of the integral, which is the mean at the
    middles of ``steps`` equal pieces.

    Args:
        model: as in `saliency`.
        input: as in `saliency`.
        target: as in `saliency`.
        baseline: an image that says nothing: a number, or an array that broadcasts to the images.
        steps: how many pieces; the paper found 20 to 300 enough.

    Source: Sundararajan, Taly and Yan (2017), "Axiomatic attribution for deep networks", arXiv:1703.01365.

    >>> from tinygrad_cnn.models import LeNet5
    >>> model, x = LeNet5().double(), np.random.default_rng(0).random((1, 1, 28, 28))
    >>> found = integrated_gradients(model, x, 3)
    >>> rise = found.scores - model(np.zeros_like(x)).data[:, 3]
    >>> bool(abs(found.raw.sum() - rise[0]) < 0.01)
    True
    """
    op = "integrated_gradients"
    images = images_of(op, input)
    start = numbers_of(op, "baseline", baseline, images)
    _check_count(op, "steps", steps)
    _, scores, target = _asked(op, model, images, target)
    total: Any = 0
    for k in range(steps):
        place = start + images.dtype.type((k + 0.5) / steps) * (images - start)
        total = total + _asked(op, model, place, target)[0].astype(np.float64)
    raw = (total / steps * (images - start)).astype(images.dtype)
    return Attribution(op, raw, raw.sum(-3), scores, images.shape[-2:])


def smooth_grad(
    model: Module,
    input: Any,
    target: Any = None,
    *,
    samples: int = 50,
    noise: float = 0.15,
    generator: np.random.Generator | None = None,
) -> Attribution:
    """Return the mean gradient at noisy copies of the image, in which what is left of it is what they share.

        raw = mean over samples of d score / d x at x + e,  e ~ N(0, s**2),  s = noise * (max x - min x)
        map = max over channels of |raw|

    Args:
        model: as in `saliency`.
        input: as in `saliency`.
        target: as in `saliency`.
        samples: how many copies; the paper found 50 enough.
        noise: the standard deviation, as a share of the range of each image; the paper recommends 0.1 to 0.2.
        generator: draws the noise, the same for all images of a batch but for its strength; where None a fresh one,
            always the same, so that a query leaves no trace.

    Source: Smilkov, Thorat, Kim, Viégas and Wattenberg (2017), "SmoothGrad", arXiv:1706.03825.

    >>> from tinygrad_cnn.models import LeNet5
    >>> model, x = LeNet5(), np.random.default_rng(0).random((1, 1, 28, 28)).astype(np.float32)
    >>> bool((smooth_grad(model, x, 3, noise=0, samples=4).raw == saliency(model, x, 3).raw).all())
    True
    """
    op = "smooth_grad"
    images = images_of(op, input)
    _check_count(op, "samples", samples)
    noise = number(op, "noise", noise, 0)
    generator = generator_for(op, np.random.default_rng(0) if generator is None else generator)
    axes = (1, 2, 3)
    spread = noise * (images.max(axes, keepdims=True) - images.min(axes, keepdims=True))
    _, scores, target = _asked(op, model, images, target)
    total: Any = 0
    for _ in range(samples):
        copy = images + (spread * generator.standard_normal(images.shape[1:])).astype(images.dtype)
        total = total + _asked(op, model, copy, target)[0].astype(np.float64)
    raw = (total / samples).astype(images.dtype)
    return Attribution(op, raw, abs(raw).max(-3), scores, images.shape[-2:])


def _check_count(op: str, name: str, count: Any) -> None:
    if not isinstance(count, (int, np.integer)) or isinstance(count, bool) or count < 1:
        raise ValueError(f"{op}: {name} must be a whole number of at least 1, got {count!r}")
