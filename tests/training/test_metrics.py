from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from tinygrad_cnn.training.metrics import Metrics, read_metrics


@pytest.fixture
def path(tmp_path):
    return tmp_path / "metrics.jsonl"


def test_one_object_a_line_written_at_once(path):
    metrics = Metrics(path)
    metrics.write(epoch=1, loss=0.1 + 0.2)
    assert path.read_bytes() == b'{"epoch": 1, "loss": 0.30000000000000004}\n'
    metrics.write(epoch=2, note="größer\n")
    assert read_metrics(path) == [{"epoch": 1, "loss": 0.1 + 0.2}, {"epoch": 2, "note": "größer\n"}]
    assert path.read_bytes().count(b"\n") == 2


def test_numpy_scalars_are_numbers_and_arrays_are_refused(path):
    metrics = Metrics(path)
    metrics.write(a=np.float32(0.1), b=np.int64(3), c=np.array(0.5), d=np.bool_(True), e=float("inf"))
    with pytest.raises(TypeError, match="cannot store a ndarray as JSON"):
        metrics.write(epoch=2, a=np.zeros(3))
    metrics.write(epoch=3)
    first = {"a": float(np.float32(0.1)), "b": 3, "c": 0.5, "d": True, "e": float("inf")}
    assert read_metrics(path) == [first, {"epoch": 3}]


def test_a_new_run_starts_a_new_file(path):
    for loss in (0.1, 0.2):
        metrics = Metrics(path)
        metrics.write(loss=loss)
    assert read_metrics(path) == [{"loss": 0.2}]


@pytest.mark.parametrize("stopped_after", [3, 4, 7])
@pytest.mark.parametrize("half", [b"", b'{"step": 99, "lo', b'{"step": "\xc3', b"\0\0\0"])
def test_a_resumed_run_leaves_the_file_of_an_uninterrupted_one(tmp_path, stopped_after, half):
    metrics = Metrics(tmp_path / "whole")
    for step in range(10):
        metrics.write(step=step, loss=1 / (step + 1))

    path = tmp_path / "resumed"
    metrics = Metrics(path)
    for step in range(stopped_after):
        if step == 3:
            position = metrics.position()
        metrics.write(step=step, loss=1 / (step + 1))
    if stopped_after == 3:
        position = metrics.position()
    with open(path, "ab") as file:
        file.write(half)
    metrics = Metrics(path, resume_at=position)
    assert metrics.position() == 3
    for step in range(3, 10):
        metrics.write(step=step, loss=1 / (step + 1))
    assert path.read_bytes() == (tmp_path / "whole").read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["resumed", "whole"]


def test_a_half_written_last_line_is_left_out(path):
    path.write_bytes(b'{"a": 1}\n{"a": 2')
    assert read_metrics(path) == [{"a": 1}]
    path.write_bytes(b'{"a": 1}\n{"a": 2}')  # whole but for the line's end
    assert read_metrics(path) == [{"a": 1}, {"a": 2}]
    path.write_bytes(b"")
    assert read_metrics(path) == []


@pytest.mark.parametrize("line", [b'{"a": ', b"[1]", b"", b"3", b"\xff", b"[" * 100_000])
def test_a_bad_line_in_the_middle_is_named(path, line):
    path.write_bytes(b'{"a": 1}\n' + line + b'\n{"a": 3}\n')
    for read in (read_metrics, lambda path: Metrics(path, resume_at=1)):
        with pytest.raises(ValueError, match=r"metrics.jsonl: expected a JSON object in line 2, found"):
            read(path)
    assert path.read_bytes().endswith(b'{"a": 3}\n')


def test_resuming_needs_the_records_up_to_the_checkpoint(path):
    with pytest.raises(FileNotFoundError, match="no such file of metrics"):
        Metrics(path, resume_at=0)
    path.write_bytes(b'{"a": 1}\n{"a": 2')
    with pytest.raises(ValueError, match=r"expected at least 2 records.*found 1;.*resume at 1"):
        Metrics(path, resume_at=2)
    assert path.read_bytes() == b'{"a": 1}\n{"a": 2'


def test_a_failed_resume_keeps_the_old_file(path, monkeypatch):
    path.write_bytes(b'{"a": 1}\n{"a": 2}\n')

    def fail(*args):
        raise OSError("broken disk")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="broken disk"):
        Metrics(path, resume_at=1)
    assert path.read_bytes() == b'{"a": 1}\n{"a": 2}\n'
    assert os.listdir(path.parent) == [path.name]


def test_the_position_is_on_the_disk(path, monkeypatch):
    synced = []
    metrics = Metrics(path)
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_size))
    metrics.write(a=1)
    assert metrics.position() == 1
    assert synced == [len(b'{"a": 1}\n')]


def test_records_survive_a_kill(path):
    script = (
        "import os, signal, sys; from tinygrad_cnn.training.metrics import Metrics\n"
        "metrics = Metrics(sys.argv[1]); metrics.write(epoch=1); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(path)], check=False, timeout=60)
    assert read_metrics(path) == [{"epoch": 1}]
