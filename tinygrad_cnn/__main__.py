"""The commands: python -m tinygrad_cnn COMMAND. Each is a parser for its arguments and a function that runs it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from tinygrad_cnn.checks import table


def check(arguments: argparse.Namespace) -> int:
    """Compare an operation with its reference and its gradients with differences; all operations without a name."""
    return 0 if table.table(table.choose(arguments.op)) else 1


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands; each sets ``run``, which takes the arguments and returns the status."""
    top = argparse.ArgumentParser(prog="python -m tinygrad_cnn", description="Tools of tinygrad_cnn.")
    commands = top.add_subparsers(metavar="COMMAND", required=True)

    command = commands.add_parser("check", help="compare kernels, references and numerical gradients")
    command.add_argument("op", nargs="?", help="the name of one operation, such as conv2d; all of them by default")
    command.set_defaults(run=check)
    return top


def main(words: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0, 1 where a check failed, 2 where the arguments are wrong."""
    top = parser()
    arguments = top.parse_args(words)
    try:
        return arguments.run(arguments)
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
