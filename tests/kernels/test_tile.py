from __future__ import annotations

import ctypes
import mmap
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import tinygrad_cnn
from tinygrad_cnn import reference
from tinygrad_cnn.checks.measure import error
from tinygrad_cnn.kernels import conv, conv_input_grad, conv_lanes, conv_weight_grad, gemm, linear, threads, tile
from tinygrad_cnn.kernels.compile import kernel
from tinygrad_cnn.kernels.tile import copy_run, inner_tile, outer_tile

DTYPES = [np.float32, np.float64]
BOUND = {np.dtype(np.float32): 2e-6, np.dtype(np.float64): 1e-10}
X86 = platform.machine().lower() in ("x86_64", "amd64")


@kernel
def outer(a, b, table, y, a_start, a_row, a_step, b_start, depth, y_start, y_row, rows, vectors, add):
    outer_tile(
        a, a_start, a_row, a_step, b, b_start, table, 1, depth, y, y_start, y_row, rows, vectors, add
    )  # fmt: skip


@kernel
def inner(a, b, table, y, a_start, a_row, b_start, steps, y_start, rows):
    inner_tile(a, a_start, a_row, b, b_start, table, 2, steps, y, y_start, rows)


@kernel
def copy(x, y, x_start, y_start, count, plus):
    copy_run(x, x_start, y, y_start, count, x.dtype.type(plus))


def whole_numbers(rng: np.random.Generator, size: int, dtype: type) -> np.ndarray:
    """Small integers: their sums of products are exact in any order."""
    return rng.integers(-8, 9, size).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_outer_tile_is_its_twin_in_every_shape_and_writes_nothing_else(dtype: type) -> None:
    rng = np.random.default_rng(0)
    a, b = whole_numbers(rng, 600, dtype), whole_numbers(rng, 600, dtype)
    shapes = [(r, tile.VECTORS[r]) for r in range(1, tile.MOST_ROWS + 1)]
    shapes += [(tile.MOST_ROWS, v) for v in range(1, tile.VECTORS[-1])]
    for rows, vectors in shapes:
        width = vectors * tile.lanes(dtype)
        for depth, add in ((0, False), (1, True), (7, False), (7, True)):
            table = rng.integers(0, 600 - 10 - width, depth + 2)
            y = whole_numbers(rng, 20 + rows * (width + 3), dtype)
            expected = y.copy()
            pitch = width + 3
            outer(a, b, table, y, 5, 40, 3, 10, depth, 11, pitch, rows, vectors, add)
            tile._outer_tile_twin(a, 5, 40, 3, b, 10, table, 1, depth, expected, 11, pitch, rows, vectors, add)
            np.testing.assert_array_equal(y, expected, f"{rows} rows of {vectors} vectors, depth {depth}, add={add}")


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_inner_tile_is_its_twin_in_every_shape_and_writes_nothing_else(dtype: type) -> None:
    rng = np.random.default_rng(1)
    lanes = tile.lanes(dtype)
    a, b = whole_numbers(rng, 600, dtype), whole_numbers(rng, 600, dtype)
    for rows in range(1, tile.INNER_ROWS + 1):
        for steps in (0, 1, 5):
            table = rng.integers(0, 600 - 9 - 5 * lanes, 2 + tile.INNER_TAPS)
            y = whole_numbers(rng, 7 + (tile.INNER_ROWS * tile.INNER_TAPS + 1) * lanes, dtype)
            expected = y.copy()
            inner(a, b, table, y, 3, 101, 9, steps, 7, rows)
            tile._inner_tile_twin(a, 3, 101, b, 9, table, 2, steps, expected, 7, rows)
            np.testing.assert_array_equal(y, expected, f"{rows} rows, {steps} steps")


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_run_of_any_length_is_copied_and_nothing_beside_it(dtype: type) -> None:
    x = np.arange(200, dtype=dtype)
    for count in range(-50, 70):  # less than none: the end of a row that begins behind the image
        y, expected = np.full((2, 100), -1, dtype)
        copy(x, y, 13, 21, count, 0.5)
        tile._copy_run_twin(x, 13, expected, 21, count, 0.5)
        np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("count", [1, 2, 6, 7, 8, 9, 10, 16, 17, 31, 100])
