from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn.bench import machine


def test_the_machine_is_named() -> None:
    about = machine.machine()
    assert "cores" in about["processor"]
    assert about["numpy"] == np.__version__
    assert float(about["load"]) >= 0


def test_versions_of_what_is_installed() -> None:
    found = machine.versions()
    assert {"tinygrad-cnn", "numpy", "numba"} <= set(found)
    assert ("torch" in found) == (find_spec("torch") is not None)


def test_processor_where_there_is_no_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(self: Path) -> str:
        raise FileNotFoundError

    class Answer:
        stdout = "Chip M9\n"

    def run(command: list[str], **rest: Any) -> Answer:
        assert command[0] == "sysctl"
        return Answer()

    monkeypatch.setattr(Path, "read_text", absent)
    monkeypatch.setattr(machine.subprocess, "run", run)
    assert machine.processor() == "Chip M9"


def test_processor_without_a_name_is_at_least_its_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", lambda self: "flags : fpu\n")
    monkeypatch.setattr(machine.platform, "machine", lambda: "riscv64")
    assert machine.processor() == "riscv64"
