from __future__ import annotations

import io
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tinygrad_cnn.bench import worker

SIDE = """
from time import sleep
print("a library that talks")
def naps(seconds, calls=[]):
    def step():
        calls.append(1)
        if len(calls) == 1:
            sleep(0.05)
        sleep(seconds)
    return step
def finds():
    return lambda: {"error": 0.25}
"""


@pytest.fixture
def side(tmp_path: Path) -> str:
    path = tmp_path / "side.py"
    path.write_text(SIDE)
    return str(path)


def test_a_script_that_answers_and_says_nothing_else(side: str) -> None:
    command = [sys.executable, "-P", worker.__file__, "string", side, '[["naps", {"seconds": 0.002}]]']
    process = subprocess.run(command, input="[0, 0.02]\n[0, 0]\n", capture_output=True, text=True, check=True)
    greeting, *blocks = map(json.loads, process.stdout.splitlines())
    assert set(greeting) == {"import", "first step"}
    assert 0 < greeting["import"] < 0.05 < greeting["first step"]
    assert sum(blocks[0]["step"]) >= 0.02
    assert all(0.002 <= seconds < 0.05 for seconds in blocks[0]["step"])  # the slow first step is not among them
    assert len(blocks[1]["step"]) == 1
    assert "talks" in process.stderr


def test_it_ends_with_its_input(side: str) -> None:
    answers = io.StringIO()
    worker.main("string", side, [["naps", {"seconds": 0.0}]], io.StringIO(""), answers)
    assert len(answers.getvalue().splitlines()) == 1


def test_jobs_are_asked_for_by_their_numbers(side: str) -> None:
    answers = io.StringIO()
    jobs = [["naps", {"seconds": seconds}] for seconds in (0.0, 0.02)]
    worker.main("string", side, jobs, io.StringIO("[1, 0]\n[0, 0]\n"), answers)
    slow, fast = (json.loads(line)["step"][0] for line in answers.getvalue().splitlines()[1:])
    assert fast < 0.01 < slow


def test_what_a_step_found_is_in_the_greeting(side: str) -> None:
    answers = io.StringIO()
    worker.main("string", side, [["finds", {}]], io.StringIO(""), answers)
    assert json.loads(answers.getvalue())["error"] == 0.25


def test_a_block_lasts_as_long_as_asked() -> None:
    start = time.perf_counter()
    times = worker.block(lambda: time.sleep(0.003), 0.03)
    assert time.perf_counter() - start >= 0.03
    assert 1 <= len(times) <= 10
    assert min(times) >= 0.003


def test_memory_is_that_of_the_process_and_not_of_its_parent(side: str) -> None:
    ballast = np.ones(40_000_000)  # 320 MB
    command = [sys.executable, "-P", worker.__file__, "string", side, '[["naps", {"seconds": 0}]]']
    process = subprocess.run(command, input="[0, 0]\n", capture_output=True, text=True, check=True)
    assert 1 < json.loads(process.stdout.splitlines()[1])["memory"] < 200
    assert worker.peak_memory() > 320
    del ballast
