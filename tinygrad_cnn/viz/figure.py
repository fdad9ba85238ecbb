"""What all our matplotlib pictures share: one style, figures without a window, files that are whole or absent."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path
from typing import Any

from tinygrad_cnn.files import atomic_write

INK, MUTED, GRID = "#1f2933", "#5f6b7a", "#e4e7eb"


def drawing_style() -> Any:
    """Return a context in which pictures look the same whatever style the user has set for matplotlib."""
    try:
        import matplotlib.style
    except ImportError as error:
        raise ImportError("pictures need matplotlib: pip install tinygrad-cnn[plot]") from error
    return matplotlib.style.context(
        {
            "font.family": "DejaVu Sans",  # comes with matplotlib
            "font.size": 10,
            "text.color": INK,
            "axes.labelcolor": INK,
            "axes.edgecolor": MUTED,
            "xtick.color": MUTED,
            "ytick.color": MUTED,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "grid.color": GRID,
            "lines.linewidth": 2,
            "lines.markersize": 5,
            "legend.frameon": False,
            "svg.fonttype": "none",  # text stays text
        },
        after_reset=True,
    )


def new_figure(width: float, height: float, title: str) -> Any:
    """Return a figure (inches) that belongs to no window; to be drawn within `drawing_style`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=150, layout="constrained")
    figure.suptitle(str(title).replace("$", r"\$"), fontweight="bold", x=0.02, ha="left")
    return figure


def save_picture(figure: Any, path: str | os.PathLike[str]) -> None:
    """Write a figure in the format that the name's ending says: whole, or not at all."""
    path = Path(path)
    known = figure.canvas.get_supported_filetypes()
    if path.suffix[1:].lower() not in known:
        raise ValueError(f"{path}: expected a picture's name (.{', .'.join(sorted(known))}), found {path.suffix!r}")
    picture = BytesIO()
    figure.savefig(picture, format=path.suffix[1:].lower())
    with atomic_write(path) as file:
        file.write(picture.getvalue())
