"""What each step of preprocessing does to digits: a row for each, and how much neighbouring pixels still tell.

    python examples/preprocess.py [--quick] [--output runs/preprocess.png]

Everything is fitted to the training images and shown on test images. Whitened digits are edges: what a pixel's
neighbours already say is gone.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from tinygrad_cnn.data import mnist, synthetic_digits
from tinygrad_cnn.preprocess import Decorrelate, MeanCenter, Normalize, Whiten
from tinygrad_cnn.viz.figure import drawing_style, new_figure, save_picture

STEPS = {
    "mean subtracted": MeanCenter(),
    "normalised": Normalize(),
    "decorrelated (PCA)": Decorrelate(),
    "whitened (PCA)": Whiten("pca", eps=0.01),
    "whitened (ZCA)": Whiten("zca", eps=0.01),
    "whitened (ZCA), eps 1": Whiten("zca", eps=1),
}
COLUMNS = 8


def correlation(images: np.ndarray) -> float:
    """Return the mean |correlation| of numbers beside each other in the middle rows."""
    z = images.reshape(len(images), 28, 28)[:, 10:18, 6:22]
    pairs = zip(z[:, :, :-1].reshape(len(z), -1).T, z[:, :, 1:].reshape(len(z), -1).T, strict=True)
    return float(np.mean([abs(np.corrcoef(a, b)[0, 1]) for a, b in pairs]))


def main(quick: bool, output: Path) -> None:
    train, test = (synthetic_digits(1000), synthetic_digits(200, 1)) if quick else (mnist("train"), mnist("test"))
    x, shown = train.images / np.float32(255), test.images / np.float32(255)
    print(f"fitted to {len(x):,} images of {train.name}")
    rows = {"original": shown}
    for name, step in STEPS.items():
        rows[name] = step.fit(x).transform(shown)
        back = abs(step.inverse_transform(rows[name]) - shown).max()
        print(f"{name:22} neighbours correlate {correlation(rows[name]):.2f}, inverse off by {back:.0e}")

    with drawing_style():
        figure = new_figure(3.6, 4.8, f"Preprocessing of {test.name}")
        for axis, (name, images) in zip(figure.subplots(len(rows)), rows.items(), strict=True):
            strip = np.hstack(images[:COLUMNS].reshape(-1, 28, 28))
            limit = np.quantile(abs(strip), 0.99)
            axis.imshow(
                strip, cmap="gray", interpolation="nearest", vmin=0 if name == "original" else -limit, vmax=limit
            )
            axis.set_axis_off()
            axis.set_title(name, loc="left", fontsize=8, pad=2)
        output.parent.mkdir(parents=True, exist_ok=True)
        save_picture(figure, output)
    print(output)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="synthetic digits, a few seconds")
    parser.add_argument("--output", type=Path, default=Path("runs/preprocess.png"), help="the picture")
    arguments = parser.parse_args()
    main(arguments.quick, arguments.output)
