"""Metrics of a run: JSON lines, one object a record, readable by anything and whole after a kill."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_cnn.files import atomic_write


class Metrics:
    """Append records to a file of JSON lines.

    A checkpoint keeps ``position()``. A run that resumes from it passes it as ``resume_at``: the records that the
    stopped run wrote after the checkpoint are dropped and written again, so the file becomes that of a run that was
    never stopped.

    Args:
        path: The file, usually ``*.jsonl``; its folder must exist.
        resume_at: How many records to keep. None starts a new file, also where there is one already.

    Raises:
        FileNotFoundError: There is nothing to resume.
        ValueError: The file holds fewer records than ``resume_at``, or something that is not a record.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "metrics.jsonl"
    >>> metrics = Metrics(path)
    >>> metrics.write(epoch=1, train_loss=0.5)
    >>> position = metrics.position()
    >>> metrics.write(epoch=2, train_loss=0.25)
    >>> Metrics(path, resume_at=position).write(epoch=2, train_loss=0.125)
    >>> read_metrics(path)
    [{'epoch': 1, 'train_loss': 0.5}, {'epoch': 2, 'train_loss': 0.125}]
    """

    def __init__(self, path: str | os.PathLike[str], resume_at: int | None = None) -> None:
        self.path = Path(path)
        kept = [] if resume_at is None else _whole_lines(self.path)
        if len(kept) < (resume_at or 0):
            raise ValueError(
                f"{self.path}: expected at least {resume_at} records, as when the checkpoint was written, found "
                f"{len(kept)}; the file was changed or is another run's: restore it or resume at {len(kept)}"
            )
        self._count = resume_at or 0
        with atomic_write(self.path) as file:
            file.writelines(line + b"\n" for line in kept[: self._count])

    def write(self, **record: Any) -> None:
        """Append one record and hand it to the operating system, where a kill of this process cannot reach it.

        Raises:
            TypeError: A value is not a number, text, bool, None, or a list or dict of these.
        """
        line = json.dumps(record, default=_number).encode() + b"\n"
        with open(self.path, "ab") as file:  # opened for each record: nothing is left open when a run is abandoned
            file.write(line)
        self._count += 1

    def position(self) -> int:
        """Force all records to the disk and return how many there are, for ``resume_at``.

        Raises:
            OSError: The disk is full or broken.
        """
        with open(self.path, "ab") as file:
            os.fsync(file.fileno())  # a checkpoint must not survive a power cut that its records do not
        return self._count


def read_metrics(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Read the records of a file that `Metrics` wrote, also while it is being written.

    A last line that a kill cut in half is left out.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A line before the last is not a record.
    """
    return [json.loads(line) for line in _whole_lines(Path(path))]


def _whole_lines(path: Path) -> list[bytes]:
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such file of metrics; check the path, or start a new run") from None
    for number, line in enumerate(lines):
        if not _is_record(line):
            if number < len(lines) - 1:  # the last one is empty, or half of a record
                raise ValueError(f"{path}: expected a JSON object in line {number + 1}, found {line[:60]!r}; repair it")
            return lines[:number]
    return lines


def _is_record(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _number(value: Any) -> Any:
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        return value.item()
    raise TypeError(f"Metrics.write: cannot store a {type(value).__name__} as JSON; use .item() or .tolist()")
