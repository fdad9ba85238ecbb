from __future__ import annotations

import atexit
import gc
import json
import os
import signal
import threading

import pytest

from tinygrad_cnn import functional as F
from tinygrad_cnn import state
from tinygrad_cnn.interop import load_checkpoint
from tinygrad_cnn.training import Run, evaluate, new_folder, unfinished_run

EPOCHS = 2


class Killed(Exception):
    """Stands for a kill: nothing is written after it."""


def train(folder, parts, *, resume=False, every=0, stop_after=None, interrupt_after=None, in_test=False):
    """Train as examples/train_mnist.py does, and stop where the test says."""
    run = Run(folder, **parts, config={"seed": 0}, resume=resume, checkpoint_every=every)
    done = 0
    for _ in run.epochs(EPOCHS):
        for x, labels in run.batches():
            scores = parts["model"](x)
            loss = F.cross_entropy(scores, labels)
            parts["optimizer"].zero_grad()
            loss.backward()
            parts["optimizer"].step()
            parts["scheduler"].step()
            run.record(loss.item(), (scores.argmax(1) == labels).sum().item(), len(labels))
            done += 1
            if done == stop_after:
                raise Killed
            if done == interrupt_after:
                os.kill(os.getpid(), signal.SIGINT)
        if in_test:
            raise Killed
        run.finish_epoch(evaluate(parts["model"], parts["loader"].dataset))
    score = evaluate(parts["model"], parts["loader"].dataset)
    run.finish(score, parts["loader"].dataset.classes, "a test")
    return run


@pytest.fixture(autouse=True)
def default_ctrl_c():
    """A shell starts commands in the background with Ctrl-C ignored; what is tested is the foreground."""
    found = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, found)


@pytest.fixture
def uninterrupted(tmp_path, parts, bits):
    whole = parts()
    train(tmp_path / "whole", whole)
    return bits(whole["model"]), (tmp_path / "whole" / "metrics.jsonl").read_text()


def test_a_run_leaves_checkpoint_metrics_and_pictures(tmp_path, parts, capsys):
    train(tmp_path / "run", parts())
    names = {"checkpoint.safetensors", "metrics.jsonl", "curves.png", "confusion.png"}
    assert set(os.listdir(tmp_path / "run")) == names
    records = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in records] == [1, 2]
    assert records[1]["test_accuracy"] >= records[0]["test_accuracy"]
    out = capsys.readouterr().out
    assert out.count("epoch 1/2: loss") == 1
    assert all(str(tmp_path / "run" / name) in out for name in names)
    assert load_checkpoint(tmp_path / "run" / "checkpoint.safetensors", generators={})["config"] == {"seed": 0}


