"""The folder where data sets are kept: files there are whole or absent, whenever the process is killed."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

_ABANDONED = 3600  # seconds after which a temporary file must belong to a killed process


def cache_folder(name: str) -> Path:
    """Return the folder of data set ``name`` in the user's cache (under XDG_CACHE_HOME where that is set)."""
    import pooch

    return Path(pooch.os_cache("tinygrad_cnn")) / name


def store(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` completely or not at all.

    Raises:
        OSError: The folder cannot be written or is full; a file that was at ``path`` is still there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)  # the new name must reach the disk as well
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _sweep(path: Path) -> None:
    for temporary in path.parent.glob(f"{path.name}.*.tmp"):
        with suppress(FileNotFoundError):  # another process may sweep, or finish, at the same time
            if temporary.stat().st_mtime < time.time() - _ABANDONED:
                temporary.unlink()
