"""Execute every Python block of README.md and docs/ with the tests, and say why tests were skipped."""

from __future__ import annotations

import os
import tempfile
from doctest import ELLIPSIS, NORMALIZE_WHITESPACE
from typing import Any

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

import tinygrad_cnn  # noqa: F401  whole, before pytest loads one of its files by path: there must be one Tensor class

_folders: list[tuple[str, tempfile.TemporaryDirectory[str]]] = []


def enter_folder(namespace: dict[str, Any]) -> None:
    """Give a page a folder of its own to write to; its blocks share one namespace, as if typed into Python."""
    namespace["__name__"] = "__main__"
    _folders.append((os.getcwd(), tempfile.TemporaryDirectory()))
    os.chdir(_folders[-1][1].name)


def leave_folder(namespace: dict[str, Any]) -> None:
    """Go back, and remove what the page wrote."""
    home, folder = _folders.pop()
    os.chdir(home)
    folder.cleanup()


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(doctest_optionflags=ELLIPSIS | NORMALIZE_WHITESPACE), SkipParser()],
    patterns=["README.md", "docs/*.md", "docs/**/*.md"],
    setup=enter_folder,
    teardown=leave_folder,
).pytest()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many of the skipped tests want PyTorch: a long row of s is no sign of trouble."""
    reasons = [report.longrepr[-1] for report in terminalreporter.stats.get("skipped", [])]  # (file, line, reason)
    if count := sum("torch" in reason for reason in reasons):
        terminalreporter.write_line(f"{count} of {len(reasons)} skipped tests compare with PyTorch: they need torch")
