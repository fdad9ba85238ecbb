"""Read IDX, the file format of MNIST, plain or gzipped, trusting nothing that a file says about itself.

An IDX file is the magic number ``00 00 type ndim``, one big-endian 32-bit length per dimension, then the elements in C
order (Y. LeCun, C. Cortes, C. Burges: The MNIST database of handwritten digits).
"""

from __future__ import annotations

import gzip
import io
import math
import zlib
from os import PathLike
from pathlib import Path

import numpy as np

LIMIT = 256 * 2**20  # bytes, packed or unpacked: five times the largest file of MNIST

_MAX_NDIM = 32
_GZIP_MAGIC = b"\x1f\x8b"
_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx(path: str | PathLike[str]) -> np.ndarray:
    """Read an IDX or IDX.gz file.

    Args:
        path: The file. Whether it is gzipped is seen from its content, not from its name.

    Returns:
        An array with the file's shape and dtype, in native byte order.

    Raises:
        OSError: The file is missing, unreadable, or not a regular file.
        ValueError: It is truncated, damaged, not IDX, or unpacks to more than 256 MB. The message names the file.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     _ = file.write(bytes([0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 3]) + bytes([7, 8, 9]))
    ...     file.flush()
    ...     read_idx(file.name)
    array([[7, 8, 9]], dtype=uint8)
    """
    return parse_idx(read_unpacked(path), str(path))


def read_unpacked(path: str | PathLike[str]) -> bytes:
    """Return the bytes of a regular file, gunzipped where it is gzipped, at most `LIMIT` of them."""
    path = Path(path)
    if path.exists() and not path.is_file():  # opening a pipe would wait for ever
        raise OSError(f"{path}: expected a file, found a {'folder' if path.is_dir() else 'device or pipe'}")
    with path.open("rb") as file:
        content = file.read(LIMIT + 1)
    return unpack(content, str(path))


def unpack(content: bytes, name: str) -> bytes:
    """Gunzip ``content`` where it is gzipped, at most `LIMIT` bytes; ``name`` is for the error."""
    if content[:2] == _GZIP_MAGIC:
        try:
            content = gzip.GzipFile(fileobj=io.BytesIO(content)).read(LIMIT + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"{name}: expected a gzip file, found a truncated or damaged one ({error})") from error
    if len(content) > LIMIT:
        raise ValueError(f"{name}: expected at most {LIMIT:,} bytes, packed or unpacked, found more")
    return content


def parse_idx(raw: bytes, name: str) -> np.ndarray:
    """Read unpacked IDX bytes as an array (a read-only view of them where the elements are single bytes)."""
    ndim = raw[3] if len(raw) > 3 else 0
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] not in _DTYPES or not 1 <= ndim <= _MAX_NDIM:
        web_page = raw.lstrip()[:1] == b"<"
        found = (raw[:4].hex(" ") or "nothing") + (": a web page, not data; download it again" if web_page else "")
        raise ValueError(f"{name}: expected the IDX magic number 00 00 <type> <dimensions>, found {found}")
    start = 4 + 4 * ndim
    if len(raw) < start:
        raise ValueError(f"{name}: expected a header of {start} bytes for {ndim} dimensions, found {len(raw)} bytes")
    dtype = np.dtype(_DTYPES[raw[2]])
    shape = tuple(np.frombuffer(raw, ">u4", ndim, 4).tolist())
    expected = start + math.prod(shape) * dtype.itemsize
    if len(raw) != expected:
        sizes = " x ".join(str(size) for size in shape)
        state = "truncated" if len(raw) < expected else "followed by something else"
        raise ValueError(
            f"{name}: expected {expected:,} bytes (a header of {start}, then {sizes} elements of {dtype.itemsize}), "
            f"found {len(raw):,}: the file is {state}"
        )
    if math.prod(max(size, 1) for size in shape) > LIMIT:  # no elements, but a shape that NumPy cannot hold
        raise ValueError(f"{name}: expected a shape of at most {LIMIT:,} elements, found {shape}")
    x = np.frombuffer(raw, dtype, offset=start).reshape(shape)
    return x.astype(dtype.newbyteorder("="), copy=False)
