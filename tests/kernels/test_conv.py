from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_cnn import reference, state
from tinygrad_cnn.checks.measure import error
from tinygrad_cnn.kernels import conv, conv_input_grad, conv_lanes, conv_weight_grad, threads
from tinygrad_cnn.kernels.geometry import Padding, Pair, Window

DTYPES = [np.float32, np.float64]
BOUND = {np.dtype(np.float32): 2e-6, np.dtype(np.float64): 1e-10}
NO_PADDING = ((0, 0), (0, 0))
MODULES = {"conv2d": conv, "conv2d_input_grad": conv_input_grad, "conv2d_weight_grad": conv_weight_grad}


class Case(NamedTuple):
    """The shapes of images and filters, and how the filters move."""

    x: tuple[int, int, int, int]
    w: tuple[int, int, int, int]
    stride: Pair = (1, 1)
    padding: Padding = NO_PADDING
    dilation: Pair = (1, 1)
    groups: int = 1

    @property
    def geometry(self) -> tuple[Pair, Padding, Pair, int]:
        return self[2:]

    @property
    def y(self) -> tuple[int, int, int, int]:
        oh, ow = Window(self.w[2:], *self[2:5]).out_size("conv2d", self.x[2:])
        return self.x[0], self.w[0], oh, ow

    def draw(self, dtype: type, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return images, filters, a bias and an output gradient."""
        rng = np.random.default_rng(seed)
        x, w, b, u = (rng.standard_normal(shape).astype(dtype) for shape in (self.x, self.w, self.w[:1], self.y))
        return x, w, b, u


CASES = {
    "plain": Case((2, 3, 6, 5), (4, 3, 3, 2)),
    "padding on four sides": Case((2, 2, 5, 7), (3, 2, 3, 2), padding=((1, 2), (0, 3))),
    "stride": Case((3, 2, 9, 8), (5, 2, 3, 2), (2, 3), ((1, 0), (0, 2))),
    "stride beyond the kernel": Case((2, 2, 9, 11), (3, 2, 2, 1), (4, 3), ((0, 1), (2, 0))),
    "dilation": Case((2, 2, 9, 12), (3, 2, 3, 2), dilation=(2, 5), padding=((2, 0), (1, 1))),
    "stride and dilation": Case((1, 3, 13, 11), (2, 3, 3, 4), (2, 3), ((3, 1), (4, 2)), (3, 2)),
    "groups": Case((2, 6, 5, 7), (9, 2, 2, 3), (1, 2), ((1, 0), (0, 1)), (2, 1), 3),
    "groups of 17 and of 11": Case((1, 22, 4, 5), (34, 11, 2, 2), groups=2),
    "depthwise": Case((2, 5, 6, 7), (5, 1, 3, 2), (1, 2), ((1, 1), (2, 0)), groups=5),
    "depthwise, two filters a channel": Case((1, 3, 4, 9), (6, 1, 2, 3), groups=3),
    "kernel as large as the image": Case((3, 2, 4, 7), (5, 2, 4, 7)),
    "one pixel": Case((3, 4, 1, 1), (2, 4, 1, 1)),
    "1x1 kernel with stride": Case((2, 5, 5, 7), (3, 5, 1, 1), (2, 3)),
    "image of width 1": Case((2, 3, 9, 1), (4, 3, 3, 1), (2, 1)),
    "image of height 1": Case((2, 3, 1, 40), (4, 3, 1, 5), (1, 2), ((0, 0), (2, 1))),
    "padding wider than the kernel": Case((1, 1, 2, 3), (2, 1, 2, 2), padding=((4, 3), (5, 2))),
    "chains of taps": Case((2, 70, 4, 5), (3, 70, 3, 3), padding=((1, 1), (0, 2))),
    "chains of outputs": Case((1, 3, 4, 5), (90, 3, 3, 2), padding=((1, 1), (0, 2))),
    "chains of pixels": Case((1, 1, 90, 101), (2, 1, 2, 3)),
    "an uneven batch": Case((21, 2, 5, 6), (3, 2, 2, 3)),
    "fewer images than pieces": Case((3, 1, 33, 37), (2, 1, 3, 4), padding=((1, 0), (0, 1))),
    "many small images": Case((21, 3, 6, 7), (10, 3, 3, 4), padding=((1, 0), (2, 1))),
    "many images, stride and dilation": Case((14, 4, 11, 12), (6, 4, 2, 3), (2, 3), ((1, 2), (2, 1)), (1, 2)),
    "many images, groups, stride beyond the kernel": Case((29, 4, 9, 13), (18, 2, 2, 1), (3, 2), groups=2),
    "many images, chains of taps": Case((13, 70, 4, 5), (17, 70, 3, 3), padding=((1, 1), (0, 2))),
    "many images in strips": Case((14, 40, 23, 21), (24, 40, 3, 2), padding=((1, 0), (0, 1))),
    "many images in strips with stride": Case((14, 24, 33, 31), (50, 24, 3, 5), (2, 1), ((1, 0), (3, 1))),
    "1x1 kernel on many pixels": Case((3, 5, 14, 19), (19, 5, 1, 1)),
    "more filters than a tile is high": Case((1, 2, 5, 6), (19, 2, 3, 2)),
}


def check(case: Case, dtype: type, seed: int = 0) -> None:
    """Compare the three faces with the reference, and look at the arguments afterwards."""
    x, w, b, u = arguments = case.draw(dtype, seed)
    before = [a.copy() for a in arguments]
    results = {
        "conv2d": (x, w, b),
        "conv2d without bias": (x, w, None),
        "conv2d_input_grad": (u, w, case.x),
        "conv2d_weight_grad": (u, x, case.w),
    }
    for name, args in results.items():
        function = name.split()[0]
        y = getattr(MODULES[function], function)(*args, *case.geometry)
        expected = getattr(reference, function)(*args, *case.geometry)
        assert y.dtype == dtype
        assert y.flags.c_contiguous
        assert error(y, expected) <= BOUND[y.dtype], f"{name}, {case}: {error(y, expected):.1e}"
    for a, old in zip(arguments, before, strict=True):
        np.testing.assert_array_equal(a, old)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_reference(case: Case, dtype: type) -> None:
    check(case, dtype)


@st.composite
def cases(draw: Any) -> Case:
    number = lambda least, most: draw(st.integers(least, most))
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    size, stride, dilation = ((number(1, 4), number(1, 4)) for _ in range(3))
    padding = ((number(0, 3), number(0, 3)), (number(0, 3), number(0, 3)))
    extent = Window(size, stride, padding, dilation).extent
    h, w = (max(extent[d] - sum(padding[d]), 1) + number(0, 5) for d in (0, 1))
    c, o = number(1, 4), draw(st.sampled_from([1, 2, 3, 4, 9, 11]))
    n = draw(st.sampled_from([1, 2, 5, 13, 17]))
    return Case((n, c * groups, h, w), (o * groups, c, *size), stride, padding, dilation, groups)


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(cases(), st.sampled_from(DTYPES), st.integers(0, 9))
def test_the_reference_on_drawn_shapes(case: Case, dtype: type, seed: int) -> None:
    check(case, dtype, seed)


@pytest.mark.parametrize("dtype", DTYPES)
def test_float32_and_long_chains_stay_exact(dtype: type) -> None:
    """A depth of 18,000 products, and as many pixels: partial sums, not one long chain."""
    case = Case((1, 2000, 3, 4), (2, 2000, 3, 3))
    x, w, b, _ = case.draw(dtype)
    y = conv.conv2d(abs(x), abs(w), b, *case.geometry)
    windows = np.lib.stride_tricks.sliding_window_view(abs(x).astype(np.float64), (3, 3), (2, 3))
    expected = np.einsum("nchwpq,ocpq->nohw", windows, abs(w).astype(np.float64)) + b[:, None, None]
    assert error(y, expected) <= (1e-6 if dtype == np.float32 else 1e-14)
    case = Case((3, 1, 130, 141), (1, 1, 1, 2))
    x, _, _, u = case.draw(dtype)
    gw = conv_weight_grad.conv2d_weight_grad(abs(u), abs(x), case.w, *case.geometry)
    x, u = abs(x).astype(np.float64), abs(u).astype(np.float64)
    expected = np.array([np.vdot(x[..., q : q + 140], u) for q in (0, 1)]).reshape(case.w)
    assert error(gw, expected) <= (1e-6 if dtype == np.float32 else 1e-14)


def faces(case: Case, dtype: type) -> list[np.ndarray]:
    x, w, b, u = case.draw(dtype)
    return [
        conv.conv2d(x, w, b, *case.geometry),
        conv_input_grad.conv2d_input_grad(u, w, case.x, *case.geometry),
        conv_weight_grad.conv2d_weight_grad(u, x, case.w, *case.geometry),
    ]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "case",
    [
        Case((21, 2, 9, 6), (3, 2, 2, 3), (2, 1), ((1, 0), (2, 1))),
        Case((2, 4, 40, 31), (10, 2, 3, 2), padding=((1, 0), (2, 1)), groups=2),
        Case((1, 1, 90, 101), (2, 1, 2, 3)),
        Case((40, 4, 9, 8), (18, 4, 3, 2), (1, 2), ((1, 0), (1, 1))),
    ],
    ids=["batch", "bands", "one image", "lanes"],
)
def test_the_same_bits_for_every_thread_count_and_every_run(
    case: Case, dtype: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = faces(case, dtype)
    monkeypatch.setattr(threads, "SERIAL_BELOW", 0)
    for count in (1, 2, 3, 3):
        monkeypatch.setattr(state, "_num_threads", count)
        for y, expected in zip(faces(case, dtype), alone, strict=True):
            assert y.tobytes() == expected.tobytes(), f"{count} threads"


class Fenced:
    """NumPy whose fresh arrays hold NaN (or 5) and lie between canaries."""

    def __init__(self) -> None:
        self.fences: list[np.ndarray] = []

    def empty(self, shape: Any, dtype: Any = np.float64, value: float = np.nan) -> np.ndarray:
        size = int(np.prod(shape))
        around = np.full(size + 64, 12345, dtype)
        self.fences += [around[:32], around[-32:]]
        y = around[32:-32].reshape(shape)
        y.fill(5 if y.dtype.kind != "f" and value else value)
        return y

    def zeros(self, shape: Any, dtype: Any = np.float64) -> np.ndarray:
        return self.empty(shape, dtype, 0)

    def borrow(self, key: Any, dtype: Any, *shapes: Any) -> tuple[np.ndarray, ...]:
        return tuple([self.zeros(shape, dtype) for shape in shapes])

    def give_back(self, key: Any, arrays: tuple[np.ndarray, ...]) -> None:
        pass


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_all_of_the_result_is_written_and_nothing_beside_it(
    case: Case, dtype: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = faces(case, dtype)
    fenced = Fenced()
    for module in (conv, conv_input_grad, conv_lanes, conv_weight_grad):
        monkeypatch.setattr(module, "np", SimpleNamespace(**{**vars(np), "empty": fenced.empty, "zeros": fenced.zeros}))
        monkeypatch.setattr(module, "buffers", fenced)
    for y, known in zip(faces(case, dtype), expected, strict=True):
        np.testing.assert_array_equal(y, known)
    assert len(fenced.fences) >= 2 * 4
    assert all((fence == 12345).all() for fence in fenced.fences)


@pytest.mark.parametrize("dtype", DTYPES)
def test_any_layout_gives_the_same_bits(dtype: type) -> None:
    case = Case((2, 4, 6, 7), (6, 2, 3, 2), (1, 2), ((1, 0), (0, 2)), (1, 2), 2)
    x, w, b, u = case.draw(dtype)
    expected = faces(case, dtype)

    def backwards(a: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(a[..., ::-1])[..., ::-1]

    def every_second(a: np.ndarray) -> np.ndarray:
        wide = np.full((*a.shape[:-1], 2 * a.shape[-1]), np.nan, a.dtype)
        wide[..., ::2] = a
        return wide[..., ::2]

    def frozen(a: np.ndarray) -> np.ndarray:
        a = a.copy()
        a.flags.writeable = False
        return a

    def unaligned(a: np.ndarray) -> np.ndarray:
        moved = np.frombuffer(b"\0" + a.tobytes(), np.uint8)[1:].view(a.dtype).reshape(a.shape)
        assert not moved.flags.aligned
        return moved

    channels_last = lambda a: np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1) if a.ndim == 4 else a
    for layout in (np.asfortranarray, backwards, every_second, frozen, channels_last, unaligned):
        lx, lw, lb, lu = (layout(a) for a in (x, w, b, u))
        found = [
            conv.conv2d(lx, lw, lb, *case.geometry),
            conv_input_grad.conv2d_input_grad(lu, lw, case.x, *case.geometry),
            conv_weight_grad.conv2d_weight_grad(lu, lx, case.w, *case.geometry),
        ]
        for y, known in zip(found, expected, strict=True):
            assert y.tobytes() == known.tobytes(), layout


@pytest.mark.parametrize("dtype", DTYPES)
def test_nothing_to_compute(dtype: type) -> None:
    """No images, no outputs, no channels, or images of padding only: zeros (or the bias) of the right shape."""
    for case in (
        Case((0, 2, 5, 6), (3, 2, 2, 3), padding=((1, 0), (0, 1))),
        Case((2, 3, 5, 6), (0, 3, 2, 3)),
        Case((2, 0, 5, 6), (3, 0, 2, 3)),
        Case((2, 2, 0, 6), (3, 2, 2, 3), padding=((1, 2), (0, 1))),
        Case((2, 2, 5, 0), (3, 2, 2, 3), (2, 1), ((1, 2), (2, 1))),
    ):
        _, _, b, _ = case.draw(dtype)
        y, gx, gw = faces(case, dtype)
        np.testing.assert_array_equal(y, np.broadcast_to(b[:, None, None], case.y))
        np.testing.assert_array_equal(gx, np.zeros(case.x))
        np.testing.assert_array_equal(gw, np.zeros(case.w))
        assert y.dtype == gx.dtype == gw.dtype == dtype


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("case", ["stride", "groups", "fewer images than pieces", "many small images"])
def test_nan_and_infinity_stay_where_they_belong(case: str, dtype: type, value: float) -> None:
    """The forward pass and the input gradient spoil exactly the numbers that depend on a spoiled one."""
    shapes = CASES[case]
    clean_x, w, b, clean_u = shapes.draw(dtype)
    rng = np.random.default_rng(3)
    for _ in range(6):
        x, u = clean_x.copy(), clean_u.copy()
        x[tuple(rng.integers(0, shapes.x))] = value
        u[tuple(rng.integers(0, shapes.y))] = value
        y, expected = conv.conv2d(x, w, b, *shapes.geometry), reference.conv2d(x, w, b, *shapes.geometry)
        np.testing.assert_array_equal(np.isfinite(y), np.isfinite(expected))
        gx = conv_input_grad.conv2d_input_grad(u, w, shapes.x, *shapes.geometry)
        expected = reference.conv2d_input_grad(u, w, shapes.x, *shapes.geometry)
        np.testing.assert_array_equal(np.isfinite(gx), np.isfinite(expected))


@pytest.mark.parametrize(("width", "stride", "lanes"), [(64, 1, False), (64, 2, False), (12, 1, True), (64, 3, True)])
def test_many_images_lie_in_lanes_unless_their_rows_are_wide(width: int, stride: int, lanes: bool) -> None:
    rng = np.random.default_rng(4)
    x, w = rng.standard_normal((16, 8, 4, width)).astype(np.float32), rng.standard_normal((16, 8, 3, 3)).astype("f")
    window = Window((3, 3), (1, stride), ((1, 1), (1, 1)), (1, 1))
    geometry: Any = window.stride, window.padding, window.dilation, 1
    expected = reference.conv2d(x, w, None, *geometry)
    assert conv.goes_in_lanes(x.shape, expected.shape[1:], window, 72, x.dtype) is lanes
    assert conv.is_wide(-(-(width + 2) // stride), expected.shape[3], window.stride) is not lanes
    assert error(conv.conv2d(x, w, None, *geometry), expected) <= 2e-6
    gx = reference.conv2d_input_grad(expected, w, x.shape, *geometry)
    assert error(conv_input_grad.conv2d_input_grad(expected, w, x.shape, *geometry), gx) <= 2e-6


def test_a_stride_that_leads_out_of_the_image_costs_nothing() -> None:
    assert conv.within((10**9, 2), (2, 2), (5, 4), ((1, 0), (0, 0))) == (6, 2)
    x, w = np.random.default_rng(0).standard_normal((2, 1, 3, 5, 5))
    w = w[:, :, :2, :2]
    far: Any = (10**9, 3), NO_PADDING, (1, 1), 1
    y = conv.conv2d(x[None, 0], w, None, *far)
    np.testing.assert_allclose(y, reference.conv2d(x[None, 0], w, None, (5, 3), *far[1:]), rtol=1e-12)
    gx = conv_input_grad.conv2d_input_grad(y, w, (1, 3, 5, 5), *far)
    expected = reference.conv2d_input_grad(y, w, (1, 3, 5, 5), (5, 3), *far[1:])
    np.testing.assert_allclose(gx, expected, rtol=1e-12)
    gw = conv_weight_grad.conv2d_weight_grad(y, x[None, 0], w.shape, *far)
    np.testing.assert_allclose(gw, reference.conv2d_weight_grad(y, x[None, 0], w.shape, (5, 3), *far[1:]), rtol=1e-12)
