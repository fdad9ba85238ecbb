"""A first gradient: one neuron, the chain rule by hand and by machine, and a few steps downhill.

    python examples/hello_gradient.py [--quick]

The neuron computes y = tanh(w x + b) and should answer 0.8. Its loss is (y - 0.8)^2.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from tinygrad_cnn import Tensor, no_grad
from tinygrad_cnn import functional as F
from tinygrad_cnn.viz import draw_graph

X, WANTED = 1.5, 0.8


def by_hand(w: float, b: float) -> tuple[float, float]:
    """The chain rule, link by link: loss <- y <- z = w x + b <- w and b."""
    y = np.tanh(w * X + b)
    dloss_dy = 2 * (y - WANTED)
    dy_dz = 1 - y**2
    return dloss_dy * dy_dz * X, dloss_dy * dy_dz


def main(steps: int, picture: Path) -> None:
    w = Tensor(0.3, requires_grad=True)
    b = Tensor(-0.1, requires_grad=True)

    def neuron() -> tuple[Tensor, Tensor]:
        y = F.tanh(w * X + b)
        return y, (y - WANTED) ** 2

    y, loss = neuron()
    picture.parent.mkdir(parents=True, exist_ok=True)
    try:
        draw_graph(loss, direction="both", names={"w": w, "b": b, "y": y, "loss": loss}).save(picture)
        print(f"the graph of the loss: {picture}")
    except RuntimeError as error:  # no program that can draw; the text is there
        print(error)
    print(f"the same as text: {picture.with_suffix('.dot')}")

    loss.backward()
    hand_w, hand_b = by_hand(0.3, -0.1)
    print(f"d loss / d w   by machine {w.grad.item():+.6f}   by hand {hand_w:+.6f}")
    print(f"d loss / d b   by machine {b.grad.item():+.6f}   by hand {hand_b:+.6f}")

    for step in range(1, steps + 1):
        for parameter in (w, b):
            parameter.zero_grad()
        y, loss = neuron()
        loss.backward()
        with no_grad():  # the update itself is not part of the graph
            for parameter in (w, b):
                parameter -= 0.25 * parameter.grad
        if step in (1, 2, 5, 10, 20):
            print(f"step {step:2}: y = {y.item():.4f}, loss = {loss.item():.6f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A first gradient.")
    parser.add_argument("--quick", action="store_true", help="5 steps instead of 20")
    parser.add_argument("--picture", type=Path, default=Path("runs/hello_gradient.svg"), help="where to draw the graph")
    arguments = parser.parse_args()
    main(5 if arguments.quick else 20, arguments.picture)
