from __future__ import annotations

import collections
import contextlib
import io
import os
import pickle
import struct
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn.hub.torch_file import read_torch

MACHINE = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}


class Named:
    """Stands, while a test file is written, for a global of torch."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name


REBUILD = Named("torch._utils", "_rebuild_tensor_v2")
STORAGES = {"float32": Named("torch", "FloatStorage"), "int64": Named("torch", "LongStorage")}


class Call:
    """Stands for what a function returns: the reader is to call it."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.function, self.args = function, args

    def __reduce__(self) -> Any:
        return self.function, self.args


class Storage:
    def __init__(self, key: str, dtype: str, count: Any) -> None:
        self.pid = ("storage", STORAGES[dtype], key, "cpu", count, None)


class Writer(pickle._Pickler):  # the one in Python, which can be taught new tricks
    def persistent_id(self, thing: Any) -> Any:
        return thing.pid if isinstance(thing, Storage) else None

    def save(self, thing: Any, save_persistent_id: bool = True) -> None:
        if isinstance(thing, Named):
            self.write(f"c{thing.module}\n{thing.name}\n".encode())
        elif isinstance(thing, Call):
            self.save(thing.function)
            self.save(tuple(thing.args))
            self.write(b"R")
        else:
            super().save(thing, save_persistent_id)


def pickled(thing: Any) -> bytes:
    stream = io.BytesIO()
    Writer(stream, 2).dump(thing)
    return stream.getvalue()


def tensor(key: str, dtype: str, count: Any, offset: Any, shape: Any, strides: Any) -> Call:
    return Call(REBUILD, Storage(key, dtype, count), offset, shape, strides, False, collections.OrderedDict())


def torch_file(entries: Any, storages: dict[str, np.ndarray], machine: Any = MACHINE, keys: Any = None) -> bytes:
    parts = [pickled(0x1950A86A20F9469CFC6C), pickled(1001), pickled(machine), pickled(entries)]
    parts.append(pickled(sorted(storages) if keys is None else keys))
    for key in sorted(storages):
        parts.append(struct.pack("<q", storages[key].size) + storages[key].tobytes())
    return b"".join(parts)


NUMBERS = {"a": np.arange(12, dtype="<f4"), "b": np.array([7], "<i8")}
ENTRIES = {"w": tensor("a", "float32", 12, 0, (3, 4), (4, 1)), "n": tensor("b", "int64", 1, 0, (), ())}


def test_tensors_are_read_in_the_order_of_the_file() -> None:
    found = read_torch(torch_file(collections.OrderedDict(ENTRIES), NUMBERS), "small.pth")
    assert list(found) == ["w", "n"]
    np.testing.assert_array_equal(found["w"], np.arange(12, dtype=np.float32).reshape(3, 4))
    assert (found["n"].shape, found["n"].dtype, int(found["n"])) == ((), np.int64, 7)
    assert not found["w"].flags.writeable


def test_parts_and_transposes_of_a_storage_are_views() -> None:
    entries = {
        "part": tensor("a", "float32", 12, 5, (2, 3), (3, 1)),
        "transposed": tensor("a", "float32", 12, 0, (4, 3), (1, 4)),
        "empty": tensor("a", "float32", 12, 12, (0, 3), (3, 1)),
        "one": tensor("a", "float32", 12, 11, (1, 1), (99, 10**30)),  # strides of axes of length 1 do not matter
    }
    found = read_torch(torch_file(entries, {"a": NUMBERS["a"]}), "small.pth")
    np.testing.assert_array_equal(found["part"], np.arange(5, 11).reshape(2, 3))
    np.testing.assert_array_equal(found["transposed"], np.arange(12).reshape(3, 4).T)
    assert found["empty"].shape == (0, 3)
    assert found["one"].tolist() == [[11]]


def test_agrees_with_torch(torch: Any) -> None:
    generator = torch.Generator().manual_seed(0)
    values = collections.OrderedDict(
        w=torch.randn(3, 4, 2, generator=generator), t=torch.randn(5, 3, generator=generator).T, n=torch.tensor(3)
    )
    stream = io.BytesIO()
    torch.save(values, stream, _use_new_zipfile_serialization=False)
    found = read_torch(stream.getvalue(), "torch.pth")
    assert list(found) == list(values)
    for name, value in values.items():
        np.testing.assert_array_equal(found[name], value.numpy())


class Innocent:
    pass


