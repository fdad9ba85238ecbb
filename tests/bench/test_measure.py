from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tinygrad_cnn.bench import measure
from tinygrad_cnn.bench.measure import Worker, take_turns
from tinygrad_cnn.bench.rows import Quantity, Row, choose
from tinygrad_cnn.bench.sides import OURS, PEER, Side

# Answers as worker.py does, and says when it ran.
FAKE = """
import json, sys, time
print(json.dumps({"import": 1.0, "first step": 2.0}), flush=True)
for line in sys.stdin:
    start = time.monotonic()
    time.sleep(json.loads(line)[1])
    print(json.dumps({"step": [start, time.monotonic()], "memory": 9.0}), flush=True)
"""
STARTS: Any = {"import": 1.0, "first step": 2.0, "process": 3.0, "training": 4.0}


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "SETTLE", 0.001)


class Recorder:
    """Stands for `Worker`; notes what is started, run and closed."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.environments: list[Mapping[str, str]] = []
        self.jobs: list[Any] = []

    def __call__(self, command: list[str], environment: Mapping[str, str], name: str) -> Any:
        side = name.split()[0]
        self.events.append(f"start {side}")
        self.environments.append(environment)
        self.jobs.append(json.loads(command[5]))
        cache = environment.get("TINYGRAD_CNN_KERNEL_CACHE")
        assert cache is None or not os.listdir(cache)
        recorder = self

        class Fake:
            start = STARTS

            def run(self, job: int, seconds: float) -> dict[str, Any]:
                recorder.events.append(f"run {side} {job} for {seconds:g}")
                return {"step": [4.0 + job, 8.0], "memory": 16.0}

            def __enter__(self) -> Fake:
                return self

            def __exit__(self, *error: object) -> None:
                recorder.events.append(f"close {side}")

        return Fake()


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder()
    monkeypatch.setattr(measure, "Worker", recorder)
    return recorder


def row(name: str = "row", **rest: Any) -> Row:
    return Row("group", name, "a row", "add", {"count": 4}, **rest)


def run(*rows: Row, sides: tuple[Side, ...] = (OURS, PEER)) -> measure.Samples:
    return measure.measure(rows, sides, turns=2, seconds=0.5, threads=3)


def test_blocks_alternate_between_two_processes_that_stay(recorder: Recorder) -> None:
    samples = run(row(operations=4))
    assert samples == {("row", "tinygrad_cnn"): [1.0, 2.0] * 2, ("row", "PyTorch"): [1.0, 2.0] * 2}
    turn = ["run tinygrad_cnn 0 for 0.5", "run PyTorch 0 for 0.5"]
    assert recorder.events[2:-2] == [*turn, *turn]
    assert sorted(recorder.events[:2]) == ["start PyTorch", "start tinygrad_cnn"]
    for environment in recorder.environments:
        assert environment["TINYGRAD_CNN_NUM_THREADS"] == environment["OMP_NUM_THREADS"] == "3"


def test_rows_that_go_together_share_processes_and_turns(recorder: Recorder) -> None:
    samples = run(row("a"), row("b"))
    assert samples["a", "PyTorch"] == [4.0, 8.0] * 2
    assert samples["b", "PyTorch"] == [5.0, 8.0] * 2
    assert recorder.jobs == [[["add", {"count": 4}]] * 2] * 2
    assert recorder.events[2:6] == [
        f"run {side} {job} for 0.25" for side in ("tinygrad_cnn", "PyTorch") for job in (0, 1)
    ]


def test_threads_and_environment_of_a_row_have_processes_of_their_own(recorder: Recorder) -> None:
    run(row("a", threads=1), row("b"), row("c", environment={"SOME": "7"}), sides=(OURS,))
    threads = [environment["TINYGRAD_CNN_NUM_THREADS"] for environment in recorder.environments]
    assert threads == ["1", "3", "3"]
    assert [environment.get("SOME") for environment in recorder.environments] == [None, None, "7"]


def test_the_peak_is_measured_in_the_turns_of_rows_with_multiply_adds(recorder: Recorder) -> None:
    samples = run(row(multiply_adds=10, environment={"SOME": "7"}))
    assert set(samples) == {("row", "tinygrad_cnn"), ("row", "PyTorch"), ("peak", "tinygrad_cnn")}
    assert len(recorder.environments) == 2  # it lives in the row's own process
    assert ("peak", "tinygrad_cnn") not in run(row())


def test_a_busy_row_has_a_busy_process_beside_it(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    class Busy:
        def __enter__(self) -> None:
            recorder.events.append("busy")

        def __exit__(self, *error: object) -> None:
            recorder.events.append("quiet")

    monkeypatch.setattr(measure, "busy_process", Busy)
    run(row("a"), row("b", busy=True), sides=(OURS,))
    runs = [f"run tinygrad_cnn {job} for 0.25" for job in (0, 1)]
    assert recorder.events[1:5] == [runs[0], "busy", runs[1], "quiet"]


def test_a_busy_process_is_busy_and_ends() -> None:
    before = os.times().children_user
    with measure.busy_process():
        time.sleep(0.1)
    assert os.times().children_user - before > 0.04


@pytest.mark.parametrize("quantity", ["import", "first step", "process", "training"])
def test_fresh_processes_alternate_after_one_that_does_not_count(recorder: Recorder, quantity: Quantity) -> None:
    samples = run(row(quantity=quantity))
    assert samples == {("row", side): [STARTS[quantity]] * 2 for side in ("tinygrad_cnn", "PyTorch")}
    lives = [event for event in recorder.events if not event.startswith("run")]
    assert lives[::2] == ["start tinygrad_cnn", "start PyTorch"] * 3
    assert not any(event.startswith("run") for event in recorder.events)


def test_memory_is_that_after_a_block(recorder: Recorder) -> None:
    assert run(row(quantity="memory"), sides=(OURS,)) == {("row", "tinygrad_cnn"): [16.0] * 2}
    assert recorder.events[:3] == ["start tinygrad_cnn", "run tinygrad_cnn 0 for 0.5", "close tinygrad_cnn"]


def test_one_process_answers_for_all_that_is_asked_of_its_start(recorder: Recorder) -> None:
    samples = run(row("a", quantity="training"), row("b", quantity="process"), sides=(OURS,))
    assert samples == {("a", "tinygrad_cnn"): [4.0] * 2, ("b", "tinygrad_cnn"): [3.0] * 2}
    assert len(recorder.jobs) == 3


def test_what_a_training_reached_is_kept_beside_its_time(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(STARTS, measure.ACCURACY, 0.875)
    samples = run(row(quantity="training"), sides=(OURS,))
    assert samples == {("row", "tinygrad_cnn"): [4.0] * 2, (measure.ACCURACY, "tinygrad_cnn"): [0.875] * 2}


def test_each_turn_has_its_seed(recorder: Recorder) -> None:
    run(Row("mnist", "row", "a row", "mnist", {"seed": 9}, quantity="training"), sides=(OURS,))
    assert [jobs[0][1]["seed"] for jobs in recorder.jobs] == [0, 0, 1]


def test_cold_processes_have_an_empty_cache_each(recorder: Recorder) -> None:
    samples = run(row(quantity="first step", cold=True))
    caches = [environment["TINYGRAD_CNN_KERNEL_CACHE"] for environment in recorder.environments]
    assert len(set(caches)) == len(caches) == 4
    assert not any(map(os.path.exists, caches))
    assert samples["row", "PyTorch"] == [2.0, 2.0]


def test_never_both_at_once() -> None:
    with Worker([sys.executable, "-c", FAKE], {}, "a") as a, Worker([sys.executable, "-c", FAKE], {}, "b") as b:
        turn = lambda worker: lambda turn: {("row", worker.name): worker.run(0, 0.01)["step"]}
        samples = take_turns([turn(a), turn(b)], turns=3)
    blocks = sorted(tuple(found[i : i + 2]) for found in samples.values() for i in (0, 2, 4))
    assert len(blocks) == 6
    assert all(earlier[1] < later[0] for earlier, later in pairwise(blocks))


def test_a_worker_takes_environment_and_ends_when_closed() -> None:
    program = 'import json, os; print(json.dumps({"import": float(os.environ["SOME"])}), flush=True); input()'
    before = time.perf_counter()
    with Worker([sys.executable, "-c", program], {"SOME": "7"}, "a") as worker:
        assert worker.start["import"] == 7.0
        assert 0 < worker.start["process"] <= time.perf_counter() - before
        assert worker.process.poll() is None
    assert worker.process.poll() is not None


def broken(tmp_path: Path) -> Side:
    file = tmp_path / "broken.py"
    file.write_text("def add(count):\n    raise OSError('no such thing')\n")
    return Side("Broken", "string", file)


def test_a_process_that_fails_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with (
        pytest.raises(RuntimeError, match="the process of Broken in row row ended with status 1"),
        measure.worker([row()], broken(tmp_path), 1),
    ):
        pass
    assert "no such thing" in capfd.readouterr().err


def test_a_side_that_fails_is_left_out_unless_it_is_ours(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    side = broken(tmp_path)
    assert run(row(), sides=(side,)) == {}
    assert "the process of Broken in row row ended with status 1" in capfd.readouterr().err
    monkeypatch.setattr(measure, "OURS", side)
    with pytest.raises(RuntimeError, match="Broken in row row"):
        run(row(), sides=(side,))


def test_a_process_that_dies_between_blocks_is_named() -> None:
    program = 'print("{}", flush=True); input(); raise SystemExit(3)'
    with (
        Worker([sys.executable, "-c", program], {}, "PyTorch in row add") as worker,
        pytest.raises(RuntimeError, match="PyTorch in row add ended with status 3"),
    ):
        worker.run(0, 1)
    with Worker([sys.executable, "-c", "print('{}', flush=True)"], {}, "a") as worker:
        worker.process.wait()
        with pytest.raises(RuntimeError, match="a ended with status 0"):
            worker.run(0, 1)


def test_a_row_of_ours_whole() -> None:
    samples = measure.measure(choose(["add"]), [OURS], turns=2, seconds=0.005, threads=1)
    assert list(samples) == [("add", "tinygrad_cnn")]
    found = samples["add", "tinygrad_cnn"]
    assert len(found) >= 2
    assert all(1e-8 < seconds < 1e-2 for seconds in found)


def test_arguments_reach_both_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    commands = []
    monkeypatch.setattr(
        measure, "Worker", lambda command, *rest: commands.append(command) or Recorder()(command, {}, "a")
    )
    row = choose(["conv-lenet2-forward"])[0]
    for side in (OURS, PEER):
        with measure.worker([row], side, 2):
            pass
    for side, command in zip((OURS, PEER), commands, strict=True):
        assert command[1] == "-P"  # the script's folder is not where modules are looked for
        assert command[3:5] == [side.module, str(side.file)]
        assert json.loads(command[5]) == [["convolution", row.arguments]]
