"""The command line of a training script: which run it is, and whether it begins or continues."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tinygrad_cnn.interop import load_checkpoint
from tinygrad_cnn.training.run import CHECKPOINT, new_folder, unfinished_run


class Options(NamedTuple):
    """What the command line asks for.

    Attributes:
        config: the settings that make the run what it is; kept in its checkpoint.
        folder: where the run is kept.
        resume: whether it continues what the folder holds.
        data: a folder with the data, or None to search for them.
        checkpoint_every: batches between checkpoints besides those of every epoch; 0 for none.
    """

    config: dict[str, Any]
    folder: Path
    resume: bool
    data: str | None
    checkpoint_every: int


def at_least(least: float, kind: Callable[[str], Any] = int) -> Callable[[str], Any]:
    """Return a reader of finite numbers that are not below ``least``."""

    def number(text: str) -> Any:
        value = kind(text)
        if not least <= value < float("inf"):
            raise argparse.ArgumentTypeError(f"must be at least {least} and finite, got {text}")
        return value

    return number


def read_options(
    description: str,
    datasets: Sequence[str],
    defaults: Mapping[str, Any],
    quick: Mapping[str, Any],
    words: Sequence[str] | None = None,
) -> Options:
    """Read the command line.

    A run that is resumed takes its settings from its checkpoint, so giving one beside ``--resume`` is an error.

    Args:
        description: what the script does.
        datasets: the names of the data sets to choose from.
        defaults: dataset, seed, epochs, batch_size and lr.
        quick: the settings that ``--quick`` changes; what is given explicitly wins.
        words: the arguments; those of the process where None.

    Raises:
        FileNotFoundError: there is nothing to resume.
        SystemExit: the arguments are wrong (status 2), or only help was asked for.
    """
    parser = argparse.ArgumentParser(description=description)
    settings = {
        "dataset": parser.add_argument("--dataset", choices=datasets),
        "seed": parser.add_argument("--seed", type=at_least(0)),
        "epochs": parser.add_argument("--epochs", type=at_least(1)),
        "batch_size": parser.add_argument("--batch-size", type=at_least(1)),
        "lr": parser.add_argument("--lr", type=at_least(0, float)),
    }
    for name, setting in settings.items():
        setting.help = f"{defaults[name]} by default" + (f", {quick[name]} with --quick" if name in quick else "")
    parser.add_argument("--quick", action="store_true", help="a run of seconds on synthetic digits")
    parser.add_argument("--data", metavar="FOLDER", help="where the four IDX files are, instead of searching for them")
    parser.add_argument("--runs", default="runs", metavar="FOLDER", help="where runs are kept; runs by default")
    resume_help = "continue a run: the one in FOLDER, or the newest that is not finished"
    parser.add_argument("--resume", nargs="?", const="", metavar="FOLDER", help=resume_help)
    parser.add_argument("--checkpoint-every", type=at_least(0), default=0, metavar="BATCHES", help="also within epochs")
    options = parser.parse_args(words)

    given = {name: value for name in settings if (value := getattr(options, name)) is not None}
    if options.resume is None:
        config = {**defaults, **(quick if options.quick else {}), **given}
        folder = new_folder(options.runs, f"{config['dataset']}-seed{config['seed']}")
    else:
        if given or options.quick:
            names = ", ".join(f"--{name.replace('_', '-')}" for name in [*given, *["quick"] * options.quick])
            parser.error(f"--resume continues a run as it was begun; leave out {names}")
        folder = Path(options.resume) if options.resume else unfinished_run(options.runs)
        config = load_checkpoint(folder / CHECKPOINT, generators={})["config"]
    return Options(config, folder, options.resume is not None, options.data, options.checkpoint_every)
