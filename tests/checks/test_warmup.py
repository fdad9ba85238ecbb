from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tinygrad_cnn import state
from tinygrad_cnn.checks import warmup
from tinygrad_cnn.kernels import activation, compile

# Of a process of its own: here other tests have compiled what they use.
REACHED = """
import sys
from tinygrad_cnn.checks.warmup import INDICES, all_kernels, warm_up
left = warm_up(sys.argv[1])
assert not left, f"no call of checks/warmup.py reaches {[(k.__module__, k.__name__) for k in left]}"
compiled = [set(kernel.dispatchers) for kernel in all_kernels(sys.argv[1])]
assert all(dtypes in ({sys.argv[2]}, {INDICES}) for dtypes in compiled), "another dtype was compiled as well"
"""


@pytest.mark.skipif(compile.config.DISABLE_JIT, reason="without the compiler there are no kernels to warm up")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_kernel_is_reached_and_in_no_other_dtype(dtype: str) -> None:
    process = subprocess.run(
        [sys.executable, "-c", REACHED, dtype, np.dtype(dtype).char], capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr


def test_kernels_are_found_in_every_file() -> None:
    sources = [path.read_text() for path in Path(compile.__file__).parent.glob("*.py") if path.stem != "threads"]
    lines = [line for text in sources for line in text.splitlines()]
    pairs = sum(" = _curve(" in line for line in lines)  # of a value and a gradient
    assert len(warmup.all_kernels()) == 2 * pairs + sum(line.startswith("@kernel") for line in lines)
    assert activation._relu in warmup.all_kernels()
    assert not {"_run", "_serve"} & {kernel.__name__ for kernel in warmup.all_kernels()}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_what_is_not_reached_is_returned_and_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    def compile_one(name: str) -> None:
        assert state.on_compile is not None
        state.on_compile(name)

    @compile.kernel
    def never(x: np.ndarray, y: np.ndarray, start: int, stop: int) -> None:
        """Reached by nobody."""

    monkeypatch.setattr(warmup, "all_kernels", lambda dtype: [never])
    monkeypatch.setattr(warmup, "calls", lambda dtype: [lambda: compile_one("_relu")])
    before, bar = state.on_compile, Terminal()
    assert warmup.warm_up("float32", bar) == [never]
    assert "kernels for float32" in bar.getvalue()
    assert "compiling relu" in bar.getvalue()
    assert state.on_compile is before


def test_the_listener_comes_back_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warmup, "calls", lambda dtype: [lambda: 1 / 0])
    before = state.on_compile
    with pytest.raises(ZeroDivisionError):
        warmup.warm_up("float32")
    assert state.on_compile is before


def test_only_other_versions_are_cleared(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    current, old = tmp_path / ("0" * 16), tmp_path / "0123456789abcdef"
    for folder in (current, old, tmp_path / "photographs"):
        folder.mkdir()
        (folder / "relu.kernel").write_bytes(bytes(7))
    (current / "relu.kernel.123.tmp").write_bytes(b"")  # another process is writing
    monkeypatch.setattr(warmup, "cache_folder", lambda: current)
    assert warmup.cached() == (current, 1, 7)
    assert warmup.clear() == [old]
    assert sorted(os.listdir(tmp_path)) == ["0" * 16, "photographs"]
    assert warmup.clear() == []
    assert warmup.cached() == (current, 1, 7)
