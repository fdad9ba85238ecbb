from __future__ import annotations

import importlib.util
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tinygrad_cnn.bench.rows import MNIST

SCRIPT = Path(__file__).parents[2] / "examples" / "train_mnist.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("train_mnist", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def weights(folder):
    return next(Path(folder).rglob("checkpoint.safetensors")).read_bytes()


def test_quick_learns_the_synthetic_digits(example, tmp_path, capsys):
    example.main(["--quick", "--runs", str(tmp_path)])
    out = capsys.readouterr().out
    assert "epoch 2/2" in out
    accuracy = float(out.split("\ntest accuracy ")[1].split("%")[0])
    assert accuracy > 90
    assert "of 1,000 images" in out
    assert {path.name for path in (tmp_path / "synthetic-seed0").iterdir()} == {
        "checkpoint.safetensors", "metrics.jsonl", "curves.png", "confusion.png",
    }  # fmt: skip


def test_resume_without_a_run_says_what_to_do(example, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing to resume under .*there is no run there"):
        example.main(["--resume", "--runs", str(tmp_path)])


def test_what_the_machine_lacks_is_one_line(tmp_path):
    words = ["--data", str(tmp_path / "nowhere"), "--runs", str(tmp_path)]
    ended = subprocess.run([sys.executable, str(SCRIPT), *words], capture_output=True, text=True)
    assert ended.returncode == 1
    assert ended.stderr.startswith("train_mnist: MNIST: no source has")
    assert "Traceback" not in ended.stderr


def test_kill_and_resume_end_in_the_same_bits(tmp_path):
    command = [sys.executable, str(SCRIPT), "--checkpoint-every", "3", "--runs"]
    subprocess.run([*command, str(tmp_path / "whole"), "--quick"], check=True, capture_output=True)
    chance = random.Random(0)
    for attempt in range(3):
        folder = tmp_path / str(attempt)
        how = "--quick"
        for _ in range(2):
            process = subprocess.Popen(
                [*command, str(folder), how], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            while process.poll() is None and not list(folder.rglob("checkpoint.safetensors")):
                time.sleep(0.01)
            time.sleep(chance.uniform(0.0, 0.5))
            os.kill(process.pid, signal.SIGKILL) if process.poll() is None else None
            process.wait()
            how = "--resume"
        ended = subprocess.run([*command, str(folder), "--resume"], capture_output=True, text=True)
        assert ended.returncode == 0 or "all 1 runs there are finished" in ended.stderr
        assert weights(folder) == weights(tmp_path / "whole")


def test_ctrl_c_before_the_run_begins_does_not_speak_of_one(example, tmp_path, monkeypatch):
    def interrupted(name, path):
        raise KeyboardInterrupt

    monkeypatch.setattr(example, "load", interrupted)
    with pytest.raises(SystemExit, match="stopped before the start"):
        example.main(["--quick", "--runs", str(tmp_path)])


def test_the_benchmark_trains_by_the_same_recipe(example):
    names = {"epochs": "epochs", "batch": "batch_size", "lr": "lr"}
    assert {name: MNIST[name] for name in names} == {name: example.DEFAULTS[other] for name, other in names.items()}
