"""Measure rows: the sides take turns, each in its own process, and never run at the same time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, sleep
from types import TracebackType
from typing import Any

from tinygrad_cnn.bench.rows import PEAK, Row
from tinygrad_cnn.bench.sides import OURS, Side

Samples = dict[tuple[str, str], list[float]]  # (row, side) -> what its turns measured
ACCURACY = "accuracy"  # stands in place of a row: what the turns' trainings reached
Turn = Callable[[int], Samples]  # takes the turn's number
_HERE = Path(__file__).parent
# A library's threads wait awake for some milliseconds after their last job: not in the other side's turn.
SETTLE = 0.05
_SPIN = "print(flush=True)\nwhile True: pass"


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
        start = perf_counter()
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
        )
        try:
            self.start: dict[str, float] = self._answer()
        except BaseException:
            self.close()
            raise
        self.start["process"] = perf_counter() - start

    def run(self, job: int, seconds: float) -> dict[str, Any]:
        """Run a block of at least so many seconds, and return the seconds of each step and the peak of memory."""
        requests: Any = self.process.stdin
        with suppress(BrokenPipeError):  # it has ended, as reading its answer will tell
            requests.write(json.dumps([job, seconds]) + "\n")
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
def worker(rows: Sequence[Row], side: Side, threads: int) -> Iterator[Worker]:
    """Start a worker for one side of rows that differ in their jobs only; it is ready when their first steps are done.

    Its jobs have the numbers of the rows.
    """
    row = rows[0]
    threads = row.threads or threads
    command = [sys.executable, "-P", str(_HERE / "worker.py"), side.module, str(side.file)]
    path = os.pathsep.join(filter(None, [str(_HERE.parents[1]), os.environ.get("PYTHONPATH")]))
    environment = {
        "PYTHONPATH": path,
        "PYTHONDONTWRITEBYTECODE": "",  # an installed library is imported from its compiled files; so is ours
        "TINYGRAD_CNN_NUM_THREADS": str(threads),
        "OMP_NUM_THREADS": str(threads),
        **side.environment,
        **row.environment,
    }
    with ExitStack() as stack:
        if row.cold:
            environment["TINYGRAD_CNN_KERNEL_CACHE"] = stack.enter_context(TemporaryDirectory())
        name = f"{side.name} in row {row.name}"
        jobs = json.dumps([[row.workload, row.arguments] for row in rows])
        yield stack.enter_context(Worker([*command, jobs], environment, name))


def measure(rows: Sequence[Row], sides: Sequence[Side], turns: int, seconds: float, threads: int) -> Samples:
    """Return what each side's turns measured for rows that share them, in seconds (of one operation) or MB.

    A side's turn lasts ``seconds``, of which each row has its part. Where rows tell their multiply-adds, the peak of
    multiply-adds is measured in the same turns. A side other than ours that cannot run is left out, and named.
    """
    if any(row.multiply_adds for row in rows):
        rows = [*rows, PEAK._replace(threads=rows[0].threads, environment=rows[0].environment)]
    steps = [row for row in rows if row.quantity == "step"]
    starts = [row for row in rows if row.quantity != "step"]
    with ExitStack() as stack:
        taken: list[Turn] = []
        for side in sides:
            try:
                if blocks := [row for row in steps if side.takes_part(row)]:
                    taken.append(_Blocks(stack, blocks, side, seconds / len(steps), threads).take)
                if fresh := [row for row in starts if side.takes_part(row)]:
                    taken.append(partial(_start, fresh, side, seconds, threads))
                    if not fresh[0].cold:
                        taken[-1](0)  # not counted: it fills the kernel cache and the system's file cache
            except RuntimeError as error:
                if side is OURS:
                    raise
                print(f"{error}; left out", file=sys.stderr)
        return take_turns(taken, turns)


def take_turns(taken: Sequence[Turn], turns: int) -> Samples:
    """Call the sides one after the other, ``turns`` times round, and collect what they return.

    >>> take_turns([lambda turn: {("row", "a"): [turn]}, lambda turn: {("row", "b"): [2.0, 3.0]}], turns=2)
    {('row', 'a'): [0, 1], ('row', 'b'): [2.0, 3.0, 2.0, 3.0]}
    """
    samples: Samples = {}
    for turn in range(turns):
        for take in taken:
            sleep(SETTLE)
            for key, found in take(turn).items():
                samples.setdefault(key, []).extend(found)
    return samples


class _Blocks:
    """One side's blocks in processes that stay: one for each number of threads and environment of its rows."""

    def __init__(self, stack: ExitStack, rows: Sequence[Row], side: Side, seconds: float, threads: int) -> None:
        self.rows, self.side, self.seconds = rows, side, seconds
        alike: dict[str, list[Row]] = {}
        for row in rows:
            alike.setdefault(repr((row.threads, row.environment)), []).append(row)
        self.places: dict[str, tuple[Worker, int]] = {}
        for group in alike.values():
            living = stack.enter_context(worker(group, side, threads))
            self.places |= {row.name: (living, job) for job, row in enumerate(group)}

    def take(self, turn: int) -> Samples:
        samples: Samples = {}
        for row in self.rows:
            living, job = self.places[row.name]
            with busy_process() if row.busy else nullcontext():
                times = living.run(job, self.seconds)["step"]
            samples[row.name, self.side.name] = [time / row.operations for time in times]
        return samples


def _start(rows: Sequence[Row], side: Side, seconds: float, threads: int, turn: int) -> Samples:
    """Start a process for rows that ask different things of it; each turn has its own seed, where there is one."""
    row = rows[0]
    seed = {"seed": turn} if "seed" in row.arguments else {}
    with worker([row._replace(arguments={**row.arguments, **seed})], side, threads) as living:
        found = living.start | (living.run(0, seconds) if any(row.quantity == "memory" for row in rows) else {})
        asked = {row.name: row.quantity for row in rows} | ({ACCURACY: ACCURACY} if ACCURACY in found else {})
        return {(name, side.name): [found[quantity]] for name, quantity in asked.items()}


@contextmanager
def busy_process() -> Iterator[None]:
    """Within the block another process keeps one core busy."""
    with subprocess.Popen([sys.executable, "-c", _SPIN], stdout=subprocess.PIPE) as process:
        try:
            process.stdout.readline()  # type: ignore[union-attr]  # it runs
            yield
        finally:
            process.kill()
