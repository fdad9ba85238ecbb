"""The commands: python -m tinygrad_cnn COMMAND. Each is a parser for its arguments and a function that runs it."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from inspect import signature
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from tinygrad_cnn import Tensor, get_num_threads, hub, models, no_grad, trace
from tinygrad_cnn import functional as F
from tinygrad_cnn.analysis import summary
from tinygrad_cnn.bench import report, rows
from tinygrad_cnn.calls import sample_input
from tinygrad_cnn.checks import table, warmup
from tinygrad_cnn.data import ArrayDataset
from tinygrad_cnn.data.picture import read_digit
from tinygrad_cnn.interop import latest_checkpoint, load_checkpoint
from tinygrad_cnn.kernels.geometry import whole
from tinygrad_cnn.models import LeNet5
from tinygrad_cnn.training.progress import announced_compilation
from tinygrad_cnn.viz import draw_graph

MODELS = {"LeNet5": LeNet5}
SIZES = {"LeNet5": "1,28,28", "LeNet5_1998": "1,32,32", "SimpleConvNet": "1,28,28", "SPPHead": "256,13,13"}


def predict(arguments: argparse.Namespace) -> int:
    """Classify one's own picture and show the probability of each class."""
    if arguments.model:
        return predict_photograph(arguments.image)
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
    show(picture.classes, probabilities)
    return 0


def predict_photograph(path: str) -> int:
    """Classify a photograph with EfficientNet-Lite0 and show the five classes of ImageNet that are likeliest."""
    x = hub.imagenet_input(hub.read_photograph(path))
    model, names = hub.efficientnet_lite0().eval(), hub.imagenet_classes()
    with no_grad():
        probabilities = F.softmax(model(x), 1).numpy()[0]
    best = np.argsort(-probabilities)[:5]
    print(f"{path}: {names[best[0]]} ({probabilities[best[0]]:.1%})")
    print("EfficientNet-Lite0 trained on ImageNet, 1,000 classes")
    show([names[label] for label in best], probabilities[best])
    return 0


def show(names: Sequence[str], probabilities: np.ndarray) -> None:
    """Print a bar for each class."""
    width = max(map(len, names))
    for name, probability in zip(names, probabilities, strict=True):
        print(f"  {name:>{width}} {probability:6.1%} {'█' * round(40 * probability)}".rstrip())


def draw(arguments: argparse.Namespace) -> int:
    """Draw the graph of one training step of a network: images, loss, and the way the gradients take."""
    model = _network("draw", arguments.network)()
    size = _sizes("draw", arguments.input, model)
    count = arguments.batch if arguments.batch is not None else 32 if isinstance(model, LeNet5) else 2
    whole("draw", "--batch", count, 1)
    images = sample_input("draw", model, size, count, np.random.default_rng(0))
    with trace(model) as t:
        scores = model(images)
        if isinstance(scores, Tensor) and scores.ndim == 2:
            F.cross_entropy(scores, np.zeros(count, np.int64))
    show = ["multiply_adds", "receptive_field", *arguments.show]
    graph = draw_graph(t, direction=arguments.direction, depth=arguments.depth, show=show)
    output = Path(arguments.output or f"runs/{arguments.network.lower()}.svg")
    output.parent.mkdir(parents=True, exist_ok=True)
    graph.save(output)
    text = output.with_suffix(".dot")
    same = f", the same as text: {text}" if output != text else ""
    print(f"{type(model).__name__}, {arguments.direction}: {output}{same}")
    return 0


def summarize(arguments: argparse.Namespace) -> int:
    """Show the layers of a classic network with their sizes and costs."""
    model = _network("summary", arguments.network)()
    print(summary(model, _sizes("summary", arguments.input, model)))
    return 0


def _network(command: str, name: str) -> Callable[[], Any]:
    networks = {known.lower(): getattr(models, known) for known in models.__all__}
    networks = {known: network for known, network in networks.items() if _takes_one_image(network)}
    for known, network in networks.items():
        if known.replace("_", "") == name.lower().replace("_", ""):  # efficientnet_lite0, as in hub, too
            return network
    raise ValueError(f"{command}: no network {name!r}; there are {', '.join(sorted(networks))}")


def _sizes(command: str, text: str | None, model: object) -> list[int]:
    text = SIZES.get(type(model).__name__, "3,224,224") if text is None else text
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"{command}: --input takes sizes such as 1,28,28, got {text!r}") from None


def _takes_one_image(network: Callable[..., Any]) -> bool:
    if any(p.default is p.empty for p in signature(network).parameters.values()):
        return False
    forward = getattr(network, "forward", None)  # of a class
    return forward is None or len(signature(forward).parameters) == 2  # self and the image


def check(arguments: argparse.Namespace) -> int:
    """Compare an operation with its reference and its gradients with differences; all operations without a name."""
    passed = table.table(table.choose(arguments.op))
    forgotten = [] if arguments.op else table.without_case()
    for op in forgotten:
        print(f"{op} has no Case in tinygrad_cnn/checks/; add one")
    return 0 if passed and not forgotten else 1


