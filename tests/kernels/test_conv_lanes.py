from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import reference
from tinygrad_cnn.checks.measure import error
from tinygrad_cnn.kernels import conv_lanes, lanes, threads, tile
from tinygrad_cnn.kernels.geometry import Window

DTYPES = [np.float32, np.float64]
BOUND = {np.dtype(np.float32): 2e-6, np.dtype(np.float64): 1e-10}
CASES: dict[str, tuple[Any, Any, Any]] = {
    "one image in all lanes": ((1, 3, 6, 7), (4, 3, 3, 2), ((1, 1), ((1, 0), (2, 1)), (1, 1), 1)),
    "lanes and some": ((17, 4, 11, 12), (18, 2, 2, 3), ((2, 1), ((1, 2), (2, 1)), (1, 2), 2)),
    "maps of fewer pixels than lanes": ((33, 5, 3, 4), (9, 5, 3, 3), ((1, 1), ((1, 1), (1, 0)), (1, 1), 1)),
    "depthwise, strided": ((9, 5, 13, 15), (5, 1, 2, 1), ((3, 2), ((0, 0), (0, 0)), (1, 1), 5)),
    "strips": ((4, 33, 37, 29), (10, 33, 3, 4), ((1, 1), ((2, 1), (0, 2)), (1, 1), 1)),
    "strips of a strided gradient": ((3, 24, 41, 35), (60, 24, 5, 3), ((3, 2), ((2, 1), (0, 2)), (1, 2), 1)),
    "chains, and tiles that name a pixel twice": ((5, 60, 4, 6), (7, 60, 3, 3), ((1, 1), ((0, 0), (0, 0)), (1, 1), 1)),
    "the same in the gradient": ((5, 5, 5, 7), (70, 5, 3, 3), ((1, 1), ((0, 1), (1, 0)), (1, 1), 1)),
    "padding wider than the filters": ((5, 2, 4, 3), (3, 2, 2, 2), ((1, 2), ((4, 3), (5, 2)), (1, 1), 1)),
}


@pytest.fixture(params=["strip by strip", "at once"])
def turned(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[bool]:
    """Turn the pixels of every plan at once where turning ahead is called free, and never where it is called dear."""
    once = request.param == "at once"
    monkeypatch.setattr(lanes, "WRITTEN", 0 if once else 1e9)
    lanes.plan.cache_clear()
    yield once
    lanes.plan.cache_clear()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_reference_also_where_it_would_not_pay(case: Any, dtype: type, turned: bool) -> None:
    x_shape, w_shape, (stride, padding, dilation, groups) = case
    geometry: Any = stride, padding, dilation, groups
    rng = np.random.default_rng(7)
    x, w, b = (rng.standard_normal(shape).astype(dtype) for shape in (x_shape, w_shape, w_shape[:1]))
    window = Window(w_shape[2:], stride, padding, dilation)
    expected = reference.conv2d(x, w, b, *geometry)
    assert lanes.plan(False, window, x_shape, expected.shape, groups, tile.lanes(x.dtype), False).once == turned
    y = np.full(expected.shape, np.nan, dtype)
    conv_lanes.convolve(False, x, w, b, y, window, groups)
    assert error(y, expected) <= BOUND[y.dtype]
    gy: Any = rng.standard_normal(y.shape).astype(dtype)
    gx = np.full(x_shape, np.nan, dtype)
    conv_lanes.convolve(True, gy, w, None, gx, window, groups)
    assert error(gx, reference.conv2d_input_grad(gy, w, x_shape, *geometry)) <= BOUND[y.dtype]


@pytest.mark.parametrize(("strips", "panels"), [(1, 64), (3, 5), (14, 32), (16, 8), (28, 16), (33, 2), (5, 1)])
def test_strips_are_cut_into_chunks_that_make_even_pieces(strips: int, panels: int) -> None:
    chunks = conv_lanes._chunks(strips, panels)
    largest = -(-strips * chunks // threads.PIECES)
    assert chunks == panels or largest * threads.PIECES <= 17 / 16 * strips * chunks
    assert chunks <= min(panels, threads.PIECES)


def test_it_pays_for_full_lanes_and_many_products() -> None:
    def pays(n: int, x: Any, y: Any, taps: int, stride: Any = (1, 1)) -> bool:
        return conv_lanes.pays(n, x, y, taps, stride, np.dtype(np.float64))

    assert pays(16, (6, 14, 14), (16, 10, 10), 150)
    assert not pays(1, (6, 14, 14), (16, 10, 10), 150)  # seven lanes of eight stay empty
    assert not pays(16, (6, 14, 14), (6, 14, 14), 9)  # depthwise: each number is used nine times
    assert not pays(16, (32, 56, 56), (32, 56, 56), 144)  # too large for the cache
    assert pays(16, (32, 56, 56), (32, 56, 56), 144, (1, 2))
    assert pays(16, (64, 56, 56), (64, 56, 56), 576)
    assert not pays(16, (0, 14, 14), (16, 10, 10), 0)
