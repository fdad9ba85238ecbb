"""Cover a part of the image and see what the score loses: no gradient is asked."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_cnn.attribution.query import asking, images_of, numbers_of, score_of, settled
from tinygrad_cnn.attribution.result import Attribution
from tinygrad_cnn.autograd import no_grad
from tinygrad_cnn.nn import Module
from tinygrad_cnn.tensor import Tensor


def occlusion(
    model: Module, input: Any, target: Any = None, *, size: Any = 5, stride: Any = 1, fill: Any = 0.0
) -> Attribution:
    """Return what the score loses, on average, when a window that covers the pixel is filled.

        raw[i, j] = mean over windows with (i, j) of score(x) - score(x, window filled)

    The window moves by ``stride`` from the upper left corner, and a last one ends at each far edge, so that every pixel
    is covered where the stride is not larger than the window. The model runs once for every place of the window. The
    numbers are float64.

    Args:
        model: as in `saliency`.
        input: as in `saliency`.
        target: as in `saliency`; a function must give one number for each image, (N,) or (T, N), unless there is one
            image only.
        size: of the window, a number of pixels or (height, width).
        stride: how far it moves, a number of pixels or (down, right).
        fill: what is put there, a number or an array that broadcasts to the images: of their mean, for instance.

    Source: Zeiler and Fergus (2013), "Visualizing and understanding convolutional networks", arXiv:1311.2901, section
    4.2.

    >>> from tinygrad_cnn import nn
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(6, 1, bias=False))
    >>> model[1].weight.data = np.array([[0, 0, 0, 0, 4, 0]], np.float32)
    >>> occlusion(model, np.ones((1, 1, 2, 3), np.float32), 0, size=1).raw[0].tolist()
    [[0.0, 0.0, 0.0], [0.0, 4.0, 0.0]]
    """
    op = "occlusion"
    images = images_of(op, input)
    window, step = _pair(op, "size", size), _pair(op, "stride", stride)
    (height, width), fill = images.shape[2:], numbers_of(op, "fill", fill, images)
    if window[0] > height or window[1] > width:
        raise ValueError(f"{op}: a window of {window} does not fit on images of {(height, width)}")
    if step[0] > window[0] or step[1] > window[1]:
        raise ValueError(f"{op}: with a stride {step} larger than the window {window} pixels would never be covered")
    with asking(op, model), no_grad():
        output = model(Tensor(images))
        target = settled(output, target)
        scores = score_of(op, output, target).data
        if scores.ndim == 0 and len(images) > 1:
            raise ValueError(f"{op}: the function given as target must return one number for each image, got one")
        total = np.zeros((*(scores.shape or (1,)), height, width))
        covered = np.zeros((height, width))
        for top in _places(height, window[0], step[0]):
            for left in _places(width, window[1], step[1]):
                inside = ..., slice(top, top + window[0]), slice(left, left + window[1])
                changed = images.copy()
                changed[inside] = fill[inside]
                loss = scores - score_of(op, model(Tensor(changed)), target).data.astype(np.float64)
                total[inside] += loss[..., None, None]
                covered[inside] += 1
    raw = total / covered
    return Attribution(op, raw, raw, scores, (height, width))


def _places(length: int, window: int, step: int) -> list[int]:
    """Return where windows begin, so that the last one ends at the edge."""
    return sorted({*range(0, length - window, step), length - window})


def _pair(op: str, name: str, value: Any) -> tuple[int, int]:
    pair = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(pair) != 2 or not all(isinstance(n, (int, np.integer)) and n > 0 for n in pair):
        raise ValueError(f"{op}: {name} must be one or two whole numbers above 0, got {value!r}")
    return int(pair[0]), int(pair[1])
