from __future__ import annotations

import numpy as np
import pytest

import tinygrad_cnn
from tinygrad_cnn import reference
from tinygrad_cnn.checks.measure import error
from tinygrad_cnn.kernels import pool_2x2
from tinygrad_cnn.kernels.conv_weight_flat import CACHED, pays, weight_grad
from tinygrad_cnn.kernels.conv_weight_grad import conv2d_weight_grad, takes_maxima
from tinygrad_cnn.kernels.geometry import Window

BOUND = {np.float32: 2e-6, np.float64: 1e-10}
# x (N, C, H, W), w, padding, dilation.
CASES = {
    "whole vectors": ((9, 1, 28, 28), (6, 1, 5, 5), ((2, 2), (2, 2)), (1, 1)),
    "a rest, one more tap than tiles have": ((11, 1, 13, 9), (5, 1, 7, 1), ((0, 0), (0, 0)), (1, 1)),
    "channels, dilation, uneven padding": ((8, 3, 9, 12), (7, 3, 2, 3), ((1, 0), (0, 2)), (2, 3)),
    "columns that only see padding": ((10, 2, 4, 2), (3, 2, 3, 4), ((1, 2), (4, 3)), (1, 2)),
    "a plane shorter than a vector": ((16, 1, 3, 4), (2, 1, 3, 2), ((0, 0), (0, 0)), (1, 1)),
    "one long chain": ((24, 1, 90, 80), (2, 1, 1, 2), ((0, 0), (1, 0)), (1, 1)),
}


def operands(case: tuple, dtype: type) -> tuple[np.ndarray, np.ndarray]:
    x, w, padding, dilation = case
    rng = np.random.default_rng(0)
    out = Window(w[2:], (1, 1), padding, dilation).out_size("conv2d", x[2:])
    return rng.standard_normal((x[0], w[0], *out)).astype(dtype), rng.standard_normal(x).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_reference_within_its_memory(case: tuple, dtype: type, fenced: list[np.ndarray]) -> None:
    x_shape, w, padding, dilation = case
    assert pays(x_shape, w, (1, 1), padding, dilation, 1)
    gy, x = operands(case, dtype)
    gw = weight_grad(gy, x, w, padding, dilation)
    assert len(fenced) == 4
    wide = gy.astype(np.float64), x.astype(np.float64)
    expected = reference.conv2d_weight_grad(*wide, w, (1, 1), padding, dilation, 1)
    assert (gw.shape, gw.dtype) == (expected.shape, dtype)
    assert error(gw, expected) <= BOUND[dtype]


@pytest.mark.parametrize("case", [case for case in CASES.values() if case[0][2] > 3])
def test_of_maxima_the_bits_are_those_of_a_gradient_with_zeros_between_them(case: tuple, fenced: list) -> None:
    gy, x = operands(case, np.float32)
    largest, index = pool_2x2.maximum(gy, (gy.shape[2] // 2, gy.shape[3] // 2))
    for g in (largest, -largest, np.where(largest > 0.5, largest, 0).astype(np.float32)):
        whole = pool_2x2.to_the_maximum(g, index, gy.shape)
        np.testing.assert_array_equal(weight_grad(g, x, *case[1:], index), weight_grad(whole, x, *case[1:]))
        gw = conv2d_weight_grad(g, x, case[1], (1, 1), *case[2:], 1, index)
        np.testing.assert_array_equal(gw, weight_grad(whole, x, *case[1:]))
    assert takes_maxima(x.shape, case[1], (1, 1), *case[2:], 1, x.dtype)
    g = largest.copy()
    g[0, 0, 0, 0] = np.nan
    whole = pool_2x2.to_the_maximum(g, index, gy.shape)
    np.testing.assert_array_equal(
        conv2d_weight_grad(g, x, case[1], (1, 1), *case[2:], 1, index),
        conv2d_weight_grad(whole, x, case[1], (1, 1), *case[2:], 1),
    )


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_bits_are_those_of_any_number_of_threads_and_of_scratch_used_before(case: tuple) -> None:
    gy, x = operands(case, np.float32)
    first, threads = weight_grad(gy, x, *case[1:]), tinygrad_cnn.get_num_threads()
    try:
        for count in (1, 3):
            tinygrad_cnn.set_num_threads(count)
            weight_grad(-2 * gy, x + 1, *case[1:])
            np.testing.assert_array_equal(weight_grad(gy, x, *case[1:]), first)
    finally:
        tinygrad_cnn.set_num_threads(threads)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_nan_spoils_what_depends_on_it_and_nothing_else(case: tuple) -> None:
    gy, x = operands(case, np.float32)
    _, w, padding, dilation = case
    rng = np.random.default_rng(1)
    for array in (gy, x, x):
        place = tuple(rng.integers(0, array.shape))
        before, array[place] = array[place], np.nan
        expected = reference.conv2d_weight_grad(gy, x, w, (1, 1), padding, dilation, 1)
        gw = conv2d_weight_grad(gy, x, w, (1, 1), padding, dilation, 1)
        np.testing.assert_array_equal(np.isnan(gw), np.isnan(expected))
        array[place] = before


def test_it_is_for_batches_of_small_images_and_few_taps() -> None:
    plain = (1, 1), ((0, 0), (0, 0)), (1, 1), 1
    assert pays((8, 1, 28, 28), (32, 1, 3, 3), *plain)
    assert not pays((7, 1, 28, 28), (32, 1, 3, 3), *plain)
    assert not pays((8, 4, 28, 28), (32, 4, 3, 3), *plain)  # 36 taps
    assert not pays((8, 1, 28, 28), (32, 1, 3, 3), (2, 1), *plain[1:])
    assert not pays((8, 2, 28, 28), (32, 1, 3, 3), *plain[:3], 2)
    assert not pays((8, 1, 300, 300), (2, 1, 3, 3), *plain)
    assert CACHED < 2 * 298 * 298
