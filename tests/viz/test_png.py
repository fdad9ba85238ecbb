from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest

from tinygrad_cnn.viz.png import png_bytes, save_png


def image(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (4, 7, 3), (6, 2, 4)])
def test_pillow_reads_the_same_pixels(shape: tuple[int, ...]) -> None:
    pillow = pytest.importorskip("PIL.Image")
    pixels = image(*shape)
    with pillow.open(io.BytesIO(png_bytes(pixels))) as found:
        found.load()
        np.testing.assert_array_equal(np.asarray(found), pixels)


def test_the_parts_of_the_file_check_out() -> None:
    pixels = image(3, 4, 3)
    content = png_bytes(pixels[:, ::-1])  # any memory layout
    assert content == png_bytes(pixels[:, ::-1].copy())
    at, names, packed = 8, [], b""
    while at < len(content):
        (length,), name = struct.unpack(">I", content[at : at + 4]), content[at + 4 : at + 8]
        body = content[at + 8 : at + 8 + length]
        assert struct.unpack(">I", content[at + 8 + length : at + 12 + length]) == (zlib.crc32(name + body),)
        names.append(name)
        packed += body if name == b"IDAT" else b""
        at += 12 + length
    assert names == [b"IHDR", b"IDAT", b"IEND"]
    rows = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(3, 13)
    assert (rows[:, 0] == 2).all()
    np.testing.assert_array_equal(rows[:, 1:].cumsum(0, dtype=np.uint8).reshape(3, 4, 3), pixels[:, ::-1])


def test_a_file_is_written_whole(tmp_path) -> None:
    save_png(image(4, 5), tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == png_bytes(image(4, 5))


@pytest.mark.parametrize("shape", [(3,), (0, 4), (2, 2, 2), (1, 2, 2, 3)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"must be \(H, W\), \(H, W, 3\) or \(H, W, 4\), got shape"):
        png_bytes(image(*shape))


def test_numbers_that_are_no_bytes_are_refused() -> None:
    with pytest.raises(TypeError, match=r"must be of uint8 .*, got float64"):
        png_bytes(np.zeros((2, 2)))
