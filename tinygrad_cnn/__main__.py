"""The commands: python -m tinygrad_cnn COMMAND. Each is a parser for its arguments and a function that runs it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tinygrad_cnn import functional as F
from tinygrad_cnn import get_num_threads, no_grad
from tinygrad_cnn.bench import report, rows
from tinygrad_cnn.checks import table
from tinygrad_cnn.data import ArrayDataset
from tinygrad_cnn.data.picture import read_digit
from tinygrad_cnn.interop import latest_checkpoint, load_checkpoint
from tinygrad_cnn.models import LeNet5
from tinygrad_cnn.training.progress import announced_compilation
from tinygrad_cnn.viz import draw_graph

MODELS = {"LeNet5": LeNet5}


def predict(arguments: argparse.Namespace) -> int:
    """Classify one's own picture and show the probability of each class."""
    path = Path(arguments.checkpoint)
    checkpoint = latest_checkpoint(path) if path.is_dir() or not path.suffix else path
    config = load_checkpoint(checkpoint, generators={})["config"]
    if not isinstance(config, dict) or config.get("model") not in MODELS or "data" not in config:
        raise ValueError(f"{checkpoint}: expected a checkpoint of examples/train_mnist.py, its config is {config}")
    model = MODELS[config["model"]]()
    load_checkpoint(checkpoint, model=model, generators={})

    picture = ArrayDataset(read_digit(arguments.image)[None], np.zeros(1, np.int64), **config["data"])
    x, _ = picture[[0]]
    with no_grad():
        probabilities = F.softmax(model.eval()(x), 1).numpy()[0]
    best = probabilities.argmax()
    print(f"{arguments.image}: {picture.classes[best]} ({probabilities[best]:.1%})")
    print(f"{config['model']} trained on {picture.name}, {checkpoint}")
    width = max(map(len, picture.classes))
    for name, probability in zip(picture.classes, probabilities, strict=True):
        print(f"  {name:>{width}} {probability:6.1%} {'█' * round(40 * probability)}".rstrip())
    return 0


def draw(arguments: argparse.Namespace) -> int:
    """Draw the graph of one training step of LeNet-5: images, loss, and the way the gradients take."""
    model = LeNet5()
    images, labels = np.zeros((arguments.batch, 1, 28, 28), np.float32), np.zeros(arguments.batch, np.int64)
    graph = draw_graph(F.cross_entropy(model(images), labels), model, direction=arguments.direction)
    output = Path(arguments.output)
    output.parent.mkdir(parents=True, exist_ok=True)
    graph.save(output)
    text = output.with_suffix(".dot")
    print(f"LeNet-5, {arguments.direction}: {output}{f', the same as text: {text}' if output != text else ''}")
    return 0


def check(arguments: argparse.Namespace) -> int:
    """Compare an operation with its reference and its gradients with differences; all operations without a name."""
    passed = table.table(table.choose(arguments.op))
    forgotten = [] if arguments.op else table.without_case()
    for op in forgotten:
        print(f"{op} has no Case in tinygrad_cnn/checks/; add one")
    return 0 if passed and not forgotten else 1


def bench(arguments: argparse.Namespace) -> int:
    """Time rows of work beside PyTorch: both sides take turns in processes of their own."""
    threads = get_num_threads() if arguments.threads is None else arguments.threads
    report.check_paths(arguments.json, arguments.markdown)
    conditions, results = report.bench(rows.choose(arguments.row), arguments.turns, arguments.seconds, threads)
    if arguments.json:
        report.write_json(arguments.json, conditions, results)
    if arguments.markdown:
        report.write_markdown(arguments.markdown, conditions, results)
    return 0


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands; each sets ``run``, which takes the arguments and returns the status."""
    top = argparse.ArgumentParser(prog="python -m tinygrad_cnn", description="Tools of tinygrad_cnn.")
    commands = top.add_subparsers(metavar="COMMAND", required=True)

    command = commands.add_parser("predict", help="classify a picture of a digit with a trained network")
    command.add_argument("image", help="an image file")
    command.add_argument("--checkpoint", default="runs", help="a checkpoint, or a folder whose newest one is taken")
    command.set_defaults(run=predict)

    command = commands.add_parser("draw", help="draw the computation graph of LeNet-5")
    command.add_argument("--output", default="runs/lenet5.svg", help="a file that ends in .svg, .png or .dot")
    command.add_argument("--direction", choices=["forward", "backward", "both"], default="both")
    command.add_argument("--batch", type=int, default=32, help="images in the batch")
    command.set_defaults(run=draw)

    command = commands.add_parser("check", help="compare kernels, references and numerical gradients")
    command.add_argument("op", nargs="?", help="the name of one operation, such as conv2d; all of them by default")
    command.set_defaults(run=check)

    command = commands.add_parser("bench", help="time training steps and more, beside PyTorch where it is installed")
    command.add_argument("row", nargs="*", help=f"which rows; all by default: {', '.join(r.name for r in rows.ROWS)}")
    command.add_argument("--seconds", type=float, default=2.0, help="the length of a block")
    command.add_argument("--turns", type=int, default=5, help="blocks (or fresh processes) of each side in a row")
    command.add_argument("--threads", type=int, help="threads of each side; the usable cores by default")
    command.add_argument("--json", help="a file for all figures")
    command.add_argument("--markdown", help="a page that gets the table")
    command.set_defaults(run=bench)
    return top


def main(words: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0, 1 where a check failed, 2 where the arguments are wrong."""
    top = parser()
    arguments = top.parse_args(words)
    try:
        with announced_compilation():
            return arguments.run(arguments)
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        print(error, *getattr(error, "__notes__", ()), sep="\n", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
