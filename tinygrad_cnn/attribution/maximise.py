"""Activation maximisation: the image that a unit, a channel or a class likes best, found by climbing its gradient.

Without restraint the climb ends in noise of high frequency, to which networks answer strongly. Three restraints keep
the image smooth: it decays (L2), it is blurred now and then, and it is seen at places that vary (jitter).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_cnn.attribution.query import asking, leaf, numbers_of, traced
from tinygrad_cnn.autograd import grad
from tinygrad_cnn.calls import sample_input
from tinygrad_cnn.kernels.geometry import number, whole
from tinygrad_cnn.nn import Module
from tinygrad_cnn.state import generator_for
from tinygrad_cnn.tensor import Tensor

Unit = int | tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Maximized:
    """What `maximize_activation` found.

    Attributes:
        images: (U, C, H, W), one for each unit.
        activations: (steps + 1, U): what the units said to the images on the way, first to the start.
    """

    images: ndarray
    activations: ndarray

    def __repr__(self) -> str:
        rise = ", ".join(f"{a:.3g} -> {b:.3g}" for a, b in zip(self.activations[0], self.activations[-1], strict=True))
        return f"<maximized: images {self.images.shape}, activations {rise}>"


def maximize_activation(
    model: Module,
    input_size: Any,
    unit: Unit | Sequence[Unit],
    layer: str | None = None,
    *,
    steps: int = 256,
    rate: float = 0.02,
    l2: float = 0.01,
    blur: float = 0.5,
    blur_every: int = 4,
    jitter: int = 2,
    bounds: tuple[float, float] = (0.0, 1.0),
    start: Any = None,
    generator: np.random.Generator | None = None,
) -> Maximized:
    """Return images that excite units of a network as much as images within bounds can.

    One step climbs the gradient g of the activation, whatever its size: x += rate * (high - low) * g / rms(g). Then x
    decays, x *= 1 - l2; after every ``blur_every`` steps it is blurred; and it is clipped to the bounds.

    Args:
        model: any module; it is asked in evaluation mode, and nothing in it changes.
        input_size: of one image, such as (1, 28, 28).
        unit: what is excited in what the layer gives for one image: ``3`` is a class, or a whole channel of a map (its
            mean); ``(3, 4, 5)`` one unit of channel 3. A list makes one image for each.
        layer: the address of a call or the path of a module (see `trace`); None is the output of the model.
        steps: how many.
        rate: how far a step goes, as a share of the range of the bounds.
        l2: how much an image decays towards 0 at each step; 0 leaves it.
        blur: the standard deviation of the Gaussian blur, in pixels; 0 leaves it.
        blur_every: how many steps lie between two blurs.
        jitter: the image is rolled by up to so many pixels along both axes before a step, and rolled back.
        bounds: the smallest and the largest value of a pixel, as the model sees images.
        start: the first image, one or one for each unit; None is faint noise around the middle of the bounds.
        generator: draws noise and jitter; where None a fresh one, always the same, so that a query leaves no trace.

    Raises:
        IndexError: there is no such unit.
        KeyError: there is no such layer.
        ValueError: a setting is out of its range, or the unit does not depend on the image.

    Source: Erhan, Bengio, Courville and Vincent (2009), "Visualizing higher-layer features of a deep network",
    University of Montreal, technical report 1341; L2 for classes: Simonyan, Vedaldi and Zisserman (2013),
    arXiv:1312.6034; decay and blur: Yosinski, Clune, Nguyen, Fuchs and Lipson (2015), arXiv:1506.06579; jitter:
    Mordvintsev, Olah and Tyka (2015), "Inceptionism", Google Research Blog.

    >>> from tinygrad_cnn.models import LeNet5
    >>> found = maximize_activation(LeNet5(), (1, 28, 28), [3, 8], steps=5)
    >>> found.images.shape, bool((found.activations[-1] > found.activations[0]).all())
    ((2, 1, 28, 28), True)
    """
    op = "maximize_activation"
    if not isinstance(bounds, tuple | list | ndarray) or len(bounds) != 2:
        raise TypeError(f"{op}: bounds must be two numbers, (low, high), got {bounds!r}")
    low, high = (number(op, "each of bounds", bound) for bound in bounds)
    steps, blur_every, jitter = (
        whole(op, name, value, 0) for name, value in (("steps", steps), ("blur_every", blur_every), ("jitter", jitter))
    )
    rate, l2, blur = (number(op, name, value) for name, value in (("rate", rate), ("l2", l2), ("blur", blur)))
    positive = {"steps": steps, "rate": rate, "blur_every": blur_every, "high - low of bounds": high - low}
    for name, value in {**positive, "l2": l2, "blur": blur, "jitter": jitter}.items():
        if not (value > 0 or (value == 0 and name not in positive)):
            raise ValueError(f"{op}: {name} must be {'above' if name in positive else 'at least'} 0, got {value}")
    generator = generator_for(op, np.random.default_rng(0) if generator is None else generator)
    units = [
        _place(op, one) for one in (unit if isinstance(unit, Iterable) and not isinstance(unit, tuple) else [unit])
    ]
    if not units:
        raise ValueError(f"{op}: needs at least one unit")
    x = sample_input(op, model, input_size, len(units)).data
    if x.ndim != 4:
        raise ValueError(f"{op}: input_size must be (C, H, W), got {tuple(input_size)}")
    noise = (low + high) / 2 + 0.02 * (high - low) * generator.standard_normal(x.shape[1:])
    first = np.broadcast_to(noise, x.shape) if start is None else numbers_of(op, "start", start, x)
    x = np.clip(first, low, high).astype(x.dtype)
    activations = []
    with asking(op, model):
        for step in range(steps):
            shift = tuple(generator.integers(-jitter, jitter + 1, 2))
            g, found = _climb(op, model, np.roll(x, shift, (2, 3)), units, layer)
            activations.append(found)
            g = np.roll(g, (-shift[0], -shift[1]), (2, 3))
            length = np.sqrt((g**2).mean((1, 2, 3), keepdims=True))
            x = (x + rate * (high - low) * g / np.where(length > 0, length, 1)) * (1 - l2)
            if blur and (step + 1) % blur_every == 0:
                x = blurred(x, blur)
            x = np.clip(x, low, high).astype(g.dtype)
        activations.append(_climb(op, model, x, units, layer)[1])
    return Maximized(x, np.array(activations))


def _climb(
    op: str, model: Module, images: ndarray, units: list[tuple[int, ...]], layer: str | None
) -> tuple[ndarray, ndarray]:
    """Return the gradient of each image's unit, and the activations."""
    x = leaf(images)
    output, calls = traced(model, x)
    liked = output if layer is None else calls[layer].output
    found = [_activation(op, liked, n, place) for n, place in enumerate(units)]
    g = grad(sum(found[1:], found[0]), x, allow_unused=True)[0] if liked.edge is not None else None
    if g is None:
        raise ValueError(f"{op}: {layer or 'the output'} does not depend on the image")
    return g.data, np.array([one.item() for one in found])


