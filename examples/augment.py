"""More digits than there are: each training image turned, moved and partly covered anew, and what that is worth.

    python examples/augment.py [--quick] [--output runs/augment.png]

LeNet-5 learns from a few hundred images, with and without augmentation, for as many steps; both are scored on the whole
test set. The picture shows one batch as the network sees it in several epochs.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from tinygrad_cnn import functional as F
from tinygrad_cnn import no_grad, optim
from tinygrad_cnn.data import ArrayDataset, DataLoader, mnist, synthetic_digits
from tinygrad_cnn.models import LeNet5
from tinygrad_cnn.preprocess import Compose, RandomAffine, RandomCrop, RandomErasing
from tinygrad_cnn.viz.figure import drawing_style, new_figure, save_picture

PAPER = -0.4  # about what an empty pixel is after normalisation
AUGMENT = Compose(
    RandomAffine(10, scale=(0.9, 1.1), fill=PAPER),
    RandomCrop(28, padding=2, fill=PAPER),
    RandomErasing(0.25, scale=(0.02, 0.1), value=PAPER),
)  # no mirror images: digits do not have them


def accuracy(few: ArrayDataset, test: ArrayDataset, transform: Compose | None, steps: int) -> float:
    """Train on a few images and return the share of test images that are classified rightly."""
    generator = np.random.default_rng(0)
    model = LeNet5(generator=generator)
    optimizer = optim.Adam(model.parameters(), 0.002)
    loader = DataLoader(few, 50, shuffle=True, generator=generator, transform=transform)
    for _ in range(steps // len(loader)):
        for x, labels in loader:
            loss = F.cross_entropy(model(x), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with no_grad():
        right = sum((np.asarray(model(x)).argmax(1) == labels).sum() for x, labels in DataLoader(test, 500))
    return float(right / len(test))


def main(quick: bool, output: Path) -> None:
    train, test = (synthetic_digits(200), synthetic_digits(500, 1)) if quick else (mnist("train"), mnist("test"))
    few = ArrayDataset(train.images[:500], train.labels[:500], **train.description)
    print(f"{len(few)} training images of {train.name}, {len(test):,} test images")
    for name, transform in (("without", None), ("with", AUGMENT)):
        print(f"{name} augmentation: {accuracy(few, test, transform, 20 if quick else 2000):.2%} right")

    loader = DataLoader(few, 10, transform=AUGMENT, generator=np.random.default_rng(0))
    rows = [few[:10][0], *(next(iter(loader))[0] for _ in range(4))]
    with drawing_style():
        figure = new_figure(5, 2.9, f"{few.name}: ten images, and as they are seen in four epochs")
        axis = figure.subplots()
        axis.imshow(np.vstack([np.hstack(images[:, 0]) for images in rows]), cmap="gray")
        axis.set_axis_off()
        output.parent.mkdir(parents=True, exist_ok=True)
        save_picture(figure, output)
    print(output)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="synthetic digits and a few steps")
    parser.add_argument("--output", type=Path, default=Path("runs/augment.png"), help="the picture")
    arguments = parser.parse_args()
    main(arguments.quick, arguments.output)
