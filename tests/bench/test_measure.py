from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tinygrad_cnn.bench import measure
from tinygrad_cnn.bench.measure import OURS, PEER, Side, Worker, take_turns
from tinygrad_cnn.bench.rows import Quantity, Row, choose

# Answers as worker.py does, and says when it ran.
FAKE = """
import json, sys, time
print(json.dumps({"import": 1.0, "first step": 2.0}), flush=True)
for line in sys.stdin:
    start = time.monotonic()
    time.sleep(float(line))
    print(json.dumps({"step": [start, time.monotonic()], "memory": 9.0}), flush=True)
"""


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "SETTLE", 0.001)


class Recorder:
    """Stands for `Worker`; notes what is started, run and closed."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.environments: list[Mapping[str, str]] = []

    def __call__(self, command: list[str], environment: Mapping[str, str], name: str) -> Any:
        side = name.split()[0]
        self.events.append(f"start {side}")
        self.environments.append(environment)
        cache = environment.get("TINYGRAD_CNN_KERNEL_CACHE")
        assert cache is None or not os.listdir(cache)
        recorder = self

        class Fake:
            start = {"import": 1.0, "first step": 2.0}

            def run(self, seconds: float) -> dict[str, Any]:
                recorder.events.append(f"run {side}")
                return {"step": [4.0, 8.0], "memory": 16.0}

            def __enter__(self) -> Fake:
                return self

            def __exit__(self, *error: object) -> None:
                recorder.events.append(f"close {side}")

        return Fake()


def record(monkeypatch: pytest.MonkeyPatch, quantity: Quantity, **rest: Any) -> tuple[Recorder, measure.Samples]:
    recorder = Recorder()
    monkeypatch.setattr(measure, "Worker", recorder)
    row = Row("row", "a row", "add", {"count": 4}, quantity, **rest)
    return recorder, measure.measure(row, [OURS, PEER], turns=2, seconds=0.5, threads=3)


def test_blocks_alternate_between_two_processes_that_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder, samples = record(monkeypatch, "step", operations=4)
    assert samples == {"tinygrad_cnn": [1.0, 2.0, 1.0, 2.0], "PyTorch": [1.0, 2.0, 1.0, 2.0]}
    turn = ["run tinygrad_cnn", "run PyTorch"]
    assert recorder.events[2:-2] == [*turn, *turn]
    assert sorted(recorder.events[:2]) == ["start PyTorch", "start tinygrad_cnn"]
    for environment in recorder.environments:
        assert environment["TINYGRAD_CNN_NUM_THREADS"] == environment["OMP_NUM_THREADS"] == "3"


@pytest.mark.parametrize(("quantity", "value"), [("import", 1.0), ("first step", 2.0), ("memory", 16.0)])
def test_fresh_processes_alternate_after_one_that_does_not_count(
    monkeypatch: pytest.MonkeyPatch, quantity: Quantity, value: float
) -> None:
    recorder, samples = record(monkeypatch, quantity)
    assert samples == {"tinygrad_cnn": [value] * 2, "PyTorch": [value] * 2}
    lives = [event for event in recorder.events if not event.startswith("run")]
    assert lives == ["start tinygrad_cnn", "close tinygrad_cnn", "start PyTorch", "close PyTorch"] * 3


def test_cold_processes_have_an_empty_cache_each(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder, samples = record(monkeypatch, "first step", cold=True)
    caches = [environment["TINYGRAD_CNN_KERNEL_CACHE"] for environment in recorder.environments]
    assert len(set(caches)) == len(caches) == 4
    assert not any(map(os.path.exists, caches))
    assert samples["PyTorch"] == [2.0, 2.0]


def test_never_both_at_once() -> None:
    with Worker([sys.executable, "-c", FAKE], {}, "a") as a, Worker([sys.executable, "-c", FAKE], {}, "b") as b:
        samples = take_turns({"a": lambda: a.run(0.01)["step"], "b": lambda: b.run(0.01)["step"]}, turns=3)
    blocks = sorted(tuple(found[i : i + 2]) for found in samples.values() for i in (0, 2, 4))
    assert len(blocks) == 6
    assert all(earlier[1] < later[0] for earlier, later in pairwise(blocks))


def test_a_worker_takes_environment_and_ends_when_closed() -> None:
    program = 'import json, os; print(json.dumps({"import": float(os.environ["SOME"])}), flush=True); input()'
    with Worker([sys.executable, "-c", program], {"SOME": "7"}, "a") as worker:
        assert worker.start == {"import": 7.0}
        assert worker.process.poll() is None
    assert worker.process.poll() is not None


def test_a_process_that_fails_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("def add(count):\n    raise OSError('no such thing')\n")
    row = choose(["add"])[0]
    with (
        pytest.raises(RuntimeError, match="the process of Broken in row add ended with status 1"),
        measure.worker(row, Side("Broken", "string", broken), 1),
    ):
        pass
    assert "no such thing" in capfd.readouterr().err


def test_a_process_that_dies_between_blocks_is_named() -> None:
    program = 'print("{}", flush=True); input(); raise SystemExit(3)'
    with (
        Worker([sys.executable, "-c", program], {}, "PyTorch in row add") as worker,
        pytest.raises(RuntimeError, match="PyTorch in row add ended with status 3"),
    ):
        worker.run(1)
    with Worker([sys.executable, "-c", "print('{}', flush=True)"], {}, "a") as worker:
        worker.process.wait()
        with pytest.raises(RuntimeError, match="a ended with status 0"):
            worker.run(1)


def test_a_row_of_ours_whole() -> None:
    samples = measure.measure(choose(["add"])[0], [OURS], turns=2, seconds=0.005, threads=1)
    assert list(samples) == ["tinygrad_cnn"]
    assert len(samples["tinygrad_cnn"]) >= 2
    assert all(1e-8 < seconds < 1e-2 for seconds in samples["tinygrad_cnn"])


def test_arguments_reach_both_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    commands = []
    monkeypatch.setattr(measure, "Worker", lambda command, *rest: commands.append(command) or Recorder()([], {}, "a"))
    row = choose(["conv2-forward"])[0]
    for side in (OURS, PEER):
        with measure.worker(row, side, 2):
            pass
    for side, command in zip((OURS, PEER), commands, strict=True):
        assert command[1] == "-P"  # the script's folder is not where modules are looked for
        assert command[3:6] == [side.module, str(side.file), "convolution"]
        assert json.loads(command[6]) == {**row.arguments, "image": [128, 6, 14, 14], "filters": [16, 6, 5, 5]}