def _activation(op: str, output: Tensor, n: int, place: tuple[int, ...]) -> Tensor:
    shape = output.shape[1:]
    if len(place) > len(shape) or not all(0 <= i < size for i, size in zip(place, shape, strict=False)):
        raise IndexError(f"{op}: unit {place} is not in what the layer gives for an image, {shape}")
    return output[(n, *place)].mean()


def _place(op: str, unit: Any) -> tuple[int, ...]:
    place = unit if isinstance(unit, tuple) else (unit,)
    if not place or not all(isinstance(i, (int, np.integer)) for i in place):
        raise TypeError(f"{op}: a unit is a whole number or a tuple of them, got {unit!r}")
    return tuple(int(i) for i in place)


def blurred(images: Any, sigma: float) -> ndarray:
    """Return images (..., H, W), each pixel the mean of those around it with the weights of a Gaussian.

    The weights end at three standard deviations and sum to 1; beyond the edge the edge is repeated.

    >>> blurred(np.array([[0.0, 0, 1, 0, 0]]), 0.5).round(3).tolist()
    [[0.0, 0.106, 0.787, 0.106, 0.0]]
    """
    radius = max(1, round(3 * sigma))
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    weights /= weights.sum()
    images = np.asarray(images)
    for axis in (-2, -1):
        pad = [(0, 0)] * images.ndim
        pad[axis] = radius, radius
        wide, length = np.moveaxis(np.pad(images, pad, "edge"), axis, 0), images.shape[axis]
        images = np.moveaxis(sum(w * wide[i : i + length] for i, w in enumerate(weights)), 0, axis)
    return images
