"""Everything about LeNet-5 and what it does with digits, in one HTML file that opens anywhere.

    python examples/html_report.py [--quick] [--output runs/report.html]

Trains LeNet-5 for one epoch and writes the report on the test set: layers, graph, feature maps (point at a unit or at a
pixel), filters, dead units, strongest activations, confusion matrix and the worst mistakes with their Grad-CAM.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from tinygrad_cnn import functional as F
from tinygrad_cnn import manual_seed, optim
from tinygrad_cnn.data import DataLoader, Dataset, mnist, synthetic_digits
from tinygrad_cnn.models import LeNet5
from tinygrad_cnn.report import report


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


def main(quick: bool, output: Path) -> None:
    manual_seed(0)
    train, test = (synthetic_digits(1000), synthetic_digits(200, 1)) if quick else (mnist("train"), mnist("test"))
    model = trained(train, 16 if quick else 64)
    first = [int(np.flatnonzero(test.labels == label)[0]) for label in range(10)]  # a digit of each class
    output.parent.mkdir(parents=True, exist_ok=True)
    path = report(model, test, output, title="LeNet-5", images=first)
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB; open it in any browser")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="synthetic digits, a few seconds")
    parser.add_argument("--output", type=Path, default=Path("runs/report.html"), help="the file")
    arguments = parser.parse_args()
    main(arguments.quick, arguments.output)