def warm_up(arguments: argparse.Namespace) -> int:
    """Compile every kernel, so that no training waits for it; say where they are kept."""
    if arguments.clear:
        print(f"removed the kernels of {len(warmup.clear())} other versions")
    start = perf_counter()
    left = warmup.warm_up(arguments.dtype)
    folder, files, size = warmup.cached()
    print(f"kernels for {arguments.dtype} are ready ({perf_counter() - start:.1f} s)")
    print(f"{folder}: {files} files, {size / 1e6:.1f} MB")
    for kernel in left:
        print(f"{kernel.__name__} of {kernel.__module__} was not reached; add a call to tinygrad_cnn/checks/warmup.py")
    return 1 if left else 0


def bench(arguments: argparse.Namespace) -> int:
    """Time rows of work beside PyTorch and others: the sides take turns in processes of their own."""
    threads = get_num_threads() if arguments.threads is None else arguments.threads
    chosen = rows.choose(arguments.row)
    if arguments.list:
        for row in chosen:
            print(f"{row.group:13} {row.name:33} {row.title}")
        return 0
    if arguments.save:
        report.check_place(arguments.save, chosen)
    turns, seconds = (1, 0.2) if arguments.quick else (arguments.turns, arguments.seconds)
    conditions, results = report.bench(chosen, turns, seconds, threads)
    if arguments.save:
        report.save(arguments.save, conditions, results)
    return 0


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands; each sets ``run``, which takes the arguments and returns the status."""
    top = argparse.ArgumentParser(prog="python -m tinygrad_cnn", description="Tools of tinygrad_cnn.")
    commands = top.add_subparsers(metavar="COMMAND", required=True)

    command = commands.add_parser("predict", help="classify a picture of a digit, or a photograph")
    command.add_argument("image", help="an image file")
    command.add_argument("--model", choices=["efficientnet_lite0"], help="for photographs: pretrained, downloaded once")
    command.add_argument("--checkpoint", default="runs", help="a checkpoint, or a folder whose newest one is taken")
    command.set_defaults(run=predict)

    command = commands.add_parser("draw", help="draw the computation graph of a network")
    command.add_argument("network", nargs="?", default="lenet5", help="one of tinygrad_cnn.models; lenet5 by default")
    command.add_argument("--output", help="a file that ends in .svg, .png or .dot; runs/NETWORK.svg by default")
    command.add_argument("--direction", choices=["forward", "backward", "both"], default="both")
    command.add_argument("--depth", type=int, help="draw modules nested this deep as one box each")
    command.add_argument("--show", nargs="+", default=[], metavar="FACT", help="time, memory, gradients, thumbnails")
    command.add_argument("--batch", type=int, help="images in the batch: 32 for lenet5 by default, else 2")
    command.add_argument("--input", help="the size of one image: by default what the network is made for")
    command.set_defaults(run=draw)

    command = commands.add_parser("summary", help="show the layers of a network: sizes, costs, what a unit sees")
    command.add_argument("network", help="one of tinygrad_cnn.models, such as lenet5, vgg16 or resnet50")
    command.add_argument(
        "--input", help="the size of one image, channels,height,width: by default what the network is made for"
    )
    command.set_defaults(run=summarize)

    command = commands.add_parser("check", help="compare kernels, references and numerical gradients")
    command.add_argument("op", nargs="?", help="the name of one operation, such as conv2d; all of them by default")
    command.set_defaults(run=check)

    command = commands.add_parser("warmup", help="compile every kernel now, so that no training waits for it")
    command.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    command.add_argument("--clear", action="store_true", help="first remove the kernels of other versions")
    command.set_defaults(run=warm_up)

    command = commands.add_parser("bench", help="time training steps and more, beside PyTorch where it is installed")
    command.add_argument("row", nargs="*", help="rows or groups of rows; all by default")
    command.add_argument("--list", action="store_true", help="name the rows instead, by group")
    command.add_argument("--seconds", type=float, default=2.0, help="the length of a side's turn")
    command.add_argument("--turns", type=int, default=3, help="turns (or fresh processes) of each side")
    command.add_argument("--quick", action="store_true", help="one short turn a side: a trial, no figures to quote")
    command.add_argument("--threads", type=int, help="threads of each side; the usable cores by default")
    command.add_argument("--save", metavar="STEM", help="write STEM.json, STEM.md and STEM.png")
    command.set_defaults(run=bench)
    return top


def main(words: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0, 1 where a check failed, 2 where the arguments are wrong."""
    top = parser()
    arguments = top.parse_args(words)
    try:
        with announced_compilation():
            status = arguments.run(arguments)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # whoever reads, `head` perhaps, has seen enough; at exit nothing more shall be written
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        print(error, *getattr(error, "__notes__", ()), sep="\n", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
