"""Where a network looks: Grad-CAM of two photographs, each for the class that EfficientNet-Lite0 takes it for.

    python examples/grad_cam.py [--quick] [--output runs/grad_cam.png] [picture ...]

The maps have 7 x 7 places, one for 32 x 32 pixels; over the photographs they are resized. With --quick, a small network
is trained on synthetic digits for a moment, and asked about six of them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from tinygrad_cnn import data, hub, no_grad, optim
from tinygrad_cnn import functional as F
from tinygrad_cnn.attribution import grad_cam
from tinygrad_cnn.models import LeNet5
from tinygrad_cnn.viz import image_grid, overlay, save_png
from tinygrad_cnn.viz.overlay import rgb

COUNT = 2  # classes that are explained for each photograph


def photographs(pictures):
    """Return EfficientNet-Lite0, the names of its classes, and photographs as it sees them."""
    shown = [hub.read_photograph(path) for path in pictures] or [hub.photograph(n) for n in ("coffee", "chelsea")]
    return hub.efficientnet_lite0(), hub.imagenet_classes(), np.concatenate([hub.imagenet_input(one) for one in shown])


def digits():
    """Return a network that has learned a little, the names of its classes, and six digits."""
    generator = np.random.default_rng(0)
    digits, model = data.synthetic_digits(600), LeNet5(generator=generator)
    optimizer = optim.Adam(model.parameters(), 0.003)
    for _ in range(3):
        for x, labels in data.DataLoader(digits, 30, shuffle=True, generator=generator):
            loss = F.cross_entropy(model(x), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model, digits.classes, digits[:6][0]


def main(quick, pictures, output):
    """Print the classes, and write a row for each image: itself, then the maps of its classes."""
    model, names, images = digits() if quick else photographs(pictures)
    with no_grad():
        chances = F.softmax(model.eval()(images), 1).numpy()
    best = chances.argsort(1)[:, ::-1][:, :COUNT]  # (N, COUNT)
    found = grad_cam(model, images, best.T)  # each image's best class, then its second: (COUNT, N, h, w)
    rows = []
    for n, (image, maps) in enumerate(zip(images, found.upsampled().swapaxes(0, 1), strict=True)):
        rows += [rgb(image), *(overlay(image, heat) for heat in maps)]
        for label, heat in zip(best[n], maps, strict=True):
            row, column = np.unravel_index(heat.argmax(), heat.shape)
            print(f"image {n}: {names[label]} {chances[n, label]:.0%}, hottest at row {row}, column {column}")
    output.parent.mkdir(parents=True, exist_ok=True)
    save_png(image_grid(np.stack(rows), columns=1 + COUNT, gap=4), output)
    print(output)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="synthetic digits, a few seconds")
    parser.add_argument("--output", type=Path, default=Path("runs/grad_cam.png"), help="the picture, a PNG")
    parser.add_argument("pictures", nargs="*", help="photographs of your own")
    main(**vars(parser.parse_args()))
