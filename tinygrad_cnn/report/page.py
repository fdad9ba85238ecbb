"""One HTML file that tells everything: no network, no server, nothing beside it."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tinygrad_cnn.analysis import summary
from tinygrad_cnn.analysis.batches import Batches, addresses_of
from tinygrad_cnn.calls import record_calls
from tinygrad_cnn.files import atomic_write
from tinygrad_cnn.kernels.geometry import whole
from tinygrad_cnn.nn import Module
from tinygrad_cnn.report import sections, units
from tinygrad_cnn.report.markup import Markup, element, joined
from tinygrad_cnn.report.results import results

_HERE = Path(__file__).parent


def report(
    model: Module,
    data: Any,
    path: str | os.PathLike[str] = "report.html",
    *,
    title: str | None = None,
    images: int | Sequence[int] = 4,
    addresses: Sequence[str] | None = None,
    layer: str | None = None,
    mistakes: int = 12,
    most: int = 32,
    batch_size: int = 100,
) -> Path:
    """Write one HTML file about a model and what it does with data; it opens anywhere, without a network.

    The layers, the computation graph, what every unit sees (hover over a feature map: its receptive field is marked on
    the image; over a pixel of the image: the units that see it), filters, sparsity and dead units, the confusion matrix
    and the worst mistakes with their class-activation maps (Grad-CAM). Nothing in the model changes. The same model and
    data give the same bytes.

    Args:
        model: any module that takes images (N, C, H, W).
        data: a data set that gives (images, labels) or images for an array of indices, a pair of images and labels, or
            images. Names of classes are taken from ``data.classes``. Without labels, or where the model is no
            classifier, the parts that need them are left out.
        path: the file.
        title: the heading; None is the name of the model's class.
        images: how many images have their feature maps shown, or which ones.
        addresses: the layers whose feature maps are shown; None takes all of a small network, a choice of a large one.
        layer: the one for Grad-CAM; None takes the last that gives maps.
        mistakes: how many of the worst are shown.
        most: the first so many feature maps and filters of a layer are drawn.
        batch_size: images at a time; it changes the memory needed and not the result.

    Returns:
        The path.

    Raises:
        ValueError: there are no images, or they are not (N, C, H, W).
        KeyError: an address is not one of the model's.
        FileNotFoundError: the folder of ``path`` does not exist.

    >>> import tempfile
    >>> from tinygrad_cnn.data import synthetic_digits
    >>> from tinygrad_cnn.models import LeNet5
    >>> path = report(LeNet5(), synthetic_digits(20), Path(tempfile.mkdtemp()) / "lenet5.html", images=1, mistakes=2)
    >>> path.read_text()[:15]
    '<!doctype html>'
    """
    if not isinstance(model, Module):
        raise TypeError(f"report: model must be an nn.Module, got {type(model).__name__}")
    batches = Batches("report", model, data, batch_size)
    most, mistakes = whole("report", "most", most, 1), whole("report", "mistakes", mistakes, 0)
    addresses = addresses_of("report", addresses)
    chosen = images if isinstance(images, Sequence) else range(min(whole("report", "images", images, 1), len(batches)))
    shown = [whole("report", "the number of an image", n, 0) for n in chosen]
    if outside := [n for n in shown if n >= len(batches)]:
        raise IndexError(f"report: there is no image {outside[0]}, there are {len(batches)}")
    x, labels = batches.take(shown)
    if len(x.shape) != 4 or not shown:
        raise ValueError(f"report: expected at least one image, and images (N, C, H, W), got {x.shape}")
    found = results(model, data, batch_size)
    classes = _class_names(data, found)
    layers = units.layers(record_calls(model, x), x, addresses, most)
    net = summary(model, x.shape[1:])
    parts = [
        sections.layer_table(net),
        sections.graph(model, x[:1]),
        sections.feature_maps(layers, x, shown, labels, classes),
        sections.filters(model, most),
        sections.activity(model, data, batch_size),
        sections.strongest(model, data, layers, x.shape[2:], batch_size),
        sections.confusion(found, classes) if found else None,
        sections.worst(model, batches, found, classes, layer, mistakes) if found else None,
    ]
    heading = title if title is not None else type(model).__name__
    known = [part for part in parts if part is not None]
    top = [sections.header(heading, net, batches, found), sections.contents(known)]
    body = joined([*top, *(part.markup() for part in known)])
    told = {"layers": [shown_layer.told() for shown_layer in layers], "images": sections.image_uris(x)}
    told["height"], told["width"] = x.shape[2:]
    told["pictures"] = [
        units.pictures(layers, n) if n else [] for n in range(len(shown))
    ]  # the first stand in the page
    with atomic_write(path) as file:
        file.write(_page(heading, body, told).encode("utf-8", "backslashreplace"))
    return Path(path)


def _class_names(data: Any, found: Any) -> list[str]:
    names = [str(name) for name in getattr(data, "classes", ())]
    return names + [str(k) for k in range(len(names), found.classes if found else 0)]


def _page(heading: str, body: Markup, told: dict[str, Any]) -> str:
    """Return the whole page. The script and the style are named by their hashes: no other is run or applied."""
    script, style = ((_HERE / name).read_text() for name in ("report.js", "report.css"))
    policy = (
        f"default-src 'none'; img-src data:; script-src {_hash(script)}; style-src {_hash(style)}; "
        "base-uri 'none'; form-action 'none'"
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width"),
        element("title", heading),
        element("style", Markup(style)),
    )
    data = json.dumps(told, separators=(",", ":"))
    for sign in "<>&":  # so that no text can end the element
        data = data.replace(sign, f"\\u{ord(sign):04x}")
    main = element(
        "body",
        element("main", body),
        element("script", Markup(data), type="application/json", id="told"),
        element("script", Markup(script)),
    )
    return f"<!doctype html>\n{element('html', head, main, lang='en')}\n"


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
