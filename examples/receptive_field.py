"""What one unit of a network sees: the box that it can see, and how much each pixel in it matters.

    python examples/receptive_field.py [--quick] [--address features.4] [--unit 6 5] [--output runs/receptive_field.png]

EfficientNet-Lite0 looks at a photograph. Of the pixels that a unit can see, few act on it noticeably: the effective
receptive field (Luo et al., 2016) is much smaller than the theoretical one. With --quick, LeNet-5 looks at a digit.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from tinygrad_cnn import data, hub
from tinygrad_cnn.analysis import effective_field
from tinygrad_cnn.models import LeNet5
from tinygrad_cnn.viz import save_receptive_field


def photograph():
    """Return EfficientNet-Lite0, a cat as it sees it, and which unit is asked."""
    return hub.efficientnet_lite0(), hub.imagenet_input(hub.photograph("chelsea")), "features.4", (6, 5)


def digit():
    """Return LeNet-5 as it is before training, a digit, and which unit is asked."""
    return LeNet5(generator=np.random.default_rng(0)), data.synthetic_digits(1)[:1][0], "features.pool2", (2, 1)


def main(quick, address, unit, output):
    """Print how the field comes about, and draw it."""
    model, images, usual, middle = digit() if quick else photograph()
    found = effective_field(model, address or usual, images, unit=tuple(unit or middle))
    field, unit = found.field, found.unit
    print(field.steps())
    print(f"\nunit {unit} of {field.address} sees rows and columns {field.box(*unit)}")
    for edge in ("top", "left"):
        path = field.path(*unit, edge=edge)
        print(f"its {edge} edge is seen through {len(path)} operations: {', '.join(path[:3])}, ...")
    pixel = tuple(round(centre) for centre in field.centre(*unit))
    rows, columns = field.map_size
    print(f"pixel {pixel} in its middle is seen by {field.units(pixel).sum()} of {rows * columns} units")
    print(f"as a square: {found}")
    output.parent.mkdir(parents=True, exist_ok=True)
    save_receptive_field(output, images[0], field, unit, found)
    print(output)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="LeNet-5 and a synthetic digit, a second")
    parser.add_argument("--address", help="of the layer")
    parser.add_argument("--unit", type=int, nargs=2, metavar=("ROW", "COLUMN"))
    parser.add_argument("--output", type=Path, default=Path("runs/receptive_field.png"), help="the picture")
    main(**vars(parser.parse_args()))
