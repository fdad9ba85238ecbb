"""Named arrays in one file: the safetensors format behind a guard.

The format (https://github.com/huggingface/safetensors) is eight bytes that give the length of a header, the header as
JSON, and the raw numbers. It is data and never code. The safetensors package reads and writes it; the guard adds what
the package leaves open: contiguity when writing; the size of the header, names given twice, and kinds of numbers that
this library does not compute with when reading.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as parse
from safetensors.numpy import save as serialize

from tinygrad_cnn.files import atomic_write

# The kinds of numbers a file may hold, under the format's names for them.
DTYPES: dict[str, np.dtype[Any]] = {
    "F32": np.dtype(np.float32),
    "F64": np.dtype(np.float64),
    "I8": np.dtype(np.int8),
    "I16": np.dtype(np.int16),
    "I32": np.dtype(np.int32),
    "I64": np.dtype(np.int64),
    "U8": np.dtype(np.uint8),
    "U16": np.dtype(np.uint16),
    "U32": np.dtype(np.uint32),
    "U64": np.dtype(np.uint64),
    "BOOL": np.dtype(np.bool_),
}

_LARGEST_HEADER = 100_000_000  # bytes; the format's own limit

# What people offer instead, by its first bytes. Looked at only after a file was refused.
_STRANGERS = {
    b"PK\x03\x04": "It is a zip archive, such as torch.save or numpy.savez write",
    b"\x80\x02": "It is a pickle, which could run code when opened",
    b"\x80\x03": "It is a pickle, which could run code when opened",
    b"\x80\x04": "It is a pickle, which could run code when opened",
    b"\x80\x05": "It is a pickle, which could run code when opened",
    b"\x93NUMPY": "It is a .npy array",
    b"\x1f\x8b": "It is gzip-compressed",
    b"<": "It looks like a web page, perhaps a failed download",
}


def save(
    state_dict: Mapping[str, Any], path: str | os.PathLike[str], metadata: Mapping[str, str] | None = None
) -> None:
    """Write named arrays to a safetensors file, atomically.

    Args:
        state_dict: Name to array, or to a Tensor (its ``.data`` is written). Any layout and byte order; float32,
            float64, signed and unsigned integers of 8 to 64 bits, bool.
        path: The file; its folder must exist.
        metadata: Text to keep beside the arrays.

    Raises:
        TypeError: A value is not an array, its dtype is not in the list, a name or the metadata is not text.
        ValueError: A name is ``"__metadata__"``, which the format keeps for itself.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "weights.safetensors"
    >>> save({"fc.weight": np.eye(2, 3, dtype=np.float32)}, path)
    >>> load(path)["fc.weight"]
    array([[1., 0., 0.],
           [0., 1., 0.]], dtype=float32)
    """
    for key, text in (metadata or {}).items():
        if not (isinstance(key, str) and isinstance(text, str)):
            raise TypeError(f"save: metadata maps str to str, got {key!r}: {text!r}; json.dumps makes text of a value")
    arrays = {name: _storable(name, value) for name, value in state_dict.items()}
    content = serialize(arrays, dict(metadata) if metadata else None)
    with atomic_write(path) as file:
        file.write(content)


def load(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Read the named arrays of a safetensors file that `save`, PyTorch or any other tool wrote.

    Returns:
        Name to array, C-contiguous and writable, each with the dtype it was saved with.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is truncated, corrupt, or something else; the message says what was expected and found.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "weights.safetensors"
    >>> save({"scale": np.array(0.5)}, path)
    >>> load(path)
    {'scale': array(0.5)}
    """
    return read(path)[0]


