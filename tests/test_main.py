from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import Tensor, hub, nn, state
from tinygrad_cnn import functional as F
from tinygrad_cnn.__main__ import main
from tinygrad_cnn.checks import table, warmup


def test_check_prints_a_table_and_returns_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "add"]) == 0
    assert "add " in capsys.readouterr().out


def test_check_returns_1_where_an_operation_is_wrong(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tinygrad_cnn.functional import arithmetic

    monkeypatch.setattr(arithmetic.Add, "grad_x1", lambda self, gy: gy * 2)
    monkeypatch.setattr(arithmetic.Add, "plans", type(arithmetic.Add.plans)(arithmetic.Add))
    assert main(["check", "add"]) == 1
    assert "FAIL" in capsys.readouterr().out


def test_check_returns_1_where_an_operation_has_no_case(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "CASES", tuple(table.choose("add")))
    monkeypatch.setattr(F, "__all__", ["add", "argmax", "neg"])
    assert main(["check"]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "neg has no Case in tinygrad_cnn/checks/; add one"


def test_compilation_is_announced(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def compile_two_kernels(arguments: argparse.Namespace) -> int:
        for name in ("relu", "tanh"):
            if state.on_compile is not None:
                state.on_compile(name)
        return 0

    monkeypatch.setattr("tinygrad_cnn.__main__.draw", compile_two_kernels)
    assert main(["draw"]) == 0
    assert capsys.readouterr().err.count("compiling kernels") == 1
    assert state.on_compile is None


@pytest.mark.parametrize("batch", ["0", "-1"])
def test_draw_needs_an_image(capsys: pytest.CaptureFixture[str], batch: str) -> None:
    assert main(["draw", "--batch", batch]) == 2
    assert capsys.readouterr().err.strip().endswith(f"--batch must be at least 1, got {batch}")


def test_draw_names_its_files_also_where_nothing_can_draw(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    picture, text = tmp_path / "runs" / "net.svg", tmp_path / "runs" / "net.dot"
    assert main(["draw", "--batch", "1", "--output", str(picture)]) == 0
    assert capsys.readouterr().out == f"LeNet5, both: {picture}, the same as text: {text}\n"
    assert picture.exists()
    assert main(["draw", "--batch", "1", "--output", str(text)]) == 0
    assert capsys.readouterr().out == f"LeNet5, both: {text}\n"
    monkeypatch.setattr("shutil.which", lambda *words, **more: None)
    assert main(["draw", "--batch", "1", "--output", str(picture)]) == 2
    assert f"pip install tinygrad-cnn[graph]. The .dot text needs neither\n{text} has been" in capsys.readouterr().err


def test_draw_takes_networks_depths_and_facts(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    picture = tmp_path / "net.svg"
    words = ["draw", "ResNet18", "--input", "3,32,48", "--direction", "forward", "--depth", "2", "--show", "time"]
    assert main([*words, "memory", "thumbnails", "gradients", "--output", str(picture)]) == 0
    assert capsys.readouterr().out.startswith(f"ResNet, forward: {picture}")
    svg = picture.read_text()
    assert svg.count("data:image/png") > 10
    assert "BasicBlock" in svg
    assert "(2, 3, 32, 48)" in svg
    assert svg.count(">gradient ") > 10


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["lenet"], "draw: no network 'lenet'; there are alexnet"),
        (["--input", "1x28"], "draw: --input takes sizes such as 1,28,28, got '1x28'"),
        (["--depth", "0"], "depth must be None or an int of at least 1, got 0"),
        (["--show", "beauty"], "show must hold some of 'multiply_adds'"),
    ],
)
def test_draw_says_what_is_wrong(capsys: pytest.CaptureFixture[str], words: list[str], message: str) -> None:
    assert main(["draw", "--batch", "1", *words]) == 2
    assert message in capsys.readouterr().err


def test_predict_shows_the_five_likeliest_classes_of_a_photograph(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    image = pytest.importorskip("PIL.Image")
    photograph = str(tmp_path / "photo.png")
    image.fromarray(np.zeros((8, 9, 3), np.uint8)).save(photograph)
    scores = np.zeros((1, 1000), np.float32)
    scores[0, [7, 3, 2, 1, 0]] = 20, 19, 3, 2, 1
    monkeypatch.setattr(hub, "imagenet_classes", lambda: [f"class {label}" for label in range(1000)])
    monkeypatch.setattr(hub, "efficientnet_lite0", lambda: nn.Sequential(nn.Flatten(), Scores(scores)))
    assert main(["predict", photograph, "--model", "efficientnet_lite0"]) == 0
    first, second, *bars = capsys.readouterr().out.splitlines()
    assert first == f"{photograph}: class 7 (73.1%)"
    assert second == "EfficientNet-Lite0 trained on ImageNet, 1,000 classes"
    assert [line.split("%")[0] for line in bars[:2]] == ["  class 7  73.1", "  class 3  26.9"]
    assert len(bars) == 5
    assert main(["predict", str(tmp_path / "none.png"), "--model", "efficientnet_lite0"]) == 2
    assert "none.png: no such file" in capsys.readouterr().err


class Scores(nn.Module):
    """A network that knows its answer."""

    def __init__(self, scores: np.ndarray) -> None:
        self.scores = (scores,)

    def forward(self, input: Any) -> Any:
        return Tensor(self.scores[0])


def test_summary_shows_a_network(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["summary", "lenet5", "--input", "1,28,28"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("one input (1, 28, 28): 61,706 parameters")


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("lenet5", "(1, 28, 28): 61,706"), ("lenet5_1998", "(1, 32, 32)"), ("simpleconvnet", "(1, 28, 28): 433,890"),
     ("efficientnet_lite0", "(3, 224, 224): 4,652,008"), ("SPPHead", "(256, 13, 13)")],
)  # fmt: skip
def test_summary_knows_the_size_that_a_network_is_made_for(
    capsys: pytest.CaptureFixture[str], name: str, parameters: str
) -> None:
    assert main(["summary", name]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"one input {parameters}")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fastrcnnhead"], "no network 'fastrcnnhead'"),  # it takes boxes, too
        (["resnet51"], "summary: no network 'resnet51'; there are alexnet"),
        (["vgg"], "vgg16"),  # VGG itself asks for a depth
        (["lenet5", "--input", "1x28"], "summary: --input takes sizes such as 1,28,28, got '1x28'"),
        (["lenet5", "--input", "3,28,28"], "channels"),
    ],
)
def test_summary_says_what_is_wrong(capsys: pytest.CaptureFixture[str], words: list[str], message: str) -> None:
    assert main(["summary", *words]) == 2
    assert message in capsys.readouterr().err


def test_an_unknown_operation_is_an_error_that_lists_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "conv7d"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "no operation 'conv7d'" in captured.err
    assert "matmul" in captured.err


def test_a_reader_who_has_seen_enough_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "tinygrad_cnn", "bench", "--list"]
    process = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (process.returncode, process.stderr) == (0, b"")


