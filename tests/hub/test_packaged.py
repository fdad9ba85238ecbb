from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tinygrad_cnn.hub import packaged
from tinygrad_cnn.hub.packaged import PackagedFile

CONTENT = b"seventeen million"
FILE = PackagedFile("tiny==1.0.0", "tiny/models/weights.pth", hashlib.sha256(CONTENT).hexdigest())


class Index:
    """The package index: what it delivers, and what it was asked."""

    def __init__(self) -> None:
        self.answer: bytes | Exception = CONTENT
        self.asked: list[tuple[str, str]] = []
        self.lines: list[str] = []

    def wheel_file(self, package: str, member: str) -> bytes:
        self.asked.append((package, member))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(packaged, "cache_folder", lambda name: tmp_path / "cache" / name)
    monkeypatch.delenv("TINYGRAD_CNN_DATA", raising=False)
    return tmp_path / "cache" / "hub"


@pytest.fixture
def index(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    index = Index()
    monkeypatch.setattr(packaged, "wheel_file", index.wheel_file)
    return index


def test_a_file_is_downloaded_once(index: Index, cache: Path) -> None:
    assert not FILE.is_here()
    assert FILE.read(index.lines.append) == CONTENT
    assert FILE.is_here()
    assert (cache / "weights.pth").read_bytes() == CONTENT
    assert FILE.read(index.lines.append) == CONTENT
    assert index.asked == [("tiny==1.0.0", "tiny/models/weights.pth")]
    assert index.lines == [f"weights.pth: downloading the package tiny==1.0.0 for it, into {cache}"]


def test_a_file_by_hand_comes_first(index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYGRAD_CNN_DATA", str(tmp_path))
    (tmp_path / "weights.pth").write_bytes(CONTENT)
    assert FILE.is_here()
    assert FILE.read() == CONTENT
    assert index.asked == []


def test_a_wrong_file_is_refused_and_not_kept(index: Index, cache: Path) -> None:
    index.answer = b"other"
    with pytest.raises(ValueError, match=r"tiny==1\.0\.0/tiny/models/weights\.pth: expected weights\.pth with SHA-256"):
        FILE.read(index.lines.append)
    assert not FILE.is_here()
    cache.mkdir(parents=True)
    (cache / "weights.pth").write_bytes(b"damaged")
    with pytest.raises(ValueError, match=r"cache/hub/weights\.pth: expected .* the file is damaged"):
        FILE.read()


def test_without_a_network_the_message_says_what_to_do(index: Index, cache: Path) -> None:
    index.answer = OSError("pip failed: no network")
    with pytest.raises(OSError, match=r"pip failed: no network\. To supply it by hand: pip download") as caught:
        FILE.read(index.lines.append)
    assert str(cache) in str(caught.value)


def test_a_cache_that_cannot_be_written_costs_a_line(
    index: Index, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(packaged, "store", full)
    assert FILE.read(index.lines.append) == CONTENT
    assert "could not be kept" in index.lines[-1]
