"""Measure a row: both sides take turns, each in its own process, and never run at the same time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from time import sleep
from types import TracebackType
from typing import Any, NamedTuple

from tinygrad_cnn.bench.rows import Row

Samples = dict[str, list[float]]  # side -> what its turns measured
_HERE = Path(__file__).parent
# A library's threads wait awake for some milliseconds after their last job: not in the other side's turn.
SETTLE = 0.05


class Side(NamedTuple):
    """Whose work is timed."""

    name: str
    module: str
    file: Path


OURS = Side("tinygrad_cnn", "tinygrad_cnn", _HERE / "ours.py")
PEER = Side("PyTorch", "torch", _HERE / "peer.py")


def installed() -> list[Side]:
    """Return our side and, where PyTorch is installed, PyTorch's."""
    return [side for side in (OURS, PEER) if find_spec(side.module)]


class Worker:
    """A process that takes one side's steps when it is told to; see worker.py.

    Args:
        command: the program and its arguments.
        environment: added to this process's environment.
        name: who it is, for the error message.

    Raises:
        RuntimeError: The process ended; why stands in what it wrote to stderr.
    """

    def __init__(self, command: list[str], environment: Mapping[str, str], name: str) -> None:
        self.name = name
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
        )
        try:
            self.start: dict[str, float] = self._answer()
        except BaseException:
            self.close()
            raise

    def run(self, seconds: float) -> dict[str, Any]:
        """Run a block of at least so many seconds, and return the seconds of each step and the peak of memory."""
        requests: Any = self.process.stdin
        with suppress(BrokenPipeError):  # it has ended, as reading its answer will tell
            requests.write(f"{seconds}\n")
            requests.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        answers: Any = self.process.stdout
        line = answers.readline()
        if not line:
            raise RuntimeError(
                f"bench: the process of {self.name} ended with status {self.process.wait()}; its own message is above"
            )
        return json.loads(line)

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.communicate()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


@contextmanager
def worker(row: Row, side: Side, threads: int) -> Iterator[Worker]:
    """Start a worker for one side of a row; it is ready when its first step is done."""
    command = [sys.executable, "-P", str(_HERE / "worker.py"), side.module, str(side.file), row.workload]
    path = os.pathsep.join(filter(None, [str(_HERE.parents[1]), os.environ.get("PYTHONPATH")]))
    environment = {"PYTHONPATH": path, "TINYGRAD_CNN_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
    with ExitStack() as stack:
        if row.cold:
            environment["TINYGRAD_CNN_KERNEL_CACHE"] = stack.enter_context(TemporaryDirectory())
        name = f"{side.name} in row {row.name}"
        yield stack.enter_context(Worker([*command, json.dumps(row.arguments)], environment, name))


def measure(row: Row, sides: list[Side], turns: int, seconds: float, threads: int) -> Samples:
    """Return what each side's turns measured, in seconds (of one operation) or MB."""
    with ExitStack() as stack:
        turn_of: dict[str, Callable[[], list[float]]] = {}
        for side in sides:
            if row.quantity == "step":
                turn_of[side.name] = _block_of(stack.enter_context(worker(row, side, threads)), row, seconds)
            else:
                turn_of[side.name] = _fresh(row, side, seconds, threads)
        if row.quantity != "step" and not row.cold:
            for turn in turn_of.values():
                turn()  # not counted: it fills the kernel cache and the system's file cache
        return take_turns(turn_of, turns)


def take_turns(turn_of: Mapping[str, Callable[[], list[float]]], turns: int) -> Samples:
    """Call the sides one after the other, ``turns`` times round, and collect what they return.

    >>> take_turns({"a": lambda: [1.0], "b": lambda: [2.0, 3.0]}, turns=2)
    {'a': [1.0, 1.0], 'b': [2.0, 3.0, 2.0, 3.0]}
    """
    samples: Samples = {name: [] for name in turn_of}
    for _ in range(turns):
        for name, turn in turn_of.items():
            sleep(SETTLE)
            samples[name] += turn()
    return samples


def _block_of(living: Worker, row: Row, seconds: float) -> Callable[[], list[float]]:
    return lambda: [time / row.operations for time in living.run(seconds)["step"]]


def _fresh(row: Row, side: Side, seconds: float, threads: int) -> Callable[[], list[float]]:
    def turn() -> list[float]:
        with worker(row, side, threads) as fresh:
            return [fresh.run(seconds)["memory"] if row.quantity == "memory" else fresh.start[row.quantity]]

    return turn
