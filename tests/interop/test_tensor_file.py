from __future__ import annotations

import json
import os
import pickle
import struct
import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinygrad_cnn.interop.tensor_file import DTYPES, load, read, save


class Holder:
    """Stands for a Tensor: an object with an array in ``.data``."""

    def __init__(self, data):
        self.data = data


def same(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def content(header, data=b""):
    """Lay out a safetensors file by hand."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(shape, start, stop, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


WHOLE = content({"w": entry([2, 3], 0, 24), "b": entry([3], 24, 36)}, bytes(36))
TWICE = b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'

HOSTILE = {
    "empty": b"",
    "seven bytes": bytes(7),
    "truncated in the length": WHOLE[:5],
    "truncated after the length": WHOLE[:8],
    "truncated in the header": WHOLE[:40],
    "truncated before the data": WHOLE[:-36],
    "truncated in the data": WHOLE[:-1],
    "trailing byte": WHOLE + b"\0",
    "trailing copy": WHOLE + WHOLE,
    "header of 2**60 bytes": struct.pack("<Q", 2**60) + b"{}",
    "header of 2**64 - 1 bytes": struct.pack("<Q", 2**64 - 1) + b"{}",
    "header of 1 GB": struct.pack("<Q", 10**9) + b"{}",
    "header one byte too long": struct.pack("<Q", 3) + b"{}",
    "header of no bytes": struct.pack("<Q", 0),
    "header not JSON": content(b"{w: 1}"),
    "header not UTF-8": content(b'{"\xff\xfe": 1}'),
    "header a list": content([]),
    "header a number": content(b"1"),
    "header nested deep": content(b'{"w":' + b"[" * 100_000),
    "header a number of 10,000 digits": content(b'{"w":' + b"9" * 10_000 + b"}"),
    "duplicate tensor": content(TWICE, bytes(4)),
    "duplicate metadata": content(b'{"__metadata__":{"a":"1","a":"2"}}'),
    "metadata a list": content({"__metadata__": ["a"]}),
    "metadata not text": content({"__metadata__": {"a": 1}}),
    "entry not an object": content({"w": 1}),
    "entry without offsets": content({"w": {"dtype": "F32", "shape": [0]}}),
    "entry without shape": content({"w": {"dtype": "F32", "data_offsets": [0, 0]}}),
    "entry with one offset": content({"w": {"dtype": "F32", "shape": [0], "data_offsets": [0]}}),
    "dtype float16": content({"w": entry([2], 0, 4, "F16")}, bytes(4)),
    "dtype bfloat16": content({"w": entry([2], 0, 4, "BF16")}, bytes(4)),
    "dtype complex": content({"w": entry([1], 0, 8, "C64")}, bytes(8)),
    "dtype unknown": content({"w": entry([1], 0, 4, "Q7")}, bytes(4)),
    "dtype a list": content({"w": entry([1], 0, 4, ["F32"])}, bytes(4)),
    "bool byte 2": content({"w": entry([2], 0, 2, "BOOL")}, b"\1\2"),
    "overlap": content({"a": entry([2], 0, 8), "b": entry([2], 4, 12)}, bytes(12)),
    "hole": content({"a": entry([1], 0, 4), "b": entry([1], 8, 12)}, bytes(12)),
    "hole at the start": content({"a": entry([1], 4, 8)}, bytes(8)),
    "offsets reversed": content({"a": entry([1], 4, 0)}, bytes(4)),
    "offsets negative": content({"a": entry([1], -4, 0)}),
    "offsets not whole": content(b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0.0,4.0]}}', bytes(4)),
    "offsets beyond the file": content({"a": entry([2**38], 0, 2**40)}, bytes(4)),
    "shape larger than the bytes": content({"a": entry([2], 0, 4)}, bytes(4)),
    "shape smaller than the bytes": content({"a": entry([1], 0, 8)}, bytes(8)),
    "shape negative": content({"a": entry([-1, -1], 0, 4)}, bytes(4)),
    "shape not whole": content({"a": entry([1.5], 0, 4)}, bytes(4)),
    "shape that overflows": content({"a": entry([2**33, 2**33], 0, 4)}, bytes(4)),
    "shape that overflows to fit": content({"a": entry([2**62 + 1, 4], 0, 16)}, bytes(16)),
    "shape empty but huge": content({"a": entry([0, 2**62, 2**62], 0, 0)}),
    "shape of 65 axes": content({"a": entry([1] * 65, 0, 4)}, bytes(4)),
    "pickle": pickle.dumps({"w": [0.0] * 100}),
    "torch zip": b"PK\x03\x04" + bytes(200),
    "npy": b"\x93NUMPY\x01\x00v\x00" + bytes(200),
    "gzip": b"\x1f\x8b\x08\x00" + bytes(200),
    "web page": b"<!DOCTYPE html><html>404</html>",
    "all zero": bytes(1000),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_by_name(tmp_path, name):
    path = tmp_path / "model.safetensors"
    path.write_bytes(HOSTILE[name])
    with pytest.raises(ValueError, match=r"(?s)expected .* found") as caught:
        load(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "convert" in message  # what to do


def test_hostile_files_cost_neither_time_nor_memory(tmp_path):
    for number, hostile in enumerate(HOSTILE.values()):
        (tmp_path / str(number)).write_bytes(hostile)
    start = time.perf_counter()
    tracemalloc.start()
    try:
        for number in range(len(HOSTILE)):
            with pytest.raises(ValueError, match="expected"):
                load(tmp_path / str(number))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(HOSTILE) >= 30
    assert time.perf_counter() - start < 2
    assert peak < 10_000_000


def test_a_huge_file_with_a_wrong_header_is_refused_without_being_read(tmp_path):
    path = tmp_path / "sparse.safetensors"
    path.write_bytes(content({"w": entry([1], 0, 4)}))
    os.truncate(path, 2**40)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"found 1,099,511,627,776"):
            load(path)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("name", "hint"), [("pickle", "pickle"), ("torch zip", "torch.save"), ("npy", "npy"), ("web page", "web page")]
)
def test_strangers_are_named(tmp_path, name, hint):
    path = tmp_path / "file"
    path.write_bytes(HOSTILE[name])
    with pytest.raises(ValueError, match=hint):
        load(path)


def test_a_pickle_is_not_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    (tmp_path / "file").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ValueError, match="expected"):
        load(tmp_path / "file")
    assert not (tmp_path / "ran").exists()


def test_directories_and_pipes_are_refused(tmp_path):
    with pytest.raises(ValueError, match="found a directory"):
        load(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="found not a regular file"):
        load(tmp_path / "pipe")


def test_a_missing_file_shows_its_neighbours(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no \*.safetensors file in that folder"):
        load(tmp_path / "a.safetensors")
    save({}, tmp_path / "b.safetensors")
    with pytest.raises(FileNotFoundError, match=r"the folder holds b.safetensors"):
        load(tmp_path / "a.safetensors")


@given(cut=st.integers(0, len(WHOLE) - 1), byte=st.integers(0, 255))
@settings(max_examples=100, derandomize=True, deadline=None)
def test_a_damaged_file_is_refused_or_whole(tmp_path_factory, cut, byte):
    path = tmp_path_factory.getbasetemp() / "damaged.safetensors"
    path.write_bytes(WHOLE[:cut])
    with pytest.raises(ValueError, match="expected"):
        load(path)
    path.write_bytes(WHOLE[:cut] + bytes([byte]) + WHOLE[cut + 1 :])
    try:
        size = sum(array.nbytes for array in load(path).values())
    except ValueError:
        size = 36
    assert size == 36


LAYOUTS = {
    "C": lambda a: a,
    "Fortran": np.asfortranarray,
    "transposed": lambda a: a.T,
    "strided": lambda a: a[:, ::2],
    "reversed": lambda a: a[::-1, ::-1],
    "broadcast": lambda a: np.broadcast_to(a[:1], a.shape),
    "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "read-only": lambda a: np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape),
    "unaligned": lambda a: np.frombuffer(b"\0" + a.tobytes(), a.dtype, offset=1).reshape(a.shape),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16])
def test_every_layout_round_trips(tmp_path, layout, dtype):
    array = LAYOUTS[layout](np.arange(35, dtype=dtype).reshape(5, 7))
    save({"a": array, "b": Holder(array)}, tmp_path / "file")
    for loaded in load(tmp_path / "file").values():
        np.testing.assert_array_equal(loaded, array)
        assert loaded.dtype == dtype
        assert loaded.flags.c_contiguous
        assert loaded.flags.writeable


@given(
    array=st.sampled_from(list(DTYPES.values())).flatmap(
        lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4))
    )
)
@settings(max_examples=60, derandomize=True, deadline=None)
def test_every_dtype_and_shape_round_trips_to_the_bit(tmp_path_factory, array):
    path = tmp_path_factory.getbasetemp() / "any.safetensors"
    save({"layer.0.weight": array, "": array}, path)
    loaded = load(path)
    assert same(loaded["layer.0.weight"], array)
    assert same(loaded[""], array)


def test_special_values_keep_their_bits(tmp_path):
    array = np.array([np.nan, -np.nan, np.inf, -0.0, 5e-324])
    save({"a": array, "0-d": np.array(-0.0, np.float32), "scalar": np.float32(3)}, tmp_path / "file")
    loaded = load(tmp_path / "file")
    assert same(loaded["a"], array)
    assert same(loaded["0-d"], np.array(-0.0, np.float32))
    assert same(loaded["scalar"], np.array(3, np.float32))


def test_metadata(tmp_path):
    save({}, tmp_path / "file", {"licence": "MIT", "größe": "3 µm"})
    assert read(tmp_path / "file") == ({}, {"licence": "MIT", "größe": "3 µm"})
    with pytest.raises(TypeError, match=r"str to str, got 'epoch': 3; json.dumps"):
        save({}, tmp_path / "file", {"epoch": 3})


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.zeros(2, np.float16), "dtype float16"),
        (np.zeros(2, np.complex128), "dtype complex128"),
        (np.array(["a"]), "dtype <U1"),
        (np.array([None]), "dtype object"),
        (np.zeros(2, "M8[s]"), "dtype datetime64"),
        ([1.0, 2.0], "must be an array or a Tensor, got list"),
        (1.0, "got float"),
        (None, "got NoneType"),
    ],
)
def test_values_that_cannot_be_stored_are_named(tmp_path, value, message):
    with pytest.raises(TypeError, match=f"'fc.bias'.*{message}"):
        save({"fc.bias": value}, tmp_path / "file")
    assert os.listdir(tmp_path) == []


def test_names_that_cannot_be_stored(tmp_path):
    with pytest.raises(TypeError, match="names are str, got 3"):
        save({3: np.zeros(1)}, tmp_path / "file")
    with pytest.raises(ValueError, match="__metadata__"):
        save({"__metadata__": np.zeros(1)}, tmp_path / "file")


def test_saving_does_not_touch_the_arrays_and_loading_does_not_share_them(tmp_path):
    array = np.arange(6.0).reshape(2, 3)
    save({"a": array}, tmp_path / "file")
    loaded = load(tmp_path / "file")["a"]
    loaded[:] = 0
    assert array.sum() == 15
    assert load(tmp_path / "file")["a"].sum() == 15


def test_torch_reads_and_writes_the_same_files(tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file, save_file

    save({"w": np.arange(6, dtype=np.float32).reshape(2, 3).T}, tmp_path / "ours")
    assert load_file(tmp_path / "ours")["w"].tolist() == [[0, 3], [1, 4], [2, 5]]
    save_file({"w": torch.eye(2, dtype=torch.float64)}, tmp_path / "theirs")
    np.testing.assert_array_equal(load(tmp_path / "theirs")["w"], np.eye(2))
