"""Read the tensors of a file that ``torch.save`` wrote before PyTorch 1.6, without PyTorch and without running code.

Such a file is five pickles (a magic number, a version, the writer's machine, the state dict, the keys of the storages)
and then the storages, each a count and its numbers. A pickle is a program, and a hostile one runs whatever it likes. So
the program is read before it is run: it may use only the instructions that a state dict needs and name only four
globals, and in their place stand harmless descriptions. Sizes are checked before anything of that size is made.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_INSTRUCTIONS = set(
    "PROTO STOP MARK BINPUT LONG_BINPUT BINGET LONG_BINGET NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 "
    "BINUNICODE EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST APPEND APPENDS EMPTY_DICT SETITEM SETITEMS "
    "GLOBAL REDUCE BUILD BINPERSID".split()
)
_DTYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


class _Storage(NamedTuple):
    """Numbers in a row, somewhere in the file."""

    key: str
    dtype: np.dtype
    size: int


class _View(NamedTuple):
    """A tensor: which numbers of a storage, in which shape."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]  # in elements


class _Entries(dict):
    """What stands for an OrderedDict: the pickle may put entries in, and nothing else."""

    def __setstate__(self, state: Any) -> None:
        """Ignore what is not an entry: torch notes versions here."""


class _Rebuild:
    """What stands for the function that makes a tensor of a storage."""

    def __call__(self, storage: Any, offset: Any, shape: Any, strides: Any, *rest: Any) -> _View:
        numbers = (offset, *shape, *strides)
        if not isinstance(storage, _Storage) or not all(type(n) is int and n >= 0 for n in numbers):
            raise pickle.UnpicklingError("a tensor that is not made of a storage, an offset, a shape and strides")
        return _View(storage, offset, tuple(shape), tuple(strides))

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("a function whose state is set")


class _Unpickler(pickle.Unpickler):
    """An unpickler to which the world consists of four names."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return _Entries
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _Rebuild()
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        raise pickle.UnpicklingError(f"the global {module}.{name}")

    def persistent_load(self, pid: Any) -> _Storage:
        match pid:
            case ("storage", np.dtype() as dtype, str(key), str(), int(count), None) if count >= 0:
                return _Storage(key, dtype, count)
        raise pickle.UnpicklingError("a storage that is not described by kind, key, device and count")


def read_torch(content: bytes, name: str) -> dict[str, np.ndarray]:
    """Return the state dict in the bytes of a file that ``torch.save`` wrote in its old format.

    Args:
        content: the whole file.
        name: for the errors.

    Returns:
        name to array, float32 or int64, in the order of the file: read-only views of ``content``.

    Raises:
        ValueError: the file is damaged, is in the newer format (a zip archive), or contains anything but a dict of such
            tensors.
    """
    if content[:2] == b"PK":
        raise ValueError(
            f"{name}: expected torch's format of before version 1.6, found the newer one; load it with PyTorch and "
            "save it as .safetensors"
        )
    file = io.BytesIO(content)
    try:
        magic, protocol, machine, entries, keys = (_read_pickle(file) for _ in range(5))
        if magic != _MAGIC or protocol != _PROTOCOL:
            raise pickle.UnpicklingError(f"the magic number {magic!r} and version {protocol!r}")
        if not isinstance(machine, dict) or machine.get("little_endian") is not True:
            raise pickle.UnpicklingError("numbers that are not little-endian")
        if not isinstance(entries, dict) or not all(type(key) is str for key in entries):
            raise pickle.UnpicklingError("something other than a dict of names")
        views = {key: view for key, view in entries.items() if isinstance(view, _View)}
        if len(views) != len(entries):
            raise pickle.UnpicklingError(f"{sorted(set(entries) - set(views))[0]!r}, which is no tensor")
        described = {view.storage.key: view.storage for view in views.values()}
        numbers = _read_storages(content, file.tell(), described, keys)
        return {key: _as_array(key, view, numbers[view.storage.key]) for key, view in views.items()}
    except Exception as error:  # whatever nonsense makes the unpickler stumble, it is the file's fault
        said = str(error) or type(error).__name__
        raise ValueError(f"{name}: expected a state dict of float32 and int64 tensors, found {said}") from error


def _read_pickle(file: io.BytesIO) -> Any:
    """Check the instructions of the next pickle, and only then run it."""
    start = file.tell()
    for count, (instruction, argument, _) in enumerate(pickletools.genops(file), 1):
        if instruction.name not in _INSTRUCTIONS:
            raise pickle.UnpicklingError(f"the pickle instruction {instruction.name}")
        far_away = isinstance(argument, int) and argument > count
        if instruction.name.endswith("BINPUT") and far_away:  # a request for memory up to there
            raise pickle.UnpicklingError(f"place {argument} of the memo at instruction {count}")
    program = file.getvalue()[start : file.tell()]
    return _Unpickler(io.BytesIO(program)).load()


def _read_storages(content: bytes, position: int, storages: Mapping[str, _Storage], keys: Any) -> dict[str, np.ndarray]:
    """Return the numbers of each storage: in the order of ``keys``, a count of 8 bytes, then the numbers."""
    if not isinstance(keys, list) or sorted(keys) != sorted(storages):
        raise ValueError("storages that are not those of the tensors")
    arrays = {}
    for key in keys:
        _, dtype, count = storages[key]
        start, end = position + 8, position + 8 + count * dtype.itemsize
        found = int.from_bytes(content[position:start], "little")
        if found != count or end > len(content):
            raise ValueError(f"{found:,} elements and {len(content) - start:,} bytes for a storage of {count:,}")
        arrays[key] = np.frombuffer(content, dtype, count, start)
        position = end
    if position != len(content):
        raise ValueError(f"{len(content) - position:,} bytes after the last storage")
    return arrays


def _as_array(name: str, view: _View, numbers: np.ndarray) -> np.ndarray:
    """Return the elements of a view: no more than the storage has, and all of them inside of it."""
    _, offset, shape, strides = view
    steps = [stride if n > 1 else 0 for n, stride in zip(shape, strides, strict=True)]
    size = math.prod(shape)
    last = offset + sum((n - 1) * step for n, step in zip(shape, steps, strict=True)) if size else offset - 1
    if last >= len(numbers) or size > len(numbers):
        raise ValueError(f"{name} of shape {shape}, strides {strides} at {offset} in a storage of {len(numbers):,}")
    steps = [step * numbers.itemsize for step in steps]
    return np.lib.stride_tricks.as_strided(numbers[offset:], shape, steps, writeable=False)
