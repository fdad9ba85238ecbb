"""One side of some rows in a process of its own. A script, run by its path: nothing is imported before the clock.

    python -P worker.py MODULE FILE JOBS

imports MODULE, builds each job, a list [workload, arguments] that names a function of FILE, takes the first step of
each, and writes a line of JSON: {"import": seconds, "first step": seconds since before the import, and what the last
step itself found, where that is a dict}. Then each line of its input, [job's number, seconds], asks for a block; the
answer is {"step": [seconds, ...], "memory": peak in MB}. It ends with its input.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
import resource
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any, TextIO


def main(module: str, file: str, jobs: Sequence[Any], requests: TextIO, answers: TextIO) -> None:
    """Build, take the first steps, then answer every request."""
    start = perf_counter()
    importlib.import_module(module)
    imported = perf_counter()
    side = load(file)
    steps = [getattr(side, workload)(**arguments) for workload, arguments in jobs]
    found = [step() for step in steps][-1]
    stepped = perf_counter()
    more = found if isinstance(found, dict) else {}
    del found
    send(answers, {"import": imported - start, "first step": stepped - start, **more})
    for line in requests:
        number, seconds = json.loads(line)
        send(answers, {"step": block(steps[number], seconds), "memory": peak_memory()})


def load(file: str) -> Any:
    """Import a file by its path, without the package around it."""
    specification: Any = importlib.util.spec_from_file_location("side", file)
    side = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(side)
    return side


def block(step: Callable[[], Any], seconds: float) -> list[float]:
    """Take steps for at least so many seconds, and return how long each took."""
    times = []
    end = perf_counter() + seconds
    stop = 0.0
    while stop < end:
        start = perf_counter()
        step()
        stop = perf_counter()
        times.append(stop - start)
    return times


def peak_memory() -> float:
    """Return the largest resident memory of this process so far, in MB."""
    try:  # not getrusage: on Linux its maximum counts the parent, whose memory a child shares until exec
        high_water: Any = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
        return int(high_water[1]) / 1024
    except FileNotFoundError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # bytes on macOS


def send(answers: TextIO, answer: dict[str, Any]) -> None:
    """Write one answer."""
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends its workers
    answers, sys.stdout = sys.stdout, sys.stderr  # what a library prints is no answer
    module, file, jobs = sys.argv[1:]
    main(module, file, json.loads(jobs), sys.stdin, answers)
