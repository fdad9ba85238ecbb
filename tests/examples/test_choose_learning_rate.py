from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_quick_compares_all_rates_on_what_it_held_out(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["choose_learning_rate.py", "--quick"])
    example = runpy.run_path(str(EXAMPLES / "choose_learning_rate.py"), run_name="__main__")
    head, *lines = capsys.readouterr().out.splitlines()
    assert head == "synthetic digits: 1,000 training images, 500 held out, 2 epochs"
    assert [float(line.split()[1][:-1]) for line in lines] == list(example["RATES"])
    # a tenth would be chance; synthetic digits are learnt at every one of these rates
    assert all(float(re.search(r"mean ([\d.]+) %", line)[1]) > 50 for line in lines)


def test_the_training_example_uses_one_of_the_rates():
    trained = runpy.run_path(str(EXAMPLES / "train_mnist.py"))["DEFAULTS"]["lr"]
    assert trained in runpy.run_path(str(EXAMPLES / "choose_learning_rate.py"))["RATES"]
