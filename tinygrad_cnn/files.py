"""Files that are whole or absent, whatever stops the writer: an error, Ctrl-C, a kill, a power cut."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file for writing that takes its name only when it is whole and on the disk.

    The bytes go to a temporary file in the same folder, are forced to the disk, and renamed to ``path`` in one step.
    Whoever reads ``path`` sees the old file or the new one. After an error or Ctrl-C the old file is untouched and
    the temporary one is gone; what a killed process left behind is removed by the next write to the same path.

    Raises:
        FileNotFoundError: The folder of ``path`` does not exist.
        OSError: The disk is full, the folder is read-only, ...

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "greeting.txt"
    >>> with atomic_write(path) as file:
    ...     _ = file.write(b"hello")
    >>> path.read_bytes()
    b'hello'
    """
    path = Path(os.path.realpath(path))  # a symbolic link stays one: the file it points to is replaced
    folder = path.parent
    if not folder.is_dir():
        raise FileNotFoundError(f"cannot write {path}: the folder {folder} does not exist; create it first")
    _remove_orphans(path)
    temporary = folder / f".{path.name}.{secrets.token_hex(4)}.tmp"
    try:
        with open(temporary, "xb") as file:
            _lock(file.fileno())
            yield file
            file.flush()
            os.fsync(file.fileno())
            os.replace(temporary, path)  # before the lock goes: nobody may take the finished file for an orphan
        _sync_folder(folder)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno and error.filename is None:  # "no space left" names no file
            error.filename = os.fspath(path)
        raise


def _lock(file: int) -> bool:
    """Mark a file as being written. The lock dies with its process, so an unlocked temporary file is an orphan."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # somebody holds it, or the file system has no locks: then orphans stay, and nothing else changes
        return False
    return True


def _remove_orphans(path: Path) -> None:
    for name in os.listdir(path.parent):
        if name.startswith(f".{path.name}.") and name.endswith(".tmp"):
            try:
                with open(path.parent / name, "rb") as file:
                    if _lock(file.fileno()):
                        os.unlink(file.name)
            except OSError:  # another user's, or just removed by its writer
                continue


def _sync_folder(folder: Path) -> None:
    """Force the new name to the disk: fsync of the file alone keeps its bytes, not its entry in the folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems sync no folders
            raise
    finally:
        os.close(descriptor)
