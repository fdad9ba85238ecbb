"""Small drawings of the page, as SVG."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinygrad_cnn.report.markup import Markup, element

_CELL = 34


def bar(share: float, width: int = 160, height: int = 8) -> Markup:
    """Return a horizontal bar that is filled to a share, 0 to 1."""
    full = element("rect", width=width, height=height, rx=2, class_="track")
    part = element("rect", width=round(share * width, 1), height=height, rx=2, class_="fill")
    return element("svg", full, part, width=width, height=height, role="img", aria_label=f"{share:.1%}")


def confusion_drawing(matrix: np.ndarray, classes: Sequence[str]) -> Markup:
    """Return a confusion matrix: counts in cells, mistakes the darker the larger a part of their class they are.

    Args:
        matrix: counts (C, C), rows true and columns predicted.
        classes: the C names.
    """
    count = len(matrix)
    names = [str(name) if len(str(name)) <= 14 else f"{str(name)[:13]}…" for name in classes[:count]]
    longest = max(map(len, names), default=1)
    left, top = 16 + 7 * longest, 26 if longest <= 3 else 16 + 5 * longest
    wrong = matrix * (1 - np.eye(count)) / np.maximum(matrix.sum(1, keepdims=True), 1)
    darkest = max(float(wrong.max()), 1e-9)
    parts = []
    for i in range(count):
        y = top + i * _CELL
        parts.append(_text(names[i], left - 8, y + _CELL / 2 + 4, "end"))
        slant = None if longest <= 3 else f"rotate(-40 {left + i * _CELL + 14} {top - 8})"
        anchor = "middle" if slant is None else "start"
        parts.append(
            _text(names[i], left + i * _CELL + (_CELL / 2 if slant is None else 14), top - 8, anchor, transform=slant)
        )
        for j in range(count):
            parts.append(
                _cell(int(matrix[i, j]), i == j, wrong[i, j] / darkest, left + j * _CELL, y, names[i], names[j])
            )
    width, height = left + count * _CELL + (0 if longest <= 3 else 60), top + count * _CELL + 2
    return element("svg", *parts, width=width, height=height, viewBox=f"0 0 {width} {height}", class_="confusion")


def _cell(images: int, right: bool, dark: float, x: float, y: float, true: str, taken: str) -> Markup:
    kind = "right" if right else "wrong"
    opacity = None if right else f"{0.08 + 0.92 * dark:.3f}" if images else "0"
    square = element(
        "rect", x=x + 1, y=y + 1, width=_CELL - 2, height=_CELL - 2, rx=3, fill_opacity=opacity, class_=kind
    )
    light = "light" if dark > 0.7 and not right else None
    number = _text(f"{images:,}", x + _CELL / 2, y + _CELL / 2 + 4, "middle", class_=light) if images else None
    return element("g", element("title", f"{true} taken for {taken}: {images:,}"), square, number)


def _text(text: str, x: float, y: float, anchor: str, **attributes: str | None) -> Markup:
    return element("text", text, x=x, y=y, text_anchor=anchor, **attributes)
