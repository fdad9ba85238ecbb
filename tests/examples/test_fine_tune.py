from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import numpy as np

SCRIPT = Path(__file__).parents[2] / "examples" / "fine_tune.py"


def test_quick_scores_both_on_the_whole_test_set(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["fine_tune.py", "--quick", "--seeds", "3"])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    head, note, seed, *means = capsys.readouterr().out.splitlines()
    assert head == "synthetic digits: 4 images a class, 1 epochs, % right of 40 test images"
    assert "chance" in note
    scores = re.fullmatch(r"seed 3: fine-tuned ([\d.]+), from scratch ([\d.]+)", seed).groups()
    assert [line.split(":")[0] for line in means] == ["fine-tuned", "from scratch"]
    assert all(f"mean {score}, " in line for score, line in zip(scores, means, strict=True))


def test_images_become_what_the_network_was_trained_on():
    as_input = runpy.run_path(str(SCRIPT))["as_input"]
    images = np.random.default_rng(0).integers(0, 256, (2, 1, 3, 4), np.uint8)
    x = as_input(images)
    assert (x.shape, x.dtype) == ((2, 3, 6, 8), np.float32)
    assert (x[:, :, ::2, ::2] == x[:, :, 1::2, 1::2]).all()
    np.testing.assert_allclose(x[:, 2, ::2, ::2] * 128 + 127, images[:, 0])
