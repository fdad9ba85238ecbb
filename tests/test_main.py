from __future__ import annotations

import subprocess
import sys

import pytest

from tinygrad_cnn.__main__ import main


def test_check_prints_a_table_and_returns_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "add"]) == 0
    assert "add " in capsys.readouterr().out


def test_check_returns_1_where_an_operation_is_wrong(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tinygrad_cnn.functional import elementwise

    monkeypatch.setattr(elementwise.Add, "grad_x1", lambda self, gy: gy * 2)
    monkeypatch.setattr(elementwise.Add, "plans", {})
    assert main(["check", "add"]) == 1
    assert "FAIL" in capsys.readouterr().out


def test_an_unknown_operation_is_an_error_that_lists_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "conv7d"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "no operation 'conv7d'" in captured.err
    assert "matmul" in captured.err


def test_it_runs_as_a_module_and_explains_itself() -> None:
    process = subprocess.run([sys.executable, "-m", "tinygrad_cnn"], capture_output=True, text=True)
    assert process.returncode == 2
    assert "usage: python -m tinygrad_cnn" in process.stderr
