"""What LeNet-5 computes, how the gradients flow back, and both in one picture.

    python examples/draw_graph.py [--quick] [--folder runs/graphs]

Writes lenet5-forward, lenet5-backward and lenet5-both as .svg, .png and .dot. Round boxes are operations, square ones
tensors (yellow: a gradient is collected), frames are modules.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from tinygrad_cnn import Tensor, manual_seed
from tinygrad_cnn import functional as F
from tinygrad_cnn.models.lenet import LeNet5
from tinygrad_cnn.training.progress import announced_compilation
from tinygrad_cnn.viz import draw_graph


def main(folder: Path, formats: list[str]) -> None:
    manual_seed(0)
    model = LeNet5()
    images = Tensor(np.random.default_rng(0).random((64, 1, 28, 28), dtype=np.float32))
    labels = Tensor(np.arange(64) % 10)
    loss = F.cross_entropy(model(images), labels)

    folder.mkdir(parents=True, exist_ok=True)
    for direction in ("forward", "backward", "both"):
        # A drawing reads the graph, so it comes before loss.backward(), which frees it.
        graph = draw_graph(loss, model, direction=direction, names={"images": images, "labels": labels, "loss": loss})
        print(f"{direction}: {graph}")
        try:
            for format in formats:
                graph.save(folder / f"lenet5-{direction}.{format}")
                print(f"    {folder / f'lenet5-{direction}.{format}'}")
        except RuntimeError as error:  # no program that can draw; the text is there
            print(f"    {error}")
        print(f"    {folder / f'lenet5-{direction}.dot'}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Draw LeNet-5's forward and backward graph.")
    parser.add_argument("--quick", action="store_true", help="only .svg")
    parser.add_argument("--folder", type=Path, default=Path("runs/graphs"), help="where the pictures go")
    arguments = parser.parse_args()
    with announced_compilation():
        main(arguments.folder, ["svg"] if arguments.quick else ["svg", "png"])
