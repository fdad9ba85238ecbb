from __future__ import annotations

import ctypes
import mmap
import os
import platform
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_cnn
from tinygrad_cnn import functional as F
from tinygrad_cnn import reference, state
from tinygrad_cnn.checks.measure import error
from tinygrad_cnn.kernels import buffers, conv, conv_input_grad, threads, tile, winograd
from tinygrad_cnn.kernels.geometry import Padding, Pair

BOUND = {2: 2e-6, 4: 2e-5}
X86 = platform.machine().lower() in ("x86_64", "amd64")
FLOAT32 = np.dtype(np.float32)
ONE = 1, 1


class Case(NamedTuple):
    """Shapes of images and filters."""

    n: int
    c: int
    o: int
    size: tuple[int, int]
    padding: Padding = ((1, 1), (1, 1))
    dilation: Pair = ONE

    @property
    def geometry(self) -> tuple[Any, ...]:
        return ONE, self.padding, self.dilation, 1

    @property
    def x_shape(self) -> tuple[int, int, int, int]:
        return self.n, self.c, *self.size

    def draw(self, seed: int = 0, positive: bool = False) -> tuple[np.ndarray, ...]:
        """Return images, filters, a bias and an output gradient."""
        rng = np.random.default_rng(seed)
        out = (self.size[d] + sum(self.padding[d]) - 2 * self.dilation[d] for d in (0, 1))
        shapes = self.x_shape, (self.o, self.c, 3, 3), (self.o,), (self.n, self.o, *out)
        drawn = (rng.standard_normal(shape).astype(np.float32) for shape in shapes)
        return tuple(abs(a) if positive else a for a in drawn)


CASES = [
    Case(1, 1, 1, (3, 3), ((0, 0), (0, 0))),
    Case(2, 5, 19, (9, 7), ((1, 0), (2, 1))),
    Case(3, 17, 33, (6, 21), ((0, 2), (1, 0))),
    Case(1, 3, 50, (23, 5), ((3, 4), (0, 5))),
    Case(37, 4, 3, (4, 3)),
    Case(1, 2, 2, (1, 40)),
    Case(2, 5, 19, (21, 16), ((3, 1), (0, 5)), (2, 3)),
    Case(3, 17, 18, (5, 29), ((4, 4), (2, 0)), (3, 1)),
    Case(1, 3, 2, (12, 90), ((0, 1), (7, 0)), (5, winograd.BLOCK)),
]


