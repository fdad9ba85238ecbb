"""HTML from values: whatever is not markup already is escaped."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from html import escape
from typing import Any

import numpy as np

from tinygrad_cnn.viz.png import png_bytes

_WITHOUT_END = {"img", "meta"}


class Markup(str):
    """Text that is HTML already."""


def element(tag: str, *children: Any, **attributes: Any) -> Markup:
    """Return an element. Children and attributes that are None are left out; a trailing underscore is not written.

    >>> element("td", "a < b", element("b", 3), class_="number", title='"x"')
    '<td class="number" title="&quot;x&quot;">a &lt; b<b>3</b></td>'
    """
    head = tag + "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    if tag in _WITHOUT_END:
        return Markup(f"<{head}>")
    return Markup(f"<{head}>{joined(children)}</{tag}>")


def joined(parts: Iterable[Any]) -> Markup:
    """Return parts one after another, those that are no markup escaped.

    >>> joined(["a & b", None, element("i", "c")])
    'a &amp; b<i>c</i>'
    """
    kept = (part for part in parts if part is not None)
    return Markup("".join(part if isinstance(part, Markup) else escape(str(part)) for part in kept))


def table(heads: Iterable[Any], rows: Iterable[Iterable[Any]], numbers: Iterable[int] = ()) -> Markup:
    """Return a table; the columns in ``numbers`` are set flush right."""
    right = set(numbers)

    def cells(tag: str, row: Iterable[Any]) -> Markup:
        return element("tr", *(element(tag, x, class_="number" if i in right else None) for i, x in enumerate(row)))

    return element("table", element("thead", cells("th", heads)), element("tbody", *(cells("td", row) for row in rows)))


def data_uri(image: np.ndarray) -> str:
    """Return an image (H, W) or (H, W, 3) of uint8 as the address of a picture that stands in the address itself."""
    return "data:image/png;base64," + base64.b64encode(png_bytes(image)).decode()


def picture(image: np.ndarray, scale: int = 1, **attributes: Any) -> Markup:
    """Return an image of uint8 as an element, each of its pixels ``scale`` pixels wide and high.

    >>> picture(np.zeros((2, 3), np.uint8), 4, alt="black")[-35:]
    ' width="12" height="8" alt="black">'
    """
    height, width = image.shape[0] * scale, image.shape[1] * scale
    return element("img", src=data_uri(image), width=width, height=height, **attributes)


def fitted(image: np.ndarray, longest: int, **attributes: Any) -> Markup:
    """Return an image of uint8 as an element that fits a square of ``longest`` pixels; large ones are averaged.

    >>> fitted(np.zeros((9, 6), np.uint8), 40, alt="")[-31:]
    ' width="24" height="36" alt="">'
    """
    sides = image.shape[:2]
    if max(sides) <= longest:
        return picture(image, longest // max(sides), **attributes)
    blocks = max(sides) // longest
    whole = image[: sides[0] // blocks * blocks or None, : sides[1] // blocks * blocks or None].astype(np.float32)
    for axis in (0, 1):
        whole = np.add.reduceat(whole, np.arange(0, whole.shape[axis], blocks), axis) / min(blocks, whole.shape[axis])
    height, width = (round(side * longest / max(sides)) for side in sides)
    small = np.rint(whole).astype(np.uint8)
    return element("img", src=data_uri(small), width=width, height=height, class_="smooth", **attributes)