@pytest.mark.parametrize("stop_after", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("every", [0, 1, 2])
def test_a_killed_run_resumes_to_the_same_bits(tmp_path, parts, bits, uninterrupted, stop_after, every):
    with pytest.raises(Killed):
        train(tmp_path / "run", parts(), every=every, stop_after=stop_after)
    resumed = parts()
    state.manual_seed(99)  # the state of the generator comes from the checkpoint
    train(tmp_path / "run", resumed, resume=True, every=every)
    assert bits(resumed["model"]) == uninterrupted[0]
    assert (tmp_path / "run" / "metrics.jsonl").read_text() == uninterrupted[1]


def test_a_run_killed_in_the_test_of_an_epoch_keeps_the_epoch(tmp_path, parts, bits, uninterrupted):
    with pytest.raises(Killed):
        train(tmp_path / "run", parts(), in_test=True)
    resumed = parts()
    run = train(tmp_path / "run", resumed, resume=True)
    assert run.progress["batches"] == 2 * EPOCHS * 3 // 2
    assert bits(resumed["model"]) == uninterrupted[0]
    assert (tmp_path / "run" / "metrics.jsonl").read_text() == uninterrupted[1]


@pytest.mark.parametrize("batch", [1, 3, 4])
def test_ctrl_c_ends_the_batch_and_keeps_it(tmp_path, parts, bits, uninterrupted, batch):
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run", parts(), interrupt_after=batch)
    resumed = parts()
    saved = load_checkpoint(tmp_path / "run" / "checkpoint.safetensors", generators={})["progress"]
    assert saved["batches"] == batch
    train(tmp_path / "run", resumed, resume=True)
    assert bits(resumed["model"]) == uninterrupted[0]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_ctrl_c_does_not_wait(tmp_path, parts):
    setup = parts()
    run = Run(tmp_path / "run", **setup, config={})
    for _ in run.epochs(1):
        batches = run.batches()
        next(batches)
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        batches.close()
        break
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_it_trains_in_another_thread_too(tmp_path, parts):
    results = []
    thread = threading.Thread(target=lambda: results.append(train(tmp_path / "run", parts())))
    thread.start()
    thread.join()
    assert len(results) == 1


def test_nothing_is_overwritten(tmp_path, parts):
    train(tmp_path / "run", parts())
    before = (tmp_path / "run" / "checkpoint.safetensors").read_bytes()
    with pytest.raises(FileExistsError, match="already holds a run"):
        Run(tmp_path / "run", **parts(), config={})
    assert (tmp_path / "run" / "checkpoint.safetensors").read_bytes() == before
    assert new_folder(tmp_path, "run") == tmp_path / "run-2"
    assert new_folder(tmp_path, "other") == tmp_path / "other"


def test_what_does_not_fit_is_refused_and_nothing_is_changed(tmp_path, parts, bits):
    with pytest.raises(Killed):
        train(tmp_path / "run", parts(), stop_after=2)
    other = parts(images=20)
    before = bits(other["model"])
    other["loader"].batch_size = 20
    with pytest.raises(FileNotFoundError):
        Run(tmp_path / "none", **other, config={}, resume=True)
    other["model"][1].bias = None
    with pytest.raises(ValueError, match="bias"):
        Run(tmp_path / "run", **other, config={}, resume=True)
    assert bits(other["model"]) == before[: len(before) - 40]


def test_figures_outside_of_an_epoch_are_an_error(tmp_path, parts):
    run = Run(tmp_path / "run", **parts(), config={})
    with pytest.raises(RuntimeError, match=r"run\.epochs\(\)"):
        run.record(1.0, 1, 1)


def test_compiling_is_announced_once_and_the_hook_is_restored(tmp_path, parts, capsys):
    run = Run(tmp_path / "run", **parts(), config={})
    for _ in run.epochs(1):
        state.on_compile("relu")
        assert state.on_compile is None
        break
    assert capsys.readouterr().err.count("compiling kernels") == 1
    assert state.on_compile is None


def test_without_matplotlib_the_run_is_kept(tmp_path, parts, capsys, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.style", None)
    train(tmp_path / "run", parts())
    assert "no pictures: pictures need matplotlib" in capsys.readouterr().out
    assert (tmp_path / "run" / "checkpoint.safetensors").exists()


def test_a_negative_number_of_batches_between_checkpoints_is_refused(tmp_path, parts):
    with pytest.raises(ValueError, match="Run: checkpoint_every counts batches, 0 for none; got -1"):
        Run(tmp_path / "run", **parts(), config={}, checkpoint_every=-1)
    assert not (tmp_path / "run").exists()


def test_a_run_is_finished_when_its_pictures_are_drawn(tmp_path, parts):
    with pytest.raises(Killed):
        train(tmp_path / "run", parts(), stop_after=2)
    assert unfinished_run(tmp_path) == tmp_path / "run"
    train(tmp_path / "run", parts(), resume=True)
    with pytest.raises(FileNotFoundError, match="all 1 runs there are finished"):
        unfinished_run(tmp_path)
    with pytest.raises(FileNotFoundError, match="there is no run there"):
        unfinished_run(tmp_path / "elsewhere")


def test_the_process_of_a_finished_run_ends_without_a_last_search_for_garbage(tmp_path, parts, monkeypatch):
    at_exit = []
    monkeypatch.setattr(atexit, "register", at_exit.append)
    train(tmp_path / "run", parts())
    assert gc.freeze in at_exit
