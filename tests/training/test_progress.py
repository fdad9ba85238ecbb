from __future__ import annotations

import io
import json
import math
import time

import numpy as np
import pytest

from tinygrad_cnn import state
from tinygrad_cnn.training.progress import Progress, announced_compilation


class Terminal(io.StringIO):
    def isatty(self):
        return True


def run(progress, batches=5):
    for batch in range(batches):
        progress.update(images=20, loss=0.5 - 0.1 * batch, correct=10 + 2 * batch)


def test_the_bar_shows_loss_accuracy_speed_and_time_left():
    terminal = Terminal()
    with Progress("epoch 1/4", images=200, bar_file=terminal) as progress:
        for _ in range(5):
            time.sleep(0.03)
            run(progress, batches=1)
        progress._bar.refresh()
        last = terminal.getvalue().split("\r")[-1]
    for part in ("epoch 1/4  50%|", "loss 0.5000", "accuracy 50.00%", "images/s", "00:00 left"):
        assert part in last


def test_one_line_stays(capsys):
    terminal = Terminal()
    progress = Progress("epoch 2/4", images=100, bar_file=terminal)
    run(progress)
    progress.finish("test accuracy 98.76%")
    output = capsys.readouterr()
    assert output.out.startswith("epoch 2/4: loss 0.3000, accuracy 70.00%, test accuracy 98.76% (0.0 s, ")
    assert output.out.endswith(" images/s)\n")
    assert output.out.count("\n") == 1
    assert output.err == ""
    assert terminal.getvalue().rsplit("\r", 1)[-1].strip() == ""  # the bar is gone


def test_quiet_where_there_is_no_terminal_but_for_the_line(capsys):
    file = io.StringIO()
    progress = Progress("epoch 1/1", images=100, bar_file=file)
    run(progress)
    progress.finish()
    assert file.getvalue() == ""
    output = capsys.readouterr()
    assert output.out.startswith("epoch 1/1: loss 0.3000, accuracy 70.00% (0.0 s")
    assert output.err == ""


def test_means_are_over_images_and_not_over_batches():
    progress = Progress("epoch", images=128)
    progress.update(images=100, loss=np.float32(1.0), correct=np.int64(50))
    progress.update(images=28, loss=2.0, correct=28)
    assert progress.loss == (100 + 56) / 128
    assert progress.accuracy == 78 / 128
    progress.close()


def test_a_resumed_epoch_ends_with_the_same_sums():
    whole, first = Progress("epoch", images=100), Progress("epoch", images=100)
    batches = [(20, 0.1 * k + 1 / 3, k) for k in range(5)]
    for batch in batches:
        whole.update(*batch)
    for batch in batches[:2]:
        first.update(*batch)
    second = Progress("epoch", images=100, totals=json.loads(json.dumps(first.state_dict())))
    for batch in batches[2:]:
        second.update(*batch)
    assert second.state_dict() == whole.state_dict()
    assert (second.loss, second.accuracy) == (whole.loss, whole.accuracy)


def test_what_a_stopped_run_did_is_not_speed():
    totals = {"images": 1_000_000, "loss": 0.0, "correct": 0}
    with Progress("epoch", images=2_000_000, totals=totals) as progress:
        time.sleep(0.01)
        assert progress.images_per_second == 0
        progress.update(10, 0.0, 0)
        assert 0 < progress.images_per_second < 1_000


def test_before_the_first_batch(capsys):
    progress = Progress("epoch", images=0)
    assert math.isnan(progress.loss)
    assert math.isnan(progress.accuracy)
    progress.finish()
    assert "loss nan" in capsys.readouterr().out


def test_an_error_in_the_loop_removes_the_bar():
    terminal = Terminal()

    def stop():
        with Progress("epoch", images=100, bar_file=terminal) as progress:
            run(progress, batches=2)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop()
    assert terminal.getvalue().rsplit("\r", 1)[-1].strip() == ""


def test_compilation_is_announced_once_and_the_hook_restored(capsys, monkeypatch):
    names = []
    monkeypatch.setattr(state, "on_compile", names.append)
    with announced_compilation():
        state.on_compile("relu")
        assert state.on_compile is None
    assert capsys.readouterr().err.count("compiling kernels") == 1
    state.on_compile("tanh")
    assert names == ["tanh"]


def test_nothing_is_announced_where_nothing_is_compiled(capsys):
    with announced_compilation():
        pass
    assert capsys.readouterr().err == ""
