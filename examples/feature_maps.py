"""What LeNet-5 makes of a digit: its filters, the maps of every layer, and what excites its units most.

    python examples/feature_maps.py [--quick] [--folder runs/features]

Trains LeNet-5 for one epoch, then writes filters.png, feature-maps.png and strongest.png, and prints how sparse each
layer is and which units are dead.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from tinygrad_cnn import functional as F
from tinygrad_cnn import manual_seed, optim
from tinygrad_cnn.analysis import activities, record_calls, strongest_activations
from tinygrad_cnn.data import DataLoader, Dataset, mnist, synthetic_digits
from tinygrad_cnn.models import LeNet5
from tinygrad_cnn.viz import filter_image, save_feature_maps, save_png, strongest_image

LAYERS = ("features.relu1", "features.pool1", "features.relu2", "features.pool2", "classifier.relu1", "classifier.fc3")


def trained(dataset: Dataset, batch_size: int) -> LeNet5:
    """Return LeNet-5 after one epoch."""
    model = LeNet5()
    optimizer = optim.Adam(model.parameters(), lr=0.002)
    for x, labels in DataLoader(dataset, batch_size, shuffle=True):
        loss = F.cross_entropy(model(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


def main(quick: bool, folder: Path) -> None:
    manual_seed(0)
    train, test = (synthetic_digits(2000), synthetic_digits(300, 1)) if quick else (mnist("train"), mnist("test"))
    model = trained(train, 16 if quick else 64)
    folder.mkdir(parents=True, exist_ok=True)

    save_png(filter_image(model.features.conv1, scale=16), folder / "filters.png")

    # The maps of any address, without hooks: nothing in the model changes.
    three = int(np.flatnonzero(test.labels == 3)[0])
    t = record_calls(model, test[[three]][0])
    title = f"LeNet-5 looks at a 3 of {test.name}"
    save_feature_maps([t[name] for name in LAYERS], folder / "feature-maps.png", title)

    print(activities(model, test))

    # From the strongest activations back to the pixels that caused them: one row for a unit.
    found = strongest_activations(model, test, "features.relu2", range(8), count=10)
    save_png(strongest_image(found), folder / "strongest.png")
    for channel, row in enumerate(found[:3]):
        print(f"features.relu2, channel {channel}: {row[0]}")
    for name in ("filters.png", "feature-maps.png", "strongest.png"):
        print(folder / name)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="synthetic digits, a few seconds")
    parser.add_argument("--folder", type=Path, default=Path("runs/features"), help="where the pictures go")
    arguments = parser.parse_args()
    main(arguments.quick, arguments.folder)
