"""What LeNet-5 computes, how the gradients flow back, and both in one picture; LeNet-5 and ResNet-50 by module.

    python examples/draw_graph.py [--quick] [--folder runs/graphs] [--checkpoint runs/mnist-seed0]

Writes lenet5-forward, lenet5-backward, lenet5-both, lenet5-modules and resnet50 as .svg, .png and .dot. Round boxes are
operations, square ones tensors (yellow: a gradient is collected), frames are modules. A checkpoint of train_mnist.py
makes lenet5-modules show what a trained network sees.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from tinygrad_cnn import Tensor, manual_seed, trace
from tinygrad_cnn import functional as F
from tinygrad_cnn.analysis import record_calls
from tinygrad_cnn.data import synthetic_digits
from tinygrad_cnn.interop import latest_checkpoint, load_checkpoint
from tinygrad_cnn.models import LeNet5, resnet50
from tinygrad_cnn.training.progress import announced_compilation
from tinygrad_cnn.viz import Graph, draw_graph


def save(graph: Graph, name: str, folder: Path, formats: list[str]) -> None:
    print(f"{name}: {graph}")
    try:
        for format in formats:
            graph.save(folder / f"{name}.{format}")
            print(f"    {folder / f'{name}.{format}'}")
    except RuntimeError as error:  # no program that can draw; the text is there
        print(f"    {error}")
    print(f"    {folder / f'{name}.dot'}")


def main(folder: Path, formats: list[str], checkpoint: Path | None, size: int) -> None:
    manual_seed(0)
    model = LeNet5()
    images = Tensor(np.random.default_rng(0).random((64, 1, 28, 28), dtype=np.float32))
    labels = Tensor(np.arange(64) % 10)
    loss = F.cross_entropy(model(images), labels)
    folder.mkdir(parents=True, exist_ok=True)
    for direction in ("forward", "backward", "both"):
        # A drawing reads the graph, so it comes before loss.backward(), which frees it.
        graph = draw_graph(loss, model, direction=direction, names={"images": images, "labels": labels, "loss": loss})
        save(graph, f"lenet5-{direction}", folder, formats)

    if checkpoint is not None:
        load_checkpoint(latest_checkpoint(checkpoint), model=model, generators={})
    digit, label = synthetic_digits(8, seed=1)[[3]]
    with trace(model) as t:
        F.cross_entropy(model(Tensor(digit)), label)
    show = ["multiply_adds", "receptive_field", "gradients", "thumbnails"]
    save(draw_graph(t, depth=2, show=show), "lenet5-modules", folder, formats)

    image = Tensor(np.zeros((1, 3, size, size), np.float32))
    calls = record_calls(resnet50(), image)  # without gradients: there is nothing to be kept for them
    save(draw_graph(calls, depth=2, show=["multiply_adds", "receptive_field"]), "resnet50", folder, formats)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Draw the graphs of LeNet-5 and ResNet-50.")
    parser.add_argument("--quick", action="store_true", help="only .svg, and a small image for ResNet-50")
    parser.add_argument("--folder", type=Path, default=Path("runs/graphs"), help="where the pictures go")
    parser.add_argument("--checkpoint", type=Path, help="the folder of a trained LeNet-5")
    arguments = parser.parse_args()
    quick = arguments.quick
    with announced_compilation():
        main(arguments.folder, ["svg"] if quick else ["svg", "png"], arguments.checkpoint, 64 if quick else 224)
