"""The confusion matrix: which classes a classifier takes for which, as numbers and as a picture."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_cnn.kernels.geometry import whole
from tinygrad_cnn.viz.figure import MUTED, drawing_style, new_figure, save_picture

_MOST_NUMBERS = 25  # classes; beyond that the numbers in the cells would not be readable


def confusion_matrix(labels: Any, predictions: Any, classes: int) -> np.ndarray:
    """Count how often each class was taken for each.

    Args:
        labels: True classes (N,), whole numbers from 0 to classes - 1.
        predictions: Predicted classes (N,), the same.
        classes: How many classes there are.

    Returns:
        int64 (classes, classes); entry [i, j] counts images of class i that were taken for class j.

    Raises:
        TypeError: The labels or predictions are not whole numbers.
        ValueError: They are not two vectors of one length.
        IndexError: One is not in the range.

    >>> confusion_matrix([0, 0, 1, 2], [0, 1, 1, 2], classes=3)
    array([[1, 1, 0],
           [0, 1, 0],
           [0, 0, 1]])
    """
    classes = whole("confusion_matrix", "classes", classes, 0)
    try:
        labels, predictions = np.asarray(labels), np.asarray(predictions)
    except ValueError:  # lists of several lengths in a list
        raise ValueError("confusion_matrix: labels and predictions must be vectors (N,)") from None
    if labels.ndim != 1 or labels.shape != predictions.shape:
        raise ValueError(
            "confusion_matrix: labels and predictions must be vectors of one length, "
            f"got shapes {labels.shape} and {predictions.shape}; scores become predictions by argmax(1)"
        )
    for name, values in (("labels", labels), ("predictions", predictions)):
        if values.size and values.dtype.kind not in "iu":
            raise TypeError(f"confusion_matrix: {name} must be integers, got {values.dtype}")
        outside = np.flatnonzero((values < 0) | (values >= classes))
        if outside.size:
            place = outside[0]
            raise IndexError(f"confusion_matrix: {name}[{place}] is {values[place]}, outside of 0..{classes - 1}")
    cells = labels.astype(np.int64) * classes + predictions.astype(np.int64)
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes).astype(np.int64)


def save_confusion_matrix(
    matrix: Any, names: Sequence[str], path: str | os.PathLike[str], title: str = "Confusion matrix"
) -> None:
    """Draw a confusion matrix and write the picture, atomically.

    Every cell shows its count. The colour tells mistakes only, as a part of the true class, so that few mistakes among
    many right answers can be seen. The margins show recall (how much of a class was found) and precision (how much of
    what was taken for a class belongs to it).

    Args:
        matrix: Counts (C, C), rows true and columns predicted, as `confusion_matrix` returns.
        names: The C names of the classes.
        path: The picture; ``.png``, ``.svg`` or ``.pdf``.
        title: What was tested, such as "LeNet-5 on the MNIST test set, seed 0".

    Raises:
        ImportError: matplotlib is not installed (``pip install tinygrad-cnn[plot]``).
        ValueError: The matrix is not square, not counts, or not of as many classes as there are names.

    >>> import tempfile
    >>> from pathlib import Path
    >>> path = Path(tempfile.mkdtemp()) / "confusion.png"
    >>> save_confusion_matrix([[8, 2], [0, 9]], ["cat", "dog"], path)
    >>> path.read_bytes()[1:4]
    b'PNG'
    """
    matrix, title = np.asarray(matrix), str(title)
    if not isinstance(names, Sequence):
        raise TypeError(f"save_confusion_matrix: names must be a list, one for each class, got {names!r}")
    if matrix.ndim != 2 or matrix.shape != (len(names), len(names)) or not len(names):
        raise ValueError(
            f"save_confusion_matrix: expected a matrix ({len(names)}, {len(names)}) for {len(names)} names, "
            f"got shape {matrix.shape}"
        )
    if matrix.dtype.kind not in "iu" or (matrix < 0).any():
        raise ValueError("save_confusion_matrix: expected counts (integers from 0); make them with confusion_matrix")

    right, total = int(np.trace(matrix)), int(matrix.sum())
    summary = f"{right:,} of {total:,} images right ({right / total:.2%})" if total else "no images"
    with drawing_style():
        side = 2.6 + (0.56 * len(names) if len(names) <= _MOST_NUMBERS else 6)
        figure = new_figure(width=max(side + 0.8, 0.1 * len(title)), height=side, title=title)
        axes = figure.subplots()
        axes.set_title(summary, loc="left", fontsize=10, color=MUTED, pad=22)
        _draw_matrix(figure, axes, matrix, [str(name).replace("$", r"\$") for name in names])
        save_picture(figure, path)


def _draw_matrix(figure: Any, axes: Any, matrix: np.ndarray, names: list[str]) -> None:
    classes = len(names)
    diagonal = np.eye(classes, dtype=bool)
    mistakes = 100 * matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    mistakes[diagonal] = 0
    largest = max(mistakes.max(), 1e-9)
    image = axes.imshow(np.ma.masked_array(mistakes, mistakes == 0), cmap="Oranges", vmin=0, vmax=largest)
    axes.imshow(np.ma.masked_array(np.ones_like(mistakes), ~diagonal), cmap="Blues", vmin=0, vmax=7)
    axes.set_facecolor("#f6f7f9")
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(length=0)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    if classes <= _MOST_NUMBERS:
        _write_numbers(axes, matrix, mistakes / largest, names)
    bar = figure.colorbar(image, ax=axes, shrink=0.6, pad=0.02)
    bar.set_label("mistakes (% of the true class)")
    bar.outline.set_visible(False)


def _write_numbers(axes: Any, matrix: np.ndarray, darkness: np.ndarray, names: list[str]) -> None:
    classes = len(names)
    for (i, j), count in np.ndenumerate(matrix):
        if count:  # an empty cell says zero
            colour = "white" if darkness[i, j] > 0.6 else "black"
            weight = "bold" if i == j else "normal"
            axes.text(j, i, f"{count:,}", ha="center", va="center", fontsize=8, color=colour, fontweight=weight)
    with np.errstate(invalid="ignore"):  # 0/0 for a class that does not occur
        recall, precision = np.diag(matrix) / matrix.sum(1), np.diag(matrix) / matrix.sum(0)
    slanted = max(map(len, names)) > 5
    axes.set_xticks(range(classes), names, rotation=45 if slanted else 0, ha="right" if slanted else "center")
    axes.set_yticks(range(classes), names)
    margin = {"textcoords": "offset points", "va": "center", "fontsize": 8, "color": MUTED}
    edge = classes - 0.5
    for place in range(classes):
        axes.annotate(_percent(precision[place]), (place, -0.5), (0, 9), ha="center", **margin)
        axes.annotate(_percent(recall[place]), (edge, place), (6, 0), ha="left", **margin)
    axes.annotate("precision, %", (-0.5, -0.5), (-6, 9), ha="right", **margin)
    axes.annotate("recall, %", (edge, -0.5), (6, 9), ha="left", **margin)


def _percent(part: float) -> str:
    return "-" if np.isnan(part) else f"{100 * part:.1f}"
