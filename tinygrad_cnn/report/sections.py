"""The parts of the page, one function for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_cnn.analysis import Summary, activities, strongest_activations
from tinygrad_cnn.analysis.activations import RECTIFIERS
from tinygrad_cnn.analysis.batches import Batches
from tinygrad_cnn.attribution import grad_cam
from tinygrad_cnn.calls import record_calls
from tinygrad_cnn.nn import Conv2d, Module
from tinygrad_cnn.report.drawings import bar, confusion_drawing
from tinygrad_cnn.report.markup import Markup, data_uri, element, fitted, joined, picture, table
from tinygrad_cnn.report.results import Results
from tinygrad_cnn.report.units import WIDTH, Layer
from tinygrad_cnn.tensor import Tensor
from tinygrad_cnn.viz.confusion import confusion_matrix
from tinygrad_cnn.viz.filters import filter_image
from tinygrad_cnn.viz.graph import draw_graph
from tinygrad_cnn.viz.grid import to_bytes
from tinygrad_cnn.viz.overlay import overlay

_MOST_CLASSES = 40  # beyond that a confusion matrix cannot be read


class Section(NamedTuple):
    """A part of the page.

    Attributes:
        name: in links.
        title: for people.
        said: a sentence on what is seen.
        body: what is seen.
    """

    name: str
    title: str
    said: str
    body: Markup

    def markup(self) -> Markup:
        """Return it with its heading."""
        heading = element("h2", self.title), element("p", self.said, class_="said")
        return element("section", *heading, self.body, id=self.name)


def header(heading: str, net: Summary, batches: Batches, found: Results | None) -> Markup:
    """Return the top of the page: what the network is, and how well it does."""
    facts = [
        (f"{net.parameters:,}", "parameters"),
        (f"{net.multiply_adds:,}", "multiply-adds an image"),
        (" × ".join(map(str, net.input)), "input"),
        (f"{len(batches):,}", "images"),
    ]
    if found:
        facts.append((f"{found.accuracy:.2%}", "of the predictions are right"))
    name = getattr(batches.data, "name", None)
    return element(
        "header",
        element("h1", heading),
        element("p", f"{net.network}{f' on {name}' if name else ''}", class_="said"),
        element("dl", *(element("div", element("dd", value), element("dt", what)) for value, what in facts)),
    )


def contents(parts: Sequence[Section]) -> Markup:
    """Return links to the parts of the page."""
    return element("nav", *(element("a", part.title, href=f"#{part.name}") for part in parts))


def layer_table(net: Summary) -> Section:
    """Return the table of the layers, indented by their depth."""
    rows = []
    for row in net.rows:
        spatial = row.output is not None and len(row.output) == 3
        rows.append(
            [
                element("span", row.name, class_=f"depth{min(row.depth, 5)}"),
                " × ".join(map(str, row.output)) if row.output else "",
                row.formula.replace("*", "·"),
                f"{row.parameters:,}" if row.parameters else "",
                f"{row.multiply_adds:,}" if row.multiply_adds else "",
                (str(row.receptive_field) if row.receptive_field else "varies") if spatial else "",
            ]
        )
    heads = ["layer", "output", "size of the output", "parameters", "multiply-adds", "sees / step"]
    said = (
        "What every layer makes of one image. Sees / step: pixels of the image that a unit sees, and how far the next "
        "unit's lie from them."
    )
    framed = element("div", table(heads, rows, numbers=(3, 4)), class_="frame")
    return Section("layers", "Layers", said, framed)


def graph(model: Module, x: Tensor) -> Section:
    """Return the drawing of the computation of one image, with what every operation makes of it."""
    drawn = draw_graph(record_calls(model, x), show=("multiply_adds", "receptive_field", "memory", "thumbnails"))
    try:
        text = drawn.render("svg").decode()
    except RuntimeError as error:  # no program that can draw
        return Section("graph", "Graph", "It could not be drawn.", element("p", str(error)))
    drawing = element("div", Markup(text[text.index("<svg") :]), class_="graph frame")
    return Section("graph", "Graph", "How one image becomes scores.", drawing)


def feature_maps(
    layers: Sequence[Layer], x: Tensor, shown: Sequence[int], labels: np.ndarray | None, classes: Sequence[str]
) -> Section:
    """Return the feature maps of all layers, with the image beside them that hovering marks."""
    uris = image_uris(x)
    longest = max(x.shape[2:])
    scale = max(1, round(280 / longest)) if longest <= 290 else 290 / longest
    height, width = (round(side * scale) for side in x.shape[2:])
    choices = []
    for i, n in enumerate(shown):
        name = f"image {n}" if labels is None else f"image {n}, {_name(classes, labels[i])}"
        small = element("img", src=uris[i], width=52, height=52, alt=name)
        choices.append(element("button", small, type="button", title=name, aria_pressed="false" if i else "true"))
    image = element("img", src=uris[0], width=width, height=height, alt="the image")
    aside = element(
        "aside",
        element("div", image, class_="layered", id="image"),
        element("div", *choices, id="choices") if len(choices) > 1 else None,
        element("p", "Point at a unit of a map, or at a pixel of this image.", id="readout"),
    )
    drawn = [_layer(layer) for layer in layers]
    said = (
        "What the layers make of the image; each map has its own brightness, black is its least value and white its "
        "greatest. Point at a unit: the image shows which pixels it sees. Point at a pixel: the maps show who sees it."
    )
    body = element("div", aside, element("div", *drawn, class_="maps"), class_="units")
    return Section("maps", "Feature maps", said, body)


def _layer(layer: Layer) -> Markup:
    call, image = layer.call, layer.image(0)
    shape = " × ".join(map(str, call.shape[1:]))
    rest = f", the first {layer.maps} of {call.shape[1]}" if layer.maps < call.shape[1] else ""
    sees = f"; a unit sees {layer.reach[0]} × {layer.reach[1]} pixels" if layer.sees and layer.size != (1, 1) else ""
    return element(
        "figure",
        element("figcaption", element("b", call.address), f" {call.op}, {shape}{rest}{sees}", element("output")),
        element("div", picture(image, alt=f"feature maps of {call.address}"), class_="layered"),
        class_="layer",
    )


def filters(model: Module, most: int) -> Section | None:
    """Return the filters of the first convolutions."""
    figures: list[Markup] = []
    for path, module in model.named_modules():
        if isinstance(module, Conv2d) and max(module.weight.shape[2:]) > 1 and len(figures) < 3:
            shape = " × ".join(map(str, module.weight.shape))
            single = module.weight.shape[1] in (1, 3)
            scale = 8 if single else 4
            strip = filter_image(module.weight.data[:1], most=most, scale=scale).shape[1] + 2 * scale
            image = filter_image(module, most=most, scale=scale, columns=16 if single else max(1, WIDTH // strip))
            caption = element("figcaption", element("b", path), f" {shape}")
            figures.append(element("figure", caption, picture(image, alt=f"filters of {path}")))
    if not figures:
        return None
    said = (
        "Weights of the first convolutions, black the least and white the greatest of each filter. A filter of more "
        "than three channels is a row of its parts."
    )
    return Section("filters", "Filters", said, joined(figures))


def activity(model: Module, data: Any, batch_size: int) -> Section | None:
    """Return the table of sparsity and dead units."""
    try:
        found = activities(model, data, batch_size=batch_size)
    except ValueError:  # it has no rectifiers
        return None
    rows = []
    for row in found:
        dead = ", ".join(map(str, row.dead[:12])) + (", ..." if len(row.dead) > 12 else "")
        which = f"{len(row.dead)} of {len(row.active)}{f': {dead}' if dead else ''}"
        rows.append([row.address, len(row.active), f"{row.zeros:.1%}", bar(row.zeros), which])
    said = f"How often units are silent, over {found.images:,} images. A dead unit is zero everywhere in all of them."
    heads = ["address", "units", "zeros", "", "dead units"]
    return Section("dead", "Silence and dead units", said, table(heads, rows, numbers=(1, 2)))


def confusion(found: Results, classes: Sequence[str]) -> Section:
    """Return the confusion matrix, or the most frequent confusions of very many classes."""
    matrix = confusion_matrix(found.labels, found.predictions, found.classes)
    right = int(np.trace(matrix))
    said = f"{right:,} of {len(found.labels):,} are right. Rows are true classes, columns predictions."
    wrong = matrix - np.diag(np.diag(matrix))
    order = [np.unravel_index(at, wrong.shape) for at in np.argsort(-wrong, axis=None, kind="stable")[:10]]
    rows = [[_name(classes, i), _name(classes, j), int(wrong[i, j])] for i, j in order if wrong[i, j]]
    most = table(["true", "taken for", "images"], rows, numbers=(2,)) if rows else element("p", "No mistakes.")
    drawing = confusion_drawing(matrix, classes) if found.classes <= _MOST_CLASSES else None
    return Section("confusion", "Confusion matrix", said, element("div", drawing, most, class_="beside"))


def worst(
    model: Module, batches: Batches, found: Results, classes: Sequence[str], layer: str | None, count: int
) -> Section | None:
    """Return the mistakes with the greatest losses: the image, what speaks for the prediction, what for the truth."""
    numbers = found.worst(count)
    if not numbers:
        return None
    x, _ = batches.take(numbers)
    truth, taken = found.labels[numbers], found.predictions[numbers]
    try:
        found_maps = grad_cam(model, x, np.stack([taken, truth]), layer)
    except ValueError:  # no layer gives maps
        heat, warning = None, ""
    else:
        heat, warning = found_maps.upsampled(), _warning(model, x[:1], found_maps.map.shape[-2:])  # heat (2, N, H, W)
    cards = []
    for i, n in enumerate(numbers):
        pixels = image_bytes(x.data[i])
        tiles = [pixels] if heat is None else [pixels, overlay(pixels, heat[0, i]), overlay(pixels, heat[1, i])]
        says = ["image", f"for {_name(classes, taken[i])}", f"for {_name(classes, truth[i])}"]
        drawn = [
            element("div", fitted(tile, 84, alt=what), element("small", what))
            for tile, what in zip(tiles, says, strict=False)
        ]
        head = element(
            "figcaption",
            element("b", _name(classes, truth[i])), " taken for ", element("b", _name(classes, taken[i])),
            element("small", f"image {n}, {found.sure[n]:.0%} sure"),
        )  # fmt: skip
        cards.append(element("figure", head, element("div", *drawn, class_="tiles"), class_="card"))
    said = (
        "The wrong answers with the greatest losses. Bright is what speaks for the prediction, and for the true class "
        f"(Grad-CAM).{warning}"
    )
    return Section("mistakes", "Worst mistakes", said, element("div", *cards, class_="cards"))


def _warning(model: Module, x: Tensor, size: Sequence[int]) -> str:
    """Return what is to be known of Grad-CAM in a network whose maps are flattened: there place matters."""
    flattened = [
        call
        for call in record_calls(model, x)
        if call.op == "reshape" and len(call.shape) == 2 and max((1, 1, *call.input_shapes[0])[-2:]) > 1
    ]
    if not flattened:
        return ""
    height, width = size
    return (
        f" This network flattens its last maps and does not average them, so the mean of a gradient is a poor weight, "
        f"and the maps, of {height} x {width} places here, are a poor guide: LayerCAM on an earlier layer is better "
        "(attribution.layer_cam)."
    )


def strongest(
    model: Module, data: Any, layers: Sequence[Layer], size: Sequence[int], batch_size: int
) -> Section | None:
    """Return what excites the units of the deepest rectified maps most that see parts of the image."""
    rectified = [layer for layer in layers if len(layer.call.shape) == 4 and layer.call.op in RECTIFIERS and layer.sees]
    if not rectified:
        return None
    # What sees the whole image tells no parts of it.
    partial = [layer for layer in rectified if all(2 * a <= b for a, b in zip(layer.reach, size, strict=True))]
    call = (partial or rectified[:1])[-1].call
    channels = range(min(call.shape[1], 16))
    found = strongest_activations(model, data, call.address, channels, count=6, batch_size=batch_size)
    rows = []
    for channel, best in zip(channels, found, strict=True):
        tiles = [
            fitted(image_bytes(a.region), 64, alt=f"{a.value:.3g}", title=f"image {a.image}, {a.value:.3g}")
            for a in best
            if a.value > 0
        ]
        rows.append(element("div", element("small", channel), *(tiles or [Markup("silent")])))
    said = f"For each map of {call.address} the places that excite it most, one in an image: what the unit sees there."
    return Section("strongest", "Strongest activations", said, element("div", *rows, class_="strongest"))


def image_uris(x: Tensor) -> list[str]:
    """Return images as addresses of pictures."""
    return [data_uri(image_bytes(image)) for image in x.data]


def image_bytes(image: np.ndarray) -> np.ndarray:
    """Return an image (C, H, W) of any scale as uint8: colours of three channels, else the mean as grey."""
    if len(image) == 3:
        return to_bytes(image.transpose(1, 2, 0)[None])[0]
    return to_bytes(image.mean(0)[None])[0]


def _name(classes: Sequence[str], label: Any) -> str:
    return classes[label] if 0 <= label < len(classes) else str(label)
