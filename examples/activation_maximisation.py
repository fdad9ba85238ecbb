"""What a network imagines: the image that excites a class most, with restraint and without.

    python examples/activation_maximisation.py [--model lenet5] [--quick] [--output runs/activation_maximisation.png]

EfficientNet-Lite0 is asked for four classes of photographs (a minute), or LeNet-5, as `make train-mnist` has left it,
for the ten digits. With --quick, LeNet-5 learns synthetic digits for a moment.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from tinygrad_cnn import data, hub, optim
from tinygrad_cnn import functional as F
from tinygrad_cnn.attribution import maximize_activation
from tinygrad_cnn.interop import latest_checkpoint, load_checkpoint
from tinygrad_cnn.models import LeNet5
from tinygrad_cnn.viz import image_grid, save_png

FREE = {"l2": 0.0, "blur": 0.0, "jitter": 0}
HELD = {"lenet5": {}, "efficientnet": {"rate": 0.05, "l2": 0.0, "blur": 1.0, "jitter": 24}}  # {}: the defaults
PICTURED = [130, 985, 417, 967]  # flamingo, daisy, balloon, espresso


def trained_for_a_moment(digits):
    """Return LeNet-5 after three epochs of a few digits."""
    generator = np.random.default_rng(0)
    model = LeNet5(generator=generator)
    optimizer = optim.Adam(model.parameters(), 0.003)
    for _ in range(3):
        for x, labels in data.DataLoader(digits, 30, shuffle=True, generator=generator):
            loss = F.cross_entropy(model(x), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model


def chosen(name, quick):
    """Return the network, the size of its images, what black and white are to it, the classes and their names."""
    if name == "efficientnet" and not quick:
        return hub.efficientnet_lite0(), (3, 192, 192), (-1.0, 1.0), PICTURED, hub.imagenet_classes()
    digits = data.synthetic_digits(600) if quick else data.mnist("test")
    model = trained_for_a_moment(digits) if quick else LeNet5()
    if not quick:
        load_checkpoint(latest_checkpoint("runs/mnist-seed0"), model=model, generators={})
    black, white = ((value - digits.mean) / digits.std for value in (0, 1))
    return model, (1, 28, 28), (black.item(), white.item()), list(range(10)), digits.classes


def main(model, quick, output):
    """Print how far each class rises, and write a row of images without restraint and one with it."""
    settings = HELD["lenet5" if quick else model]
    network, size, bounds, labels, names = chosen(model, quick)
    rows = []
    for restraint, which in ((FREE, "without restraint"), (settings, "with restraint")):
        found = maximize_activation(network, size, labels, steps=50 if quick else 200, bounds=bounds, **restraint)
        for label, first, last in zip(labels, found.activations[0], found.activations[-1], strict=True):
            print(f"{which}: {names[label]} from {first:.1f} to {last:.1f}")
        spread = 4 * found.images.std((1, 2, 3), keepdims=True)  # shown: four standard deviations on both sides
        shades = 0.5 + 0.5 * (found.images - found.images.mean((1, 2, 3), keepdims=True)) / spread
        rows.append((255 * shades.clip(0, 1)).astype(np.uint8).transpose(0, 2, 3, 1))
    images = np.concatenate(rows)
    output.parent.mkdir(parents=True, exist_ok=True)
    scale = 3 if images.shape[3] == 1 else 1
    save_png(image_grid(np.squeeze(images), columns=len(labels), scale=scale, gap=3), output)
    print(output)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=list(HELD), default="efficientnet")
    parser.add_argument("--quick", action="store_true", help="LeNet-5 and synthetic digits, a few seconds")
    parser.add_argument("--output", type=Path, default=Path("runs/activation_maximisation.png"), help="a PNG")
    main(**vars(parser.parse_args()))