def read(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Read the named arrays and the metadata of a safetensors file. Errors as `load`."""
    path = Path(path)
    try:
        status = path.stat()
    except FileNotFoundError:
        raise FileNotFoundError(_missing(path)) from None
    if not stat.S_ISREG(status.st_mode):  # before open(), which would wait for ever on a pipe
        kind = "a directory" if stat.S_ISDIR(status.st_mode) else "not a regular file"
        raise ValueError(f"{path}: expected a safetensors file, found {kind}; give the path of the file itself")
    with open(path, "rb") as file:
        try:
            return _read(file, os.fstat(file.fileno()).st_size)
        except ValueError as error:
            raise ValueError(f"{path}: {str(error)[:500]}. {_advice(file)}") from error


def _read(file: BinaryIO, size: int) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    start = file.read(8)
    if len(start) < 8:
        raise ValueError(f"expected a safetensors file, which starts with 8 bytes, found {len(start)} bytes in all")
    length, largest = int.from_bytes(start, "little"), min(size - 8, _LARGEST_HEADER)
    if length > largest:
        raise ValueError(f"expected a header of at most {largest:,} bytes (file: {size:,}), found one of {length:,}")
    text = file.read(length)
    header = _parse_header(text)
    metadata = header.pop("__metadata__", None) or {}
    claimed = 8 + length + max((_end(name, entry) for name, entry in header.items()), default=0)
    if claimed != size:  # before the rest is read: a wrong size must cost no memory
        raise ValueError(f"expected {claimed:,} bytes, as the header says, found {size:,}")
    try:
        arrays = parse(start + text + file.read())
    except (SafetensorError, ValueError, OverflowError) as error:
        found = str(error).removeprefix("Error while deserializing: ").rstrip(".")
        raise ValueError(f"expected shapes, offsets and bytes that agree and fill the file, found: {found}") from error
    for name, array in arrays.items():
        if array.dtype == np.bool_ and (array.view(np.uint8) > 1).any():
            raise ValueError(f"expected the bytes of the bool tensor {name!r} to be 0 or 1, found others")
    return arrays, metadata


def _parse_header(text: bytes) -> dict[str, Any]:
    twice: list[str] = []

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        entries: dict[str, Any] = {}
        for name, value in pairs:
            if name in entries:
                twice.append(name)
            entries[name] = value
        return entries

    try:
        header = json.loads(text.decode(), object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"expected a header in JSON, found something else ({error})") from error
    if not isinstance(header, dict):
        raise ValueError(f"expected the header to be a JSON object, found a {type(header).__name__}")
    if twice:
        raise ValueError(f"expected every name in the header once, found {twice[0]!r} twice")
    return header


def _end(name: str, entry: Any) -> int:
    """Return where the bytes of a tensor end. The package checks the other fields of the entry."""
    match entry:
        case {"dtype": str(dtype), "data_offsets": [int(), int(end)]} if dtype in DTYPES:
            return end
    raise ValueError(f"expected tensor {name!r} to have offsets and a dtype among {', '.join(DTYPES)}, found {entry}")


def _storable(name: Any, value: Any) -> np.ndarray:
    if not isinstance(name, str):
        raise TypeError(f"save: names are str, got {name!r} of type {type(name).__name__}")
    if name == "__metadata__":
        raise ValueError("save: the safetensors format keeps the name '__metadata__' for itself; rename the array")
    array = value if isinstance(value, (np.ndarray, np.generic)) else getattr(value, "data", None)
    if not isinstance(array, (np.ndarray, np.generic)):
        raise TypeError(f"save: {name!r} must be an array or a Tensor, got {type(value).__name__}; use np.asarray")
    native = array.dtype.newbyteorder("=")
    if native not in DTYPES.values():
        allowed = ", ".join(dtype.name for dtype in DTYPES.values())
        raise TypeError(f"save: {name!r} has dtype {array.dtype}, which cannot be stored; convert to one of {allowed}")
    # The package copies memory as it lies, whatever the strides say. (np.ascontiguousarray would make 0-d arrays 1-d.)
    return np.asarray(array, dtype=native, order="C")


def _missing(path: Path) -> str:
    neighbours = sorted(file.name for file in path.parent.glob("*.safetensors")) if path.parent.is_dir() else []
    if neighbours:
        return f"{path}: no such file; the folder holds {', '.join(neighbours[:8])}{', ...' * (len(neighbours) > 8)}"
    return f"{path}: no such file, and no *.safetensors file in that folder; check the path"


def _advice(file: BinaryIO) -> str:
    file.seek(0)
    start = file.read(8)
    for magic, what in _STRANGERS.items():
        if start.startswith(magic):
            return f"{what}. Only safetensors files are opened; convert it with the program that wrote it"
    return "Use another copy or an earlier checkpoint, or convert the file with the program that wrote it"
