"""The pictures of docs/attribution.md: python docs/pictures/attribution.py [FOLDER].

Needs what `make train-mnist` leaves in runs/, the weights of EfficientNet-Lite0 and Pillow. Each picture has a row for
the trained network and one for the same network with the weights of every layer shuffled. Printed is how much the ranks
of the pixels in both have in common (Spearman's correlation): near 1, a method does not look at the weights.
"""

from __future__ import annotations

import copy
import runpy
import sys
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image

from tinygrad_cnn import attribution, data, hub, nn
from tinygrad_cnn.attribution import Attribution
from tinygrad_cnn.interop import latest_checkpoint, load_checkpoint
from tinygrad_cnn.models import LeNet5
from tinygrad_cnn.viz import heat_colours, overlay, signed_colours
from tinygrad_cnn.viz.figure import drawing_style, new_figure
from tinygrad_cnn.viz.overlay import rgb

SIGNED = ("gradient_x_input", "integrated_gradients", "occlusion")  # whose maps tell for from against
Query = Callable[[nn.Module, np.ndarray, int], Attribution]


def methods(layer: str | None, early: str, window: int, fill: float) -> dict[str, Query]:
    """Return the methods of a picture by their titles."""
    return {
        "saliency": attribution.saliency,
        "gradient x input": attribution.gradient_x_input,
        "integrated gradients": lambda m, x, t: attribution.integrated_gradients(m, x, t, baseline=fill),
        "SmoothGrad": attribution.smooth_grad,
        "guided backprop": attribution.guided_backprop,
        "deconvnet": attribution.deconvnet,
        "occlusion": lambda m, x, t: attribution.occlusion(m, x, t, size=window, stride=max(1, window // 4), fill=fill),
        "Grad-CAM": lambda m, x, t: attribution.grad_cam(m, x, t, layer),
        "Grad-CAM++": lambda m, x, t: attribution.grad_cam_pp(m, x, t, layer),
        "LayerCAM": lambda m, x, t: attribution.layer_cam(m, x, t, layer),
        "LayerCAM, earlier": lambda m, x, t: attribution.layer_cam(m, x, t, early),
    }


def shuffled(model: nn.Module) -> nn.Module:
    """Return a copy whose filters and matrices have their own numbers in another order."""
    model, generator = copy.deepcopy(model), np.random.default_rng(0)
    for p in model.parameters():
        if p.ndim > 1:
            p.data = generator.permutation(p.data.ravel()).reshape(p.shape)
    return model


def picture(found: Attribution, image: np.ndarray) -> np.ndarray:
    """Return a map as colours: over the image in grey where its places are larger than pixels."""
    if found.method in SIGNED:
        return signed_colours(np.clip(found.map[0], *np.quantile(abs(found.map[0]), 0.995) * np.array([-1, 1])))
    if found.map.shape[1:] != found.image_size:
        return overlay(image, found.upsampled()[0])
    return heat_colours(found.map[0] / np.quantile(found.map[0], 0.995))


def ranks(found: Attribution) -> np.ndarray:
    """Return the rank of the size of every number of a map; equal numbers share the mean of theirs."""
    size = abs(found.map[0] if found.method in SIGNED else found.rectified[0]).ravel()
    _, place, counts = np.unique(size, return_inverse=True, return_counts=True)
    return (counts.cumsum() - counts / 2)[place]


def draw(title: str, model: nn.Module, image: np.ndarray, label: int, queries: dict[str, Query]) -> bytes:
    """Return a picture of all methods on the trained network and on the shuffled one, as a PNG."""
    with drawing_style():
        figure = new_figure(9.6, 7.2, title)
        rows = {"trained": [rgb(image)], "the same network, its weights shuffled": [rgb(image)]}
        for name, query in queries.items():
            found = [query(one, image[None], label) for one in (model, shuffled(model))]
            print(f"{title}: {name} {np.corrcoef(*map(ranks, found))[0, 1]:.2f}", flush=True)
            for row, one in zip(rows.values(), found, strict=True):
                row.append(picture(one, image))
        for part, (text, shown) in zip(figure.subfigures(2), rows.items(), strict=True):
            part.suptitle(text, fontsize=10, x=0.01, ha="left")
            for axis, name, pixels in zip(part.subplots(2, 6).ravel(), ["image", *queries], shown, strict=True):
                axis.imshow(pixels)
                axis.set_axis_off()
                axis.set_title(name, fontsize=8, pad=3)
        content = BytesIO()
        figure.savefig(content, format="png", dpi=80)
    small = BytesIO()
    Image.open(content).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(small, "png", optimize=True)
    return small.getvalue()


def of_example(name: str, **arguments: Any) -> bytes:
    """Return the picture that an example writes: a PNG where it is grey, a JPEG where it has colours."""
    with TemporaryDirectory() as folder:
        output = Path(folder) / "picture.png"
        script = Path(__file__).parents[2] / "examples" / f"{name}.py"
        runpy.run_path(str(script))["main"](quick=False, output=output, **arguments)
        if Image.open(output).mode == "L":
            return output.read_bytes()
        small = BytesIO()
        Image.open(output).save(small, "jpeg", quality=85, optimize=True)
    return small.getvalue()


def pictures() -> Iterator[tuple[str, bytes]]:
    """Yield the names of the pictures, and the pictures."""
    yield "grad_cam.jpg", of_example("grad_cam", pictures=[])
    yield "maximised-lenet5.png", of_example("activation_maximisation", model="lenet5")
    yield "maximised-efficientnet.jpg", of_example("activation_maximisation", model="efficientnet")
    digits, lenet = data.mnist("test"), LeNet5()
    load_checkpoint(latest_checkpoint("runs/mnist-seed0"), model=lenet, generators={})
    image, label = digits[18]
    queries = methods("features.relu2", "features.relu1", 5, float(image.min()))
    yield "attribution-digit.png", draw(f"LeNet-5: why a {label}?", lenet, image, label, queries)
    coffee = hub.imagenet_input(hub.photograph("coffee"))[0]
    queries = methods(None, "features.4", 48, 0.0)
    title = "EfficientNet-Lite0: why an espresso?"
    yield "attribution-photograph.png", draw(title, hub.efficientnet_lite0(), coffee, 967, queries)


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent)
    for name, content in pictures():
        (folder / name).write_bytes(content)
        print(folder / name, f"{len(content):,} bytes")