def test_it_runs_as_a_module_and_explains_itself() -> None:
    process = subprocess.run([sys.executable, "-m", "tinygrad_cnn"], capture_output=True, text=True)
    assert process.returncode == 2
    assert "usage: python -m tinygrad_cnn" in process.stderr


def test_bench_prints_rows_and_saves_them(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    assert main(["bench", "add", "--quick", "--threads", "1", "--save", str(tmp_path / "x")]) == 0
    printed = capsys.readouterr().out
    assert "threads: 1." in printed
    assert any(line.startswith("add ") for line in printed.splitlines())
    assert "| add |" in (tmp_path / "x.md").read_text()
    assert '"row": "add"' in (tmp_path / "x.json").read_text()


def test_bench_lists_rows_without_measuring(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "start", "--list"]) == 0
    words = [line.split()[:2] for line in capsys.readouterr().out.splitlines()]
    assert words == [["start", name] for name in ("import", "first-step-warm", "first-step-cold", "memory")]


def test_bench_says_what_is_wrong_before_it_measures(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for words in (["lenet-12"], ["add", "--threads", "0"], ["add", "--save", str(tmp_path / "absent" / "x")]):
        assert main(["bench", *words]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith("bench: ")


def test_warmup_says_what_it_did(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warmup, "warm_up", lambda dtype: [])
    monkeypatch.setattr(warmup, "clear", lambda: [Path("a"), Path("b")])
    monkeypatch.setattr(warmup, "cached", lambda: (Path("kernels"), 40, 5_700_000))
    assert main(["warmup", "--dtype", "float64", "--clear"]) == 0
    cleared, ready, kept = capsys.readouterr().out.splitlines()
    assert cleared == "removed the kernels of 2 other versions"
    assert ready.startswith("kernels for float64 are ready (")
    assert kept == "kernels: 40 files, 5.7 MB"


def test_warmup_returns_1_where_a_kernel_was_not_reached(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = warmup.all_kernels()[0]
    monkeypatch.setattr(warmup, "warm_up", lambda dtype: [kernel])
    assert main(["warmup"]) == 1
    assert f"{kernel.__name__} of tinygrad_cnn.kernels." in capsys.readouterr().out
