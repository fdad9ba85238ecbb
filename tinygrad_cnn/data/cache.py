"""The folder where data sets are kept: files there are whole or absent, whenever the process is killed."""

from __future__ import annotations

from pathlib import Path

from tinygrad_cnn.files import atomic_write


def cache_folder(name: str) -> Path:
    """Return the folder of data set ``name`` in the user's cache (under XDG_CACHE_HOME where that is set)."""
    import pooch

    return Path(pooch.os_cache("tinygrad_cnn")) / name


def store(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path``, whose folder is made, completely or not at all.

    Raises:
        OSError: The folder cannot be written or is full; a file that was at ``path`` is still there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        file.write(content)
