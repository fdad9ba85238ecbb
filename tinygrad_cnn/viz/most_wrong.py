"""The most-wrong board: the mistakes that cost a classifier most, as pictures."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_cnn.analysis.hard_examples import SampleLosses
from tinygrad_cnn.kernels.geometry import whole
from tinygrad_cnn.viz.figure import MUTED, drawing_style, new_figure, save_picture

_WIDE, _HIGH = 1.15, 1.42  # inches of one image with its two lines


def save_most_wrong(
    dataset: Any,
    found: SampleLosses,
    path: str | os.PathLike[str],
    count: int = 24,
    columns: int = 8,
    classes: Sequence[str] | None = None,
    title: str = "Most wrong",
) -> np.ndarray:
    """Draw the mistakes with the largest losses, the largest first, and return their indices.

    Below each image stands its true class, then what it was taken for and with what probability. Images are drawn from
    their darkest to their brightest value.

    Args:
        dataset: what ``found`` was computed on; ``dataset[indices][0]`` are images (n, 1 or 3, H, W).
        found: what `analysis.sample_losses` returns.
        path: the picture; ``.png``, ``.svg`` or ``.pdf``.
        count: how many at most.
        columns: how many in a row.
        classes: their names; None takes ``dataset.classes``, or numbers where there are none.
        title: what was tested.

    Raises:
        ImportError: matplotlib is not installed (``pip install tinygrad-cnn[plot]``).
        ValueError: ``found`` is of another number of images, or a count that is none.
    """
    if not isinstance(found, SampleLosses) or not hasattr(dataset, "__len__"):
        raise TypeError(
            "save_most_wrong: needs a data set and what analysis.sample_losses found in it, got "
            f"{type(dataset).__name__} and {type(found).__name__}"
        )
    if len(dataset) != len(found.losses):
        raise ValueError(
            f"save_most_wrong: the losses are of {len(found.losses)} images, the data set has {len(dataset)}"
        )
    count, columns = (whole("save_most_wrong", *item, 1) for item in (("count", count), ("columns", columns)))
    names = getattr(dataset, "classes", None) if classes is None else classes
    name = (lambda label: str(label)) if names is None else (lambda label: str(names[label]).replace("$", r"\$"))
    title = str(title)
    worst, wrong = found.most_wrong(count), int((found.predictions != found.labels).sum())
    rows = max(1, -(-len(worst) // columns))
    with drawing_style():
        figure = new_figure(max(_WIDE * columns, 0.09 * len(title)), _HIGH * rows + 0.75, title)
        grid = figure.subplots(rows, columns, squeeze=False)
        summary = f"{wrong:,} of {len(dataset):,} images wrong; true class, then prediction and its probability"
        figure.supxlabel(summary, x=0.02, ha="left", fontsize=9, color=MUTED)
        for axes in grid.ravel():
            axes.grid(False)
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
        for axes, i, image in zip(grid.ravel(), worst, dataset[worst][0], strict=False):
            axes.imshow(_picture(image), cmap="gray", interpolation="nearest")
            taken = f"{name(found.predictions[i])} {found.confidence[i]:.0%}"
            axes.set_xlabel(f"{name(found.labels[i])}\n{taken}", fontsize=8, color=MUTED)
        save_picture(figure, path)
    return worst


def _picture(image: np.ndarray) -> np.ndarray:
    """Return (H, W) or (H, W, 3), 0 to 1, of an image (1 or 3, H, W)."""
    low, high = float(image.min()), float(image.max())
    picture = (image - low) / (high - low or 1)
    return picture[0] if len(picture) == 1 else picture.transpose(1, 2, 0)
