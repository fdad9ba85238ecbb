from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from tinygrad_cnn.data.sources import Collection

_TYPES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def _idx(x: np.ndarray) -> bytes:
    header = bytes([0, 0, _TYPES[x.dtype.str[1:]], x.ndim]) + np.array(x.shape, ">u4").tobytes()
    return header + x.astype(x.dtype.newbyteorder(">")).tobytes()


@pytest.fixture
def idx_bytes() -> Callable[[np.ndarray], bytes]:
    """An array as the bytes of an IDX file."""
    return _idx


@pytest.fixture
def tar_bytes() -> Callable[[Mapping[str, bytes]], bytes]:
    """A tar archive of {member: content}."""

    def build(contents: Mapping[str, bytes]) -> bytes:
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as tar:
            for name, content in contents.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
        return stream.getvalue()

    return build


@pytest.fixture
def raw() -> dict[str, bytes]:
    """The four files of a small data set."""
    generator = np.random.default_rng(0)
    return {
        "train-images-idx3-ubyte": _idx(generator.integers(0, 256, (6, 5, 4), np.uint8)),
        "train-labels-idx1-ubyte": _idx(np.arange(6, dtype=np.uint8)),
        "t10k-images-idx3-ubyte": _idx(generator.integers(0, 256, (3, 5, 4), np.uint8)),
        "t10k-labels-idx1-ubyte": _idx(np.array([2, 0, 1], np.uint8)),
    }


@pytest.fixture
def collection(raw: dict[str, bytes]) -> Collection:
    return Collection(
        name="Tiny",
        folder="tiny",
        sha256={file: hashlib.sha256(content).hexdigest() for file, content in raw.items()},
        mirrors=("http://one.invalid/", "http://two.invalid/"),
        npm=("tiny@1.0.0", "package/data"),
        debian=("dataset-tiny", "usr/share/datasets/tiny"),
    )


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache for data set "tiny", and no other folder that could answer."""
    monkeypatch.setattr("tinygrad_cnn.data.cache.cache_folder", lambda name: tmp_path / "cache" / name)
    monkeypatch.setattr("tinygrad_cnn.data.sources.cache_folder", lambda name: tmp_path / "cache" / name)
    monkeypatch.setattr("tinygrad_cnn.data.sources.SYSTEM_FOLDERS", (str(tmp_path / "system"),))
    monkeypatch.delenv("TINYGRAD_CNN_DATA", raising=False)
    return tmp_path / "cache" / "tiny"