def test_the_tile_height_covers_all_rows_and_wastes_less_than_a_row_a_block(count: int) -> None:
    rows = tile.rows_for(count)
    blocks = -(-count // rows)
    assert 1 <= rows <= min(tile.MOST_ROWS, count)
    assert blocks == -(-count // tile.MOST_ROWS)
    assert 0 <= blocks * rows - count < blocks


def test_accumulators_fit_the_registers() -> None:
    for rows, vectors in enumerate(tile.VECTORS):
        assert rows * vectors + vectors + 1 <= tile.REGISTERS or vectors == 0
    assert tile.INNER_ROWS * tile.INNER_TAPS + tile.INNER_ROWS <= tile.REGISTERS


# --- in a process of its own: other processors, no compiler, guarded memory -----------------------------------------

Geometry = tuple[tuple[int, int], tuple[tuple[int, int], tuple[int, int]], tuple[int, int], int]
CONVOLUTIONS: list[tuple[tuple[int, ...], tuple[int, ...], Geometry]] = [
    ((2, 2, 5, 7), (3, 2, 3, 2), ((1, 1), ((1, 0), (2, 1)), (1, 1), 1)),
    ((1, 4, 6, 5), (6, 2, 2, 3), ((2, 3), ((0, 1), (1, 2)), (2, 1), 2)),
    ((3, 2, 4, 3), (2, 1, 1, 2), ((3, 2), ((0, 0), (0, 0)), (1, 2), 2)),
    ((13, 1, 4, 5), (2, 1, 3, 3), ((1, 1), ((1, 0), (0, 1)), (1, 1), 1)),
]
LARGER: list[tuple[tuple[int, ...], tuple[int, ...], Geometry]] = [
    ((2, 60, 6, 7), (17, 60, 3, 3), ((1, 1), ((1, 1), (0, 2)), (1, 1), 1)),
    ((9, 6, 11, 13), (18, 3, 2, 3), ((2, 1), ((1, 0), (2, 1)), (1, 2), 2)),
    ((1, 1, 40, 53), (7, 1, 3, 5), ((1, 1), ((0, 0), (0, 0)), (1, 1), 1)),
    ((2, 5, 3, 1), (5, 1, 3, 1), ((1, 1), ((0, 0), (0, 0)), (1, 1), 5)),
    ((2, 3, 11, 18), (9, 3, 1, 1), ((1, 1), ((0, 0), (0, 0)), (1, 1), 1)),
    ((17, 4, 9, 8), (18, 4, 3, 2), ((2, 1), ((1, 0), (2, 1)), (1, 2), 1)),
]
PRODUCTS = [(1, 5, 3), (4, 3, 1), (3, 0, 2), (5, 7, 9)]
LARGER_PRODUCTS = [(1, 33, 13), (3, 40, 7), (17, 530, 49), (9, 20, 131)]


def run_every_kernel(dtype: type, place: Callable[[np.ndarray], np.ndarray], small: bool) -> None:
    """Compare convolutions and products with the reference, on arrays that ``place`` has put somewhere."""
    rng = np.random.default_rng(2)
    draw = lambda *shape: place(rng.standard_normal(shape).astype(dtype))

    def compare(name: str, kernels: Any, *args: Any) -> None:
        y, expected = getattr(kernels, name)(*args), getattr(reference, name)(*args)
        assert y.dtype == dtype
        shapes = [getattr(argument, "shape", argument) for argument in args]
        assert error(y, expected) <= BOUND[y.dtype], (name, shapes, error(y, expected))

    for x_shape, w_shape, geometry in CONVOLUTIONS + ([] if small else LARGER):
        x, w, b = draw(*x_shape), draw(*w_shape), draw(w_shape[0])
        gy = draw(*reference.conv2d(x, w, b, *geometry).shape)
        compare("conv2d", conv, x, w, b, *geometry)
        compare("conv2d_input_grad", conv_input_grad, gy, w, x_shape, *geometry)
        compare("conv2d_weight_grad", conv_weight_grad, gy, x, w_shape, *geometry)
    for m, k, n in PRODUCTS + ([] if small else LARGER_PRODUCTS):
        compare("matmul", gemm, draw(m, k), draw(k, n))
        compare("matmul", gemm, draw(2, m, k), draw(n, k).T)
        compare("matmul", gemm, draw(k, m).T, draw(k, n))
        compare("linear", linear, draw(m, k), draw(n, k), draw(n))


def guard_every_array() -> None:
    """Run the kernels with every array, scratch included, against a page that must not be touched."""
    for dtype in DTYPES:  # compiled first: a kernel that speaks of NumPy cannot be while another stands in its place
        run_every_kernel(dtype, lambda x: x, small=False)
    libc = ctypes.CDLL(None, use_errno=True)
    page, keep = mmap.PAGESIZE, []

    def guarded(shape: Any, dtype: Any, at_end: bool) -> np.ndarray:
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        room = -(-size // page) * page
        region = mmap.mmap(-1, room + 2 * page)
        keep.append(region)
        start = ctypes.addressof(ctypes.c_char.from_buffer(region))
        for fence in (start, start + page + room):
            if libc.mprotect(ctypes.c_void_p(fence), ctypes.c_size_t(page), 0):
                raise OSError(ctypes.get_errno(), "mprotect")
        offset = page + (room - size if at_end else 0)
        return np.ndarray(shape, dtype, region, offset)

    for at_end in (True, False):

        def place(x: np.ndarray, at_end: bool = at_end) -> np.ndarray:
            copied = guarded(x.shape, x.dtype, at_end)
            copied[...] = x
            return copied

        def empty(shape: Any, dtype: Any, at_end: bool = at_end) -> np.ndarray:
            array = guarded(shape, dtype, at_end)
            array.fill(np.nan if array.dtype.kind == "f" else 5)  # whoever reads what nobody wrote shows it
            return array

        zeros = lambda shape, dtype=np.float64, at_end=at_end: guarded(shape, dtype, at_end)
        borrow = lambda key, dtype, *shapes, zeros=zeros: [zeros(shape, dtype) for shape in shapes]
        lent = {"borrow": borrow, "give_back": lambda key, arrays: None}
        fenced = SimpleNamespace(**{**vars(np), "empty": empty, "zeros": zeros, **lent})
        for module in (conv, conv_input_grad, conv_lanes, conv_weight_grad, gemm):
            module.np = module.buffers = fenced
        threads.SERIAL_BELOW = 0
        for dtype in DTYPES:
            run_every_kernel(dtype, place, small=False)
    os._exit(0)  # without the finalisers of guarded memory


def touch_the_guard() -> None:
    """Read one number beyond a guarded array: proves that the guard above would be felt."""
    region = mmap.mmap(-1, 2 * mmap.PAGESIZE)
    start = ctypes.addressof(ctypes.c_char.from_buffer(region))
    ctypes.CDLL(None).mprotect(ctypes.c_void_p(start + mmap.PAGESIZE), ctypes.c_size_t(mmap.PAGESIZE), 0)
    y = np.zeros(8)
    copy(np.ndarray(8, np.float64, region, mmap.PAGESIZE - 64), y, 0, 0, 8, 0.0)
    copy(np.ndarray(8, np.float64, region, mmap.PAGESIZE - 64), y, 1, 0, 8, 0.0)


def child(*task: str, **variables: str) -> subprocess.CompletedProcess[str]:
    root = Path(tinygrad_cnn.__file__).parents[1]
    env = {**os.environ, "PYTHONPATH": str(root), "PYTHONFAULTHANDLER": "1", **variables}
    return subprocess.run([sys.executable, __file__, *task], env=env, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_twins_compute_the_same_where_nothing_is_compiled(dtype: str) -> None:
    result = child("small", dtype, NUMBA_DISABLE_JIT="1")
    assert result.returncode == 0, result.stderr


@pytest.mark.skipif(not X86, reason="names of x86 processors")
@pytest.mark.parametrize(
    ("name", "features", "dtype", "size"),
    [
        ("x86-64-v3", "+sse4.2,+avx,+avx2,+fma,+bmi,+bmi2", "float32", "32 16"),
        ("x86-64", "+sse2", "float64", "16 16"),
    ],
    ids=["avx2", "sse2"],
)
def test_older_processors_compute_the_same(name: str, features: str, dtype: str, size: str) -> None:
    result = child("all", dtype, NUMBA_CPU_NAME=name, NUMBA_CPU_FEATURES=features)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == size


@pytest.mark.skipif(sys.platform != "linux", reason="mprotect through ctypes, as on Linux")
def test_no_kernel_reads_or_writes_beyond_an_array() -> None:
    result = child("guarded")
    assert result.returncode == 0, result.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="mprotect through ctypes, as on Linux")
def test_a_read_beyond_a_guarded_array_is_felt() -> None:
    assert child("felt").returncode == -signal.SIGSEGV


if __name__ == "__main__":
    print(tile.VECTOR_BYTES, tile.REGISTERS)
    match sys.argv[1:]:
        case ["guarded"]:
            guard_every_array()
        case ["felt"]:
            touch_the_guard()
        case [size, dtype]:
            run_every_kernel(np.dtype(dtype).type, lambda x: x, small=size == "small")
