"""Learning curves: loss and accuracy over the epochs of one run, as a picture."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_cnn.viz.figure import drawing_style, new_figure, save_picture

# The keys of a record that are drawn, by panel: colour, marker, what the legend says.
# Blue and orange (Okabe and Ito, https://jfly.uni-koeln.de/color/) stay apart for every kind of colour vision.
_PANELS: dict[str, dict[str, dict[str, Any]]] = {
    suffix: {
        suffix: {"color": "#9ecae9", "linewidth": 1, "label": "training batches"},
        f"train_{suffix}": {"color": "#0072b2", "marker": "o", "label": "training, mean over the epoch"},
        f"validation_{suffix}": {"color": "#009e73", "marker": "^", "label": "validation"},
        f"test_{suffix}": {"color": "#d55e00", "marker": "s", "label": "test"},
    }
    for suffix in ("loss", "accuracy")
}


def save_learning_curves(
    metrics: Iterable[Mapping[str, Any]], path: str | os.PathLike[str], title: str = "Learning curves"
) -> None:
    """Draw loss and accuracy over the epochs and write the picture, atomically.

    Args:
        metrics: Records, such as `training.read_metrics` returns. ``epoch`` (whole, or a fraction within an epoch)
            gives the place; of the rest these are drawn: ``train_loss``, ``validation_loss``, ``test_loss`` and
            ``loss`` (of single batches), and the same with ``accuracy`` (0 to 1). A record may hold any of them.
        path: The picture; ``.png``, ``.svg`` or ``.pdf``.
        title: What was trained, such as "LeNet-5 on MNIST, seed 0".

    Raises:
        ImportError: matplotlib is not installed (``pip install tinygrad-cnn[plot]``).
        ValueError: No record holds an epoch with a loss or an accuracy, or pictures do not end like ``path``.

    >>> import tempfile
    >>> from pathlib import Path
    >>> path = Path(tempfile.mkdtemp()) / "curves.png"
    >>> save_learning_curves([{"epoch": 1, "train_loss": 0.4}, {"epoch": 2, "train_loss": 0.2}], path)
    >>> path.read_bytes()[1:4]
    b'PNG'
    """
    records = list(metrics) if isinstance(metrics, Iterable) else [metrics]
    if not all(isinstance(record, Mapping) for record in records):
        raise TypeError(
            f"save_learning_curves: metrics are records such as {{'epoch': 1, 'loss': 0.5}}, got {metrics!r:.80}"
        )
    drawn = {panel: _points(records, keys) for panel, keys in _PANELS.items()}
    drawn = {panel: points for panel, points in drawn.items() if points}
    if not drawn:
        keys = ", ".join(key for panel in _PANELS.values() for key in panel)
        raise ValueError(f"save_learning_curves: no record holds 'epoch' and one of {keys}; got {len(records)} records")

    with drawing_style():
        figure = new_figure(width=4.6 * len(drawn) + 0.6, height=3.9, title=title)
        for axes, (panel, points) in zip(figure.subplots(1, len(drawn), squeeze=False)[0], drawn.items(), strict=True):
            _draw_panel(axes, panel, points)
        save_picture(figure, path)


def _points(records: Sequence[Mapping[str, Any]], keys: Iterable[str]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return, for each key that occurs, its epochs and its values."""
    found = {}
    for key in keys:
        pairs = [(record["epoch"], record[key]) for record in records if key in record and "epoch" in record]
        if not all(np.ndim(v) == 0 and np.asarray(v).dtype.kind in "biuf" for pair in pairs for v in pair):
            raise TypeError(f"save_learning_curves: epoch and {key} must be numbers, one of each in a record")
        if pairs:
            found[key] = (np.array([x for x, _ in pairs], float), np.array([y for _, y in pairs], float))
    return found


def _draw_panel(axes: Any, panel: str, points: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> None:
    percent = 100 if panel == "accuracy" else 1
    for key, (epochs, values) in points.items():
        axes.plot(epochs, percent * values, **_PANELS[panel][key])
    axes.set_xlabel("epoch")
    axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    if panel == "accuracy":
        axes.set_ylabel("accuracy (% of the images)")
    elif _spread(points) > 30:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")  # 0.1 and not a power of ten
        axes.yaxis.set_minor_formatter(lambda x, _: f"{x:g}" if f"{x:g}"[-1] in "125" else "")
        axes.set_ylabel("loss (mean over images, logarithmic scale)")
    else:
        axes.set_ylabel("loss (mean over images)")
        axes.set_ylim(bottom=0)
    _label_last(axes, panel, points)
    axes.legend(loc="best")


def _spread(points: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> float:
    """Return the largest value over the smallest; 1 where a logarithm has no place."""
    values = np.concatenate([values for _, values in points.values()])
    values = values[np.isfinite(values)]
    return values.max() / values.min() if values.size and values.min() > 0 else 1.0


def _label_last(axes: Any, panel: str, points: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> None:
    """Write the final value beside the last point of the test curve, or of what comes closest to one."""
    for key in (f"test_{panel}", f"validation_{panel}", f"train_{panel}"):
        if key in points and np.isfinite(points[key][1][-1]):
            epoch, value = points[key][0][-1], points[key][1][-1]
            text = f"{value:.2%}" if panel == "accuracy" else f"{value:.4f}"
            place = (epoch, 100 * value if panel == "accuracy" else value)
            axes.annotate(text, place, xytext=(7, 0), textcoords="offset points", va="center", annotation_clip=False)
            return
