"""A picture of what a unit sees: the image with its box, and how much each pixel matters."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from tinygrad_cnn.analysis import EffectiveField, Field
from tinygrad_cnn.viz.figure import MUTED, drawing_style, new_figure, save_picture
from tinygrad_cnn.viz.overlay import heat_colours, rgb

BOX = "#1f77ff"
DARKER = 0.35  # what a unit does not see


def save_receptive_field(
    path: str | os.PathLike[str],
    image: Any,
    field: Field,
    unit: tuple[int, int],
    effective: EffectiveField | None = None,
) -> None:
    """Draw what a unit sees of an image: the rest in the dark, and a box around it, which may reach into the padding.

    Args:
        path: the picture's name; its ending says the format.
        image: what the model was given: uint8 (H, W) or (H, W, 3), floats (H, W), (1, H, W) or (3, H, W).
        field: of the map; see `receptive_field`.
        unit: (row, column).
        effective: a second picture: how much each pixel matters to the unit; see `effective_field`.

    Raises:
        ImportError: matplotlib is not installed (``pip install tinygrad-cnn[plot]``).
        ValueError: the image has another size than the field.
    """
    if not isinstance(field, Field):
        raise TypeError(f"save_receptive_field: field must be what receptive_field returns, got {field!r:.80}")
    if not isinstance(unit, tuple | list) or len(unit) != 2:
        raise ValueError(f"save_receptive_field: unit must be (row, column), got {unit!r}")
    picture, seen = rgb(image), field.mask(*unit)
    if picture.shape[:2] != seen.shape:
        raise ValueError(f"save_receptive_field: the field is of an image of {seen.shape}, got {picture.shape[:2]}")
    shaded = np.where(seen[..., None], picture, (DARKER * picture).astype(np.uint8))
    row, column = unit
    size = "sees {} x {} pixels".format(*field.size) if field.regular else f"sees {seen.sum():,} pixels"
    panels = [(shaded, f"unit ({row}, {column}) of {field.address}\n{size}")]
    if effective is not None:
        heat = heat_colours(effective.heat / (effective.heat.max() or 1))
        share = f"{effective.size:.0f} x {effective.size:.0f}"
        panels.append((heat, f"how much each pixel matters\nabout {share} do"))
    with drawing_style():
        figure = new_figure(0.3 + 2.9 * len(panels), 0.8 + 2.9 * seen.shape[0] / seen.shape[1], "Receptive field")
        for axes, (shown, title) in zip(np.ravel(figure.subplots(1, len(panels))), panels, strict=True):
            axes.imshow(shown, interpolation="nearest")
            axes.set_title(title, loc="left", fontsize=9)
            axes.grid(visible=False)
            for spine in axes.spines.values():
                spine.set_visible(True)
            _draw_box(axes, field, unit)
        save_picture(figure, path)


def _draw_box(axes: Any, field: Field, unit: tuple[int, int]) -> None:
    from matplotlib.patches import Rectangle

    for clip, style in ((False, ":"), (True, "-")):
        if field.regular is None and not clip:
            continue
        (top, bottom), (left, right) = field.box(*unit, clip=clip)
        corner = left - 0.5, top - 0.5
        axes.add_patch(
            Rectangle(corner, right - left, bottom - top, fill=False, edgecolor=BOX, linewidth=1.5, linestyle=style)
        )
    y, x = field.centre(*unit)
    axes.plot([x], [y], "+", color=BOX, markersize=9)
    (height, width), ((top, bottom), (left, right)) = field.image_size, field.box(*unit, clip=field.regular is None)
    axes.set_xlim(min(left, 0) - 0.5, max(right, width) - 0.5)
    axes.set_ylim(max(bottom, height) - 0.5, min(top, 0) - 0.5)
    axes.set_facecolor(MUTED)  # the padding
