from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import state
from tinygrad_cnn.kernels import threads
from tinygrad_cnn.kernels.activation import relu
from tinygrad_cnn.kernels.conv import conv2d
from tinygrad_cnn.kernels.conv_fused import conv2d_fused
from tinygrad_cnn.kernels.norm import scale_shift
from tinygrad_cnn.kernels.pool import SIDE_BY_SIDE, max_pool2d
from tinygrad_cnn.kernels.pool_2x2 import NOWHERE

DTYPES = [np.float32, np.float64]
CASES: dict[str, tuple[Any, Any, Any]] = {
    "plain": ((2, 3, 7, 9), (4, 3, 3, 2), ((1, 1), ((1, 0), (0, 1)), (1, 1), 1)),
    "an odd last row and column": ((3, 1, 9, 11), (6, 1, 3, 5), ((1, 1), ((0, 0), (0, 0)), (1, 1), 1)),
    "many small images": ((37, 6, 8, 9), (7, 6, 3, 2), ((1, 1), ((1, 1), (0, 2)), (1, 1), 1)),
    "strided, dilated, grouped": ((19, 4, 12, 15), (6, 2, 2, 3), ((2, 1), ((1, 0), (2, 1)), (1, 2), 2)),
    "1x1": ((17, 12, 14, 19), (100, 12, 1, 1), ((1, 1), ((0, 0), (0, 0)), (1, 1), 1)),
    "one column": ((2, 2, 8, 4), (3, 2, 1, 4), ((1, 1), ((0, 0), (0, 0)), (1, 1), 1)),
    "depthwise, in parts": ((2, 24, 20, 21), (24, 1, 3, 3), ((1, 1), ((1, 1), (1, 1)), (1, 1), 24)),
    "one image in bands": ((1, 16, 24, 24), (32, 16, 5, 5), ((1, 1), ((2, 2), (2, 2)), (1, 1), 1)),
    "maps too large to wait for their pooling": ((4, 2, 70, 70), (40, 2, 2, 3), ((1, 1), ((0, 0), (0, 0)), (1, 1), 1)),
    "no image": ((0, 2, 8, 4), (3, 2, 1, 2), ((1, 1), ((0, 0), (0, 0)), (1, 1), 1)),
}


def composed(x: Any, w: Any, b: Any, geometry: Any, scale: Any, shift: Any, rectified: bool, pool: bool) -> Any:
    """The kernels one after the other, and where in its window each maximum lies."""
    y, index = conv2d(x, w, b, *geometry), None
    n, o, oh, ow = y.shape
    if scale is not None:
        y = scale_shift(y.reshape(n, o, -1), scale, shift).reshape(y.shape) if y.size else y
    if rectified:
        y = relu(y)
    if pool:
        y, index = max_pool2d(y, SIDE_BY_SIDE, (oh // 2, ow // 2))
        index = np.where(y <= 0, NOWHERE, index) if rectified else index
    return y, index


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_bits_are_those_of_the_kernels_one_after_the_other(case: Any, dtype: type) -> None:
    x_shape, w_shape, geometry = case
    rng = np.random.default_rng(4)
    x, w, b = (rng.integers(-2, 3, shape).astype(dtype) for shape in (x_shape, w_shape, w_shape[:1]))  # many ties
    x += (rng.random(x_shape) < 0.5) * rng.standard_normal(x_shape).astype(dtype)
    x[rng.random(x_shape) < 0.01] = np.nan
    norm = rng.standard_normal(w_shape[0]), rng.standard_normal(w_shape[0])
    for bias, (scale, shift), rectified, pool in product((b, None), (norm, (None, None)), (False, True), (False, True)):
        y, index = conv2d_fused(x, w, bias, *geometry, scale=scale, shift=shift, relu=rectified, pool=pool)
        expected, places = composed(x, w, bias, geometry, scale, shift, rectified, pool)
        assert y.dtype == dtype
        assert y.flags.c_contiguous
        np.testing.assert_array_equal(y.view(f"u{y.itemsize}"), expected.view(f"u{y.itemsize}"))
        if pool:
            assert index is not None
            assert index.dtype == np.uint8
            np.testing.assert_array_equal(index, places)
        else:
            assert index is None


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [3, 40])
def test_the_same_bits_for_every_thread_count(n: int, dtype: type, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    x: Any = rng.standard_normal((n, 2, 10, 13)).astype(dtype)
    w: Any = rng.standard_normal((6, 2, 3, 2)).astype(dtype)
    geometry = (1, 1), ((1, 0), (2, 1)), (1, 1), 1
    monkeypatch.setattr(threads, "SERIAL_BELOW", 0)
    results = []
    for count in (1, 2, 3):
        monkeypatch.setattr(state, "_num_threads", count)
        y, index = conv2d_fused(x, w, None, *geometry, relu=True, pool=True)
        assert index is not None
        results.append(y.tobytes() + index.tobytes())
    assert results[0] == results[1] == results[2]