def faces(case: Case, m: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x, w, b, u = case.draw(seed)
    return (
        winograd.conv2d(x, w, b, case.padding, case.dilation, m),
        winograd.conv2d(x, w, None, case.padding, case.dilation, m),
        winograd.conv2d_input_grad(u, w, case.x_shape, case.padding, case.dilation, m),
    )


def check(case: Case, m: int, seed: int = 0) -> None:
    """Compare with the reference: forward with and without bias, and the input gradient."""
    x, w, b, u = case.draw(seed)
    expected = (
        reference.conv2d(x, w, b, *case.geometry),
        reference.conv2d(x, w, None, *case.geometry),
        reference.conv2d_input_grad(u, w, case.x_shape, *case.geometry),
    )
    for y, known in zip(faces(case, m, seed), expected, strict=True):
        assert y.dtype == FLOAT32
        assert y.flags.c_contiguous
        assert error(y, known) <= BOUND[m] / 2, (case, m, error(y, known))


@pytest.mark.parametrize("m", [2, 4])
@pytest.mark.parametrize("case", CASES)
def test_the_reference(case: Case, m: int) -> None:
    check(case, m)


@st.composite
def cases(draw: Any) -> Case:
    number = lambda least, most: draw(st.integers(least, most))
    padding = (number(0, 3), number(0, 3)), (number(0, 3), number(0, 3))
    dilation = number(1, 3), number(1, 4)
    h, w = (max(1 + 2 * dilation[d] - sum(padding[d]), 1) + number(0, 9) for d in (0, 1))
    return Case(number(1, 4), number(1, 5), draw(st.sampled_from([1, 2, 16, 18])), (h, w), padding, dilation)


@settings(max_examples=30, deadline=None, derandomize=True, database=None)
@given(cases(), st.sampled_from([2, 4]), st.integers(0, 9))
def test_the_reference_on_drawn_shapes(case: Case, m: int, seed: int) -> None:
    check(case, m, seed)


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("channels", [16, 64, 256, 512, 1024])
def test_errors_stay_below_their_bounds(channels: int, positive: bool) -> None:
    """F(2x2) rounds like the direct path; F(4x4) keeps a distance from its bound at every depth."""
    case = Case(2, channels, 18, (9, 14))
    x, w, b, _ = case.draw(positive=positive)
    exact = conv.conv2d(*(a.astype(np.float64) for a in (x, w, b)), *case.geometry)
    assert error(winograd.conv2d(x, w, b, case.padding, case.dilation, 2), exact) <= 2e-6
    assert error(winograd.conv2d(x, w, b, case.padding, case.dilation, 4), exact) <= 7e-6
    case = Case(2, 18, channels, (9, 14))
    _, w, _, u = case.draw(positive=positive)
    wide = u.astype(np.float64), w.astype(np.float64)
    exact = conv_input_grad.conv2d_input_grad(*wide, case.x_shape, *case.geometry)
    assert error(winograd.conv2d_input_grad(u, w, case.x_shape, case.padding, case.dilation, 2), exact) <= 2e-6
    assert error(winograd.conv2d_input_grad(u, w, case.x_shape, case.padding, case.dilation, 4), exact) <= 7e-6


@pytest.mark.parametrize("m", [2, 4])
@pytest.mark.parametrize("case", [Case(11, 20, 50, (13, 10)), Case(1, 3, 17, (70, 33), ((0, 2), (1, 0)), (2, 3))])
def test_the_same_bits_for_every_thread_count_and_every_run(
    case: Case, m: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = faces(case, m)
    monkeypatch.setattr(threads, "SERIAL_BELOW", 0)
    for count in (1, 2, 3, 3):
        monkeypatch.setattr(state, "_num_threads", count)
        for y, expected in zip(faces(case, m), alone, strict=True):
            assert y.tobytes() == expected.tobytes(), f"{count} threads"


@pytest.mark.parametrize("m", [2, 4])
@pytest.mark.parametrize("case", CASES)
def test_arguments_stay_as_they_are_and_any_layout_gives_the_same_bits(case: Case, m: int) -> None:
    arguments = case.draw()
    x, w, b, u = layouts = [np.repeat(a, 2, axis=-1)[..., ::2] for a in arguments]
    found = [
        winograd.conv2d(x, w, b, case.padding, case.dilation, m),
        winograd.conv2d(x, w, None, case.padding, case.dilation, m),
        winograd.conv2d_input_grad(u, w, case.x_shape, case.padding, case.dilation, m),
    ]
    for y, expected in zip(found, faces(case, m), strict=True):
        assert y.tobytes() == expected.tobytes()
    for a, before in zip(layouts, arguments, strict=True):
        np.testing.assert_array_equal(a, before)


@pytest.mark.parametrize("m", [2, 4])
def test_a_nan_spoils_its_tiles_and_no_other(m: int) -> None:
    case = Case(2, 18, 20, (12, 16))
    x, w, b, _ = case.draw()
    clean = winograd.conv2d(x, w, b, case.padding, case.dilation, m)
    x[1, 7, 5, 9] = np.nan  # read by the outputs 4..6, 8..10
    spoilt = np.isnan(winograd.conv2d(x, w, b, case.padding, case.dilation, m))
    low, high = (4 // m * m, 8 // m * m), (6 // m * m + m, 10 // m * m + m)
    assert spoilt[1, :, 4:7, 8:11].all()
    spoilt[1, :, low[0] : high[0], low[1] : high[1]] = False
    assert not spoilt.any()
    x[1, 7, 5, 9] = 0
    assert np.isfinite(clean).all()


def test_nothing_to_compute() -> None:
    for shape, filters in (((0, 3, 5, 6), 4), ((2, 3, 5, 6), 0)):
        x, w = np.ones(shape, np.float32), np.ones((filters, 3, 3, 3), np.float32)
        assert winograd.conv2d(x, w, None, ((1, 1), (0, 0)), ONE, 4).shape == (shape[0], filters, 5, 4)


# --- who decides -----------------------------------------------------------------------------------------------------

PADDED: Padding = ((1, 1), (1, 1))


def chosen(n: int, c: int, o: int, h: int, w: int, dtype: Any = np.float32, **other: Any) -> int:
    geometry = {"stride": ONE, "padding": PADDED, "dilation": ONE, "groups": 1, "size": (3, 3), **other}
    size = geometry.pop("size")
    return winograd.choose(np.dtype(dtype), (n, c, h, w), (o, c, *size), **geometry)


def test_the_table_chooses_by_shape() -> None:
    assert chosen(16, 64, 64, 56, 55) == 4
    assert chosen(16, 512, 512, 7, 8) == 4
    assert chosen(1, 64, 64, 14, 13) == 2  # few tiles: transforming the filters weighs more
    assert chosen(128, 64, 64, 2, 2) == 2
    assert chosen(1, 512, 512, 7, 8) == 0
    assert chosen(64, 3, 64, 56, 55) == 0
    assert chosen(64, 64, 3, 56, 55) == 0
    assert chosen(16, 64, 64, 28, 27, dilation=(2, 3)) == 4
    assert chosen(16, 64, 64, 18, 14, dilation=(5, 4)) == 2  # whole tiles at so great distances hang over the edges
    assert chosen(16, 64, 64, 11, 300, dilation=(6, 1)) == 0
    assert chosen(1, 64, 64, 99, 330, dilation=(1, winograd.BLOCK)) == 4
    assert chosen(1, 64, 64, 99, 339, dilation=(1, winograd.BLOCK + 1)) == 0  # a group has to fit a block


@pytest.mark.parametrize(
    "other",
    [
        {"dtype": np.float64},
        {"size": (3, 2)},
        {"size": (5, 5)},
        {"stride": (1, 2)},
        {"groups": 2},
    ],
)
def test_everything_else_is_computed_directly(other: dict[str, Any]) -> None:
    assert chosen(16, 64, 64, 28, 30, **other) == 0


def test_the_switch_selects_the_direct_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "_winograd", True)
    case = Case(4, 32, 32, (16, 20))
    x, w, b, u = case.draw()
    m = winograd.choose(FLOAT32, x.shape, w.shape, *case.geometry)
    assert m == 4

    def both() -> list[bytes]:
        images = tinygrad_cnn.Tensor(x, requires_grad=True)
        y = F.conv2d(images, w, b, padding=1)
        y.backward(tinygrad_cnn.Tensor(u))
        assert images.grad is not None
        return [y.data.tobytes(), images.grad.data.tobytes()]

    fast = winograd.conv2d(x, w, b, PADDED, ONE, m), winograd.conv2d_input_grad(u, w, x.shape, PADDED, ONE, m)
    assert both() == [a.tobytes() for a in fast]
    tinygrad_cnn.set_winograd(False)
    direct = (
        conv.conv2d(x, w, b, *case.geometry),
        conv_input_grad.conv2d_input_grad(u, w, x.shape, *case.geometry),
    )
    assert both() == [a.tobytes() for a in direct]


# --- in a process of its own: other processors, no compiler, guarded memory -----------------------------------------


def guard_every_array() -> None:
    """Put arguments, results and scratch against a page that must not be touched."""
    page, keep, libc = mmap.PAGESIZE, [], ctypes.CDLL(None)

    def guarded(shape: Any, dtype: Any = np.float64) -> np.ndarray:
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        room = -(-size // page) * page
        region = mmap.mmap(-1, room + page)
        keep.append(region)
        fence = ctypes.addressof(ctypes.c_char.from_buffer(region)) + room
        assert not libc.mprotect(ctypes.c_void_p(fence), ctypes.c_size_t(page), 0)
        array = np.ndarray(shape, dtype, region, room - size)
        array.fill(np.nan)  # whoever reads what nobody wrote shows it
        return array

    def moved(a: np.ndarray) -> np.ndarray:
        copied = guarded(a.shape, a.dtype)
        copied[...] = a
        return copied

    winograd.buffers = SimpleNamespace(empty=guarded)  # type: ignore[assignment]
    winograd.np = SimpleNamespace(**{**vars(np), "empty": guarded})  # type: ignore[assignment]
    threads.SERIAL_BELOW = 0
    draw = Case.draw
    Case.draw = lambda *args, **kw: tuple(moved(a) for a in draw(*args, **kw))  # type: ignore[method-assign]
    for case in CASES:
        for m in (2, 4):
            check(case, m)


def child(task: str, **variables: str) -> subprocess.CompletedProcess[str]:
    root = Path(tinygrad_cnn.__file__).parents[1]
    env = {**os.environ, "PYTHONPATH": str(root), "PYTHONFAULTHANDLER": "1", **variables}
    return subprocess.run([sys.executable, __file__, task], env=env, capture_output=True, text=True, timeout=300)


def test_the_twins_compute_the_same_where_nothing_is_compiled() -> None:
    result = child("small", NUMBA_DISABLE_JIT="1")
    assert result.returncode == 0, result.stderr


@pytest.mark.skipif(not X86, reason="names of x86 processors")
@pytest.mark.parametrize(
    ("name", "features", "vector"),
    [("x86-64-v3", "+sse4.2,+avx,+avx2,+fma,+bmi,+bmi2", "32"), ("x86-64", "+sse2", "16")],
    ids=["avx2", "sse2"],
)
def test_older_processors_compute_the_same(name: str, features: str, vector: str) -> None:
    result = child("all", NUMBA_CPU_NAME=name, NUMBA_CPU_FEATURES=features)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == vector


@pytest.mark.skipif(sys.platform != "linux", reason="mprotect through ctypes, as on Linux")
def test_no_kernel_reads_or_writes_beyond_an_array() -> None:
    result = child("guarded")
    assert result.returncode == 0, result.stderr


if __name__ == "__main__":
    print(tile.VECTOR_BYTES)
    if sys.argv[1] == "guarded":
        guard_every_array()
        sys.stdout.flush()
        os._exit(0)  # without the finalisers of guarded memory
    for small in [Case(1, 2, 3, (5, 5), ((1, 0), (0, 2)), (1, 2))] if sys.argv[1] == "small" else CASES:
        for size in (2, 4):
            check(small, size)
    buffers.release()
