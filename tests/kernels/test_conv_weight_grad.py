from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_cnn
from tinygrad_cnn import reference
from tinygrad_cnn.checks.measure import error
from tinygrad_cnn.kernels.conv_weight_grad import conv2d_weight_grad, takes_maxima
from tinygrad_cnn.kernels.geometry import Window
from tinygrad_cnn.kernels.pool_2x2 import NOWHERE
from tinygrad_cnn.kernels.tile import LONGEST_CHAIN

BOUND = {np.float32: 2e-6, np.float64: 1e-10}
# Every way in which the work is cut: x (N, C, H, W), w, stride, padding, dilation, groups.
CASES = {
    "rows of the window stacked": ((5, 1, 13, 19), (6, 1, 5, 4), (1, 1), ((2, 1), (0, 2)), (1, 1), 1),
    "stacked, strided, two vectors": ((3, 3, 23, 40), (4, 3, 7, 6), (2, 3), ((3, 2), (1, 3)), (2, 1), 1),
    "a few channels": ((4, 6, 14, 12), (16, 6, 5, 4), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    "blocks of channels, the last not whole": ((2, 37, 9, 21), (10, 37, 3, 2), (1, 2), ((1, 0), (0, 1)), (1, 1), 1),
    "several small images together": ((19, 20, 5, 4), (17, 20, 3, 2), (1, 1), ((1, 1), (1, 0)), (1, 1), 1),
    "bands of rows": ((2, 4, 50, 45), (3, 4, 3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    "one row longer than a chain": ((1, 2, 3, 700), (2, 2, 2, 3), (1, 1), ((0, 1), (1, 1)), (1, 1), 1),
    "rows that no window sees": ((2, 16, 13, 11), (8, 16, 1, 2), (3, 2), ((1, 2), (0, 0)), (1, 1), 1),
    "rows that no window sees, the last ends the memory": (
        (8, 16, 25, 21), (8, 16, 1, 2), (3, 1), ((0, 0), (0, 1)), (1, 1), 1,
    ),
    "columns a dilation apart": ((2, 18, 12, 31), (5, 18, 2, 3), (2, 1), ((1, 0), (2, 3)), (2, 4), 1),
    "units of a large filter bank": ((1, 300, 4, 5), (130, 300, 3, 2), (1, 1), ((1, 0), (0, 1)), (1, 1), 1),
    "1x1, units of some channels or some filters": (
        (2, 160, 5, 6), (2048, 80, 1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), 2,
    ),
    "groups": ((3, 12, 10, 9), (9, 4, 3, 2), (1, 2), ((1, 1), (0, 1)), (1, 1), 3),
    "depthwise": ((3, 21, 12, 40), (21, 1, 3, 4), (2, 1), ((1, 2), (1, 0)), (1, 2), 21),
    "depthwise, small images": ((19, 8, 4, 3), (8, 1, 3, 2), (1, 1), ((1, 1), (1, 0)), (1, 1), 8),
}  # fmt: skip


def operands(seed: int, dtype: type, x_shape: tuple, w_shape: tuple, *geometry: tuple) -> tuple[np.ndarray, np.ndarray]:
    """Return gy and x."""
    rng = np.random.default_rng(seed)
    out = Window(w_shape[2:], *geometry[:3]).out_size("conv2d", x_shape[2:])
    gy = rng.standard_normal((x_shape[0], w_shape[0], *out))
    return gy.astype(dtype), rng.standard_normal(x_shape).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_every_way_to_cut_the_work_gives_the_weight_gradient_and_stays_in_its_memory(
    case: tuple, dtype: type, fenced: list[np.ndarray]
) -> None:
    gy, x = operands(0, dtype, *case)
    gw = conv2d_weight_grad(gy, x, *case[1:])
    assert len(fenced) >= 4
    expected = reference.conv2d_weight_grad(gy.astype(np.float64), x.astype(np.float64), *case[1:])
    assert gw.shape == expected.shape
    assert error(gw, expected) <= BOUND[dtype]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_scratch_that_was_used_before_and_any_number_of_threads_give_the_same_bits(case: tuple) -> None:
    gy, x = operands(1, np.float32, *case)
    first = conv2d_weight_grad(gy, x, *case[1:])
    threads = tinygrad_cnn.get_num_threads()
    try:
        for count in (1, 3):
            tinygrad_cnn.set_num_threads(count)
            conv2d_weight_grad(-2 * gy, x + 1, *case[1:])
            np.testing.assert_array_equal(conv2d_weight_grad(gy, x, *case[1:]), first)
    finally:
        tinygrad_cnn.set_num_threads(threads)


def maxima(gy: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the gradients of 2x2 maxima, a third of them zero, their index, and the same where the pixels are."""
    rng = np.random.default_rng(seed)
    n, o, oh, ow = gy.shape
    found = gy[:, :, : oh // 2, : ow // 2] * (rng.random((n, o, oh // 2, ow // 2)) < 2 / 3)
    index = rng.integers(0, 4, found.shape, np.uint8)
    scattered = np.zeros_like(gy)
    i, j, h, w = np.indices(found.shape)
    scattered[i, j, 2 * h + index // 2, 2 * w + index % 2] = found
    return found.astype(gy.dtype), index, scattered


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", [case for name, case in CASES.items() if "depthwise" not in name], ids=str)
def test_the_maxima_alone_give_the_bits_of_all_pixels(case: tuple, dtype: type, fenced: list[np.ndarray]) -> None:
    gy, x = operands(5, dtype, *case)
    if gy.shape[3] > LONGEST_CHAIN or case[1][2:] == (1, 1):
        assert not takes_maxima(x.shape, *case[1:], gy.dtype)
        return
    found, index, scattered = maxima(gy, 6)
    expected = conv2d_weight_grad(scattered, x, *case[1:])
    np.testing.assert_array_equal(conv2d_weight_grad(found, x, *case[1:], index), expected)
    assert len(fenced) >= 4


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [3, 40])  # by strips, and by whole planes (conv_weight_flat.py)
def test_the_gradient_of_a_bias_is_that_of_all_maxima_with_a_place(n: int, dtype: type, fenced: list) -> None:
    """Even where the others are not finite."""
    case = (n, 2, 11, 13), (5, 2, 3, 4), (1, 1), ((1, 1), (1, 1)), (1, 1), 1
    gy, x = operands(3, dtype, *case)
    found, index, _ = maxima(gy, 4)
    index[np.random.default_rng(5).random(index.shape) < 1 / 3] = NOWHERE
    expected = np.where(index == NOWHERE, 0.0, found).sum((0, 2, 3))
    found[index == NOWHERE] = np.nan
    gb = np.full(5, np.nan, dtype)
    conv2d_weight_grad(found, x, *case[1:], index, gb)
    assert error(gb, expected) <= (1e-6 if dtype == np.float32 else 1e-13)


def test_maxima_are_taken_where_their_lists_pay() -> None:
    plain = (1, 1), ((0, 0), (0, 0)), (1, 1)
    assert takes_maxima((8, 6, 14, 14), (16, 6, 5, 5), *plain, 1, np.dtype(np.float32))
    assert not takes_maxima((7, 1, 28, 28), (6, 1, 2, 2), *plain, 1, np.dtype(np.float32))
    assert takes_maxima((8, 1, 28, 28), (6, 1, 5, 5), *plain, 1, np.dtype(np.float32))  # by conv_weight_flat.py
    assert not takes_maxima((8, 64, 28, 28), (64, 1, 3, 3), *plain, 64, np.dtype(np.float32))
    assert not takes_maxima((1, 16, 5, 520), (64, 16, 3, 3), *plain, 1, np.dtype(np.float32))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(data=st.data(), dtype=st.sampled_from([np.float32, np.float64]))
def test_any_geometry(data: st.DataObject, dtype: type) -> None:
    def pair(low: int, high: int) -> tuple[int, int]:
        return data.draw(st.integers(low, high)), data.draw(st.integers(low, high))

    groups, n = data.draw(st.sampled_from([1, 1, 2, 3])), data.draw(st.integers(1, 4))
    c, o = data.draw(st.sampled_from([1, 2, 5, 9, 17])), data.draw(st.sampled_from([1, 2, 3, 7, 9]))
    size, stride, dilation, padding = pair(1, 4), pair(1, 3), pair(1, 3), (pair(0, 2), pair(0, 2))
    height, width = (d * (k - 1) + 1 + extra for d, k, extra in zip(dilation, size, pair(0, 20), strict=True))
    case = (n, groups * c, height, width), (groups * o, c, *size), stride, padding, dilation, groups
    gy, x = operands(2, dtype, *case)
    expected = reference.conv2d_weight_grad(gy.astype(np.float64), x.astype(np.float64), *case[1:])
    assert error(conv2d_weight_grad(gy, x, *case[1:]), expected) <= BOUND[dtype]
    if min(gy.shape[2:]) > 1 and size != (1, 1) and not groups == c * groups == o * groups:
        found, index, scattered = maxima(gy, 7)
        at_maxima = conv2d_weight_grad(found, x, *case[1:], index)
        np.testing.assert_array_equal(at_maxima, conv2d_weight_grad(scattered, x, *case[1:]))


def test_a_long_sum_of_ones_is_cut_into_chains() -> None:
    """One chain of 2**18 additions of a third would be wrong by 1e-4."""
    gy, x = np.full((64, 2, 64, 64), 1 / 3, np.float32), np.ones((64, 3, 64, 64), np.float32)
    gw = conv2d_weight_grad(gy, x, (2, 3, 1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), 1)
    assert error(gw, np.full(gw.shape, 2**18 * np.float64(np.float32(1 / 3)))) <= BOUND[np.float32]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_nan_spoils_what_depends_on_it_and_nothing_else(case: tuple) -> None:
    gy, x = operands(3, np.float32, *case)
    rng = np.random.default_rng(4)
    for array in (gy, x, x):
        place = tuple(rng.integers(0, array.shape))
        before, array[place] = array[place], np.nan
        expected = reference.conv2d_weight_grad(gy, x, *case[1:])
        np.testing.assert_array_equal(np.isnan(conv2d_weight_grad(gy, x, *case[1:])), np.isnan(expected))
        array[place] = before


def test_without_an_image_the_gradient_is_zero() -> None:
    gw = conv2d_weight_grad(
        np.empty((0, 2, 3, 4)), np.empty((0, 1, 3, 4)), (2, 1, 1, 1), (1, 1), ((0, 0),) * 2, (1, 1), 1
    )
    np.testing.assert_array_equal(gw, np.zeros((2, 1, 1, 1)))
