from __future__ import annotations

from pathlib import Path

import pytest

from tinygrad_cnn.training import Options, Run, read_options

DEFAULTS = {"dataset": "mnist", "seed": 0, "epochs": 4, "batch_size": 128, "lr": 0.5}
QUICK = {"dataset": "synthetic", "epochs": 2}


def read(*words: str) -> Options:
    return read_options("Train.", ["mnist", "synthetic"], DEFAULTS, QUICK, words)


@pytest.fixture(autouse=True)
def no_runs_so_far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_defaults_and_the_folder() -> None:
    assert read() == Options(DEFAULTS, Path("runs/mnist-seed0"), False, None, 0)


def test_what_is_given_wins_over_quick_and_quick_over_defaults() -> None:
    options = read("--quick", "--epochs", "1", "--seed", "3", "--runs", "here", "--data", "there")
    assert options.config == DEFAULTS | {"dataset": "synthetic", "epochs": 1, "seed": 3}
    assert (options.folder, options.data) == (Path("here/synthetic-seed3"), "there")
    assert read("--batch-size", "7", "--lr", "0.25", "--checkpoint-every", "5").checkpoint_every == 5


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--epochs", "0"], "argument --epochs: must be at least 1 and finite, got 0"),
        (["--batch-size", "-3"], "argument --batch-size: must be at least 1 and finite, got -3"),
        (["--lr", "nan"], "argument --lr: must be at least 0 and finite, got nan"),
        (["--lr", "inf"], "argument --lr: must be at least 0 and finite, got inf"),
        (["--checkpoint-every", "-1"], "argument --checkpoint-every: must be at least 0 and finite, got -1"),
        (["--seed", "one"], "argument --seed: invalid number value: 'one'"),
        (["--dataset", "cifar"], "argument --dataset: invalid choice: 'cifar'"),
        (["--resume", "--epochs", "3"], "continues a run as it was begun; leave out --epochs"),
        (["--resume", "x", "--quick", "--batch-size", "3"], "leave out --batch-size, --quick"),
    ],
)
def test_bad_arguments_are_explained(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read(*words)
    assert message in capsys.readouterr().err


def test_resuming_takes_the_newest_unfinished_run_or_the_one_named(tmp_path: Path, parts) -> None:
    for name in ("a", "b", "c"):
        Run(tmp_path / name, **parts(), config={"name": name})
    finished = Run(tmp_path / "d", **parts(), config={"name": "d"})
    finished.progress["finished"] = True
    finished.save()
    assert read("--resume", "--runs", str(tmp_path)) == Options({"name": "c"}, tmp_path / "c", True, None, 0)
    assert read("--resume", str(tmp_path / "a")).config == {"name": "a"}
    with pytest.raises(FileNotFoundError, match=r"nothing to resume under .*: all 1 runs there are finished"):
        read("--resume", "--runs", str(tmp_path / "d"))
