from __future__ import annotations

import gzip
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinygrad_cnn.data import idx
from tinygrad_cnn.data.idx import parse_idx, read_idx, read_unpacked, unpack

_CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


@settings(derandomize=True, max_examples=30, deadline=None)
@given(st.data())
def test_every_type_and_shape_round_trips(data: st.DataObject) -> None:
    dtype = np.dtype(data.draw(st.sampled_from(sorted(_CODES))))
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=4))
    x = data.draw(hnp.arrays(dtype, shape))
    raw = bytes([0, 0, _CODES[dtype.str[1:]], x.ndim]) + np.array(shape, ">u4").tobytes()
    y = parse_idx(raw + x.astype(dtype.newbyteorder(">")).tobytes(), "file")
    assert y.dtype == dtype
    assert y.dtype.isnative
    np.testing.assert_array_equal(y, x)


@pytest.mark.parametrize("pack", [lambda raw: raw, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("name", ["x", "x.gz"])
def test_gzip_is_seen_from_the_content(
    tmp_path: Path, idx_bytes: Callable[[np.ndarray], bytes], pack: Callable[[bytes], bytes], name: str
) -> None:
    x = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    path = tmp_path / name
    path.write_bytes(pack(idx_bytes(x)))
    np.testing.assert_array_equal(read_idx(path), x)


_RAW = bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 3]) + bytes(range(24))  # 2 x 4 x 3
_PACKED = gzip.compress(_RAW)
_HOSTILE = {
    "empty": (b"", "magic number .* found nothing"),
    "short magic": (_RAW[:3], "magic number"),
    "wrong magic": (b"\1" + _RAW[1:], "magic number .* found 01 00 08 03"),
    "unknown type": (_RAW[:2] + b"\x0a" + _RAW[3:], "magic number .* found 00 00 0a 03"),
    "no dimensions": (_RAW[:3] + b"\0" + _RAW[4:], "magic number"),
    "too many dimensions": (_RAW[:3] + b"\xff" + _RAW[4:] + bytes(2000), "magic number"),
    "html": (b"\n<!DOCTYPE html><html>Sign in</html>", "a web page, not data"),
    "header cut": (_RAW[:9], "header of 16 bytes for 3 dimensions, found 9 bytes"),
    "truncated": (_RAW[:-1], "40 bytes .* 2 x 4 x 3 .* found 39: the file is truncated"),
    "trailing bytes": (_RAW + b"?", "40 bytes .* found 41: the file is followed"),
    "enormous shape": (_RAW[:4] + b"\xff" * 12 + _RAW[16:], "found 40: the file is truncated"),
    "empty but enormous": (_RAW[:4] + bytes(4) + b"\xff" * 8, "a shape of at most"),
    "gzip truncated": (_PACKED[:-9], "truncated or damaged"),
    "gzip header only": (_PACKED[:6], "truncated or damaged"),
    "gzip with a flipped bit": (_PACKED[:20] + bytes([_PACKED[20] ^ 4]) + _PACKED[21:], "truncated or damaged"),
    "gzip with a wrong checksum": (_PACKED[:-8] + bytes(4) + _PACKED[-4:], "truncated or damaged"),
    "gzip with trailing garbage": (_PACKED + b"garbage", "truncated or damaged"),
    "gzip of html": (gzip.compress(b"<html>"), "a web page, not data"),
}


@pytest.mark.parametrize("case", sorted(_HOSTILE))
def test_hostile_files_are_refused_by_name(tmp_path: Path, case: str) -> None:
    content, message = _HOSTILE[case]
    path = tmp_path / "train-images"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"(?s){path}: expected .*{message}"):
        read_idx(path)


def test_a_gzip_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idx, "LIMIT", 2**20)
    bomb = gzip.compress(bytes(64 * 2**20))
    tracemalloc.start()
    with pytest.raises(ValueError, match="bomb: expected at most 1,048,576 bytes"):
        unpack(bomb, "bomb")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 2**20


def test_the_limit_is_256_megabytes() -> None:
    assert idx.LIMIT == 256 * 2**20


def test_a_plain_file_over_the_limit_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idx, "LIMIT", 100)
    (tmp_path / "large").write_bytes(bytes(101))
    with pytest.raises(ValueError, match="large: expected at most 100 bytes"):
        read_unpacked(tmp_path / "large")
    (tmp_path / "just").write_bytes(bytes(100))
    assert read_unpacked(tmp_path / "just") == bytes(100)


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=f"{tmp_path}: expected a file, found a folder"):
        read_idx(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="pipe: expected a file, found a device or pipe"):
        read_idx(tmp_path / "pipe")
    with pytest.raises(FileNotFoundError, match="missing"):
        read_idx(tmp_path / "missing")