def bytes_of(*instructions: bytes) -> bytes:
    """Return a file whose fourth pickle, the state dict, is written by hand."""
    before = pickled(0x1950A86A20F9469CFC6C) + pickled(1001) + pickled(MACHINE)
    return before + b"\x80\x02" + b"".join(instructions) + b"." + pickled([])


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "os.system": (lambda: torch_file({"w": Call(os.system, "touch owned")}, {}), r"the global \w+\.system"),
    "eval": (lambda: torch_file({"w": Call(eval, "open('owned', 'w')")}, {}), r"the global \w+\.eval"),
    "os.system first": (lambda: pickled(Call(os.system, "touch owned")), r"the global \w+\.system"),
    "unknown class": (lambda: torch_file({"w": Innocent()}, {}), r"the instruction|the global|instruction NEWOBJ"),
    "other storage": (lambda: torch_file({"w": Named("torch", "HalfStorage")}, {}), r"the global torch\.HalfStorage"),
    "torch.load": (lambda: torch_file({"w": Call(Named("torch", "load"), "x")}, {}), r"the global torch\.load"),
    "dotted name": (
        lambda: torch_file({"w": Call(Named("collections", "OrderedDict.fromkeys"), "x")}, {}), "OrderedDict.fromkeys"
    ),
    "stack global": (lambda: bytes_of(b"\x8c\x02os\x8c\x06system\x93"), "the pickle instruction SHORT_BINUNICODE"),
    "inst": (lambda: bytes_of(b"(ios\nsystem\n"), "the pickle instruction INST"),
    "memo bomb": (lambda: bytes_of(b"}r\xff\xff\xff\x7f"), "place 2147483647 of the memo"),
    "long text": (lambda: bytes_of(b"X\xff\xff\xff\x7fabc"), "expected 2147483647 bytes"),
    "bytearray": (lambda: bytes_of(b"\x96" + struct.pack("<Q", 2**60)), "found"),
    "state of a function": (
        lambda: bytes_of(b"ctorch._utils\n_rebuild_tensor_v2\n}X\1\0\0\0a\x88sb"), "a function whose state is set"
    ),
    "state of a class": (lambda: bytes_of(b"ccollections\nOrderedDict\n}b"), "found"),
    "a storage as function": (lambda: bytes_of(b"ctorch\nFloatStorage\n)R"), "found"),
    "other persistent id": (lambda: bytes_of(b"X\x01\x00\x00\x00aQ"), "a storage that is not described"),
    "no dict": (lambda: torch_file([1, 2], {}), "something other than a dict of names"),
    "names are numbers": (lambda: torch_file({1: ENTRIES["w"]}, {}), "something other than a dict of names"),
    "no tensors": (lambda: torch_file({"w": 3, "v": ENTRIES["w"]}, NUMBERS), "'w', which is no tensor"),
    "big-endian": (lambda: torch_file(ENTRIES, NUMBERS, {"little_endian": False}), "not little-endian"),
    "shape beyond": (
        lambda: torch_file({"w": tensor("a", "float32", 12, 1, (3, 4), (4, 1))}, {"a": NUMBERS["a"]}),
        r"w of shape \(3, 4\), strides \(4, 1\) at 1 in a storage of 12",
    ),
    "huge shape": (
        lambda: torch_file({"w": tensor("a", "float32", 12, 0, (2**40, 4), (0, 0))}, {"a": NUMBERS["a"]}), "w of shape"
    ),
    "huge strides": (
        lambda: torch_file({"w": tensor("a", "float32", 12, 0, (2, 2), (2**62, 1))}, {"a": NUMBERS["a"]}), "w of shape"
    ),
    "negative offset": (
        lambda: torch_file({"w": tensor("a", "float32", 12, -8, (2, 2), (2, 1))}, {"a": NUMBERS["a"]}), "not made of"
    ),
    "shape is text": (
        lambda: torch_file({"w": tensor("a", "float32", 12, 0, "ab", (2, 1))}, {"a": NUMBERS["a"]}), "not made of"
    ),
    "huge empty shape": (
        lambda: torch_file({"w": tensor("a", "float32", 12, 0, (0, 2**70), (1, 1))}, {"a": NUMBERS["a"]}), "found"
    ),
    "huge count": (
        lambda: torch_file({"w": tensor("a", "float32", 2**50, 0, (2, 2), (2, 1))}, {"a": NUMBERS["a"]}),
        "12 elements and 48 bytes for a storage of 1,125,899,906,842,624",
    ),
    "count and file agree on too much": (
        lambda: torch_file({"w": tensor("a", "float32", 13, 0, (2, 2), (2, 1))}, {"a": NUMBERS["a"]}).replace(
            struct.pack("<q", 12), struct.pack("<q", 13)
        ),
        "13 elements and 48 bytes for a storage of 13",
    ),
    "negative count": (
        lambda: torch_file({"w": tensor("a", "float32", -1, 0, (2, 2), (2, 1))}, {"a": NUMBERS["a"]}), "not described"
    ),
    "count is text": (
        lambda: torch_file({"w": tensor("a", "float32", "12", 0, (2, 2), (2, 1))}, {"a": NUMBERS["a"]}), "not described"
    ),
    "missing storage": (lambda: torch_file(ENTRIES, {"a": NUMBERS["a"]}), "not those of the tensors"),
    "keys are nonsense": (lambda: torch_file(ENTRIES, NUMBERS, keys=[["a"], "b"]), "found"),
    "bytes at the end": (lambda: torch_file(ENTRIES, NUMBERS) + b"more", "4 bytes after the last storage"),
    "other magic": (lambda: pickled(1) + torch_file(ENTRIES, NUMBERS)[15:], "the magic number 1"),
    "web page": (lambda: b"<html>" * 1000, "found"),
    "nothing": (lambda: b"", "found"),
    "zip": (lambda: b"PK\x03\x04", "found the newer one"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_and_damaged_files_are_refused(name: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    build, message = HOSTILE[name]
    content = build()
    start = time.perf_counter()
    with pytest.raises(ValueError, match=message) as caught:
        read_torch(content, "bad.pth")
    assert time.perf_counter() - start < 2
    assert str(caught.value).startswith("bad.pth: expected")
    assert list(tmp_path.iterdir()) == []


def test_every_truncation_is_refused() -> None:
    whole = torch_file(ENTRIES, NUMBERS)
    read_torch(whole, "whole.pth")
    for length in range(len(whole)):
        with pytest.raises(ValueError, match=r"cut\.pth: expected"):
            read_torch(whole[:length], "cut.pth")


def test_a_changed_byte_is_refused_or_harmless() -> None:
    whole = torch_file(ENTRIES, NUMBERS)
    generator = np.random.default_rng(0)
    for _ in range(2000):
        damaged = bytearray(whole)
        damaged[generator.integers(len(whole))] = generator.integers(256)
        with contextlib.suppress(ValueError):  # no other exception, and no crash
            found = read_torch(bytes(damaged), "odd.pth")
            assert all(value.dtype in (np.float32, np.int64) for value in found.values())
