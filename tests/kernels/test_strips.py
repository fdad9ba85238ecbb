from __future__ import annotations

import math

import numpy as np
import pytest

from tinygrad_cnn.kernels.strips import CACHED, WIDE, Strips, strips
from tinygrad_cnn.kernels.tile import LONGEST_CHAIN

NO_PADDING = ((0, 0), (0, 0))


def plan(x: tuple, w: tuple, stride: tuple = (1, 1), padding: tuple = NO_PADDING, groups: int = 1) -> Strips:
    return strips(x, w, stride, padding, (1, 1), groups, 16)


def test_a_window_that_fills_few_lanes_is_stacked() -> None:
    assert plan((5, 1, 13, 19), (6, 1, 5, 4)).stack == 5
    assert plan((3, 3, 23, 40), (4, 3, 7, 6), (2, 3)).stack == 7
    assert plan((4, 6, 14, 12), (16, 6, 5, 4)).stack == 1


def test_channels_come_in_blocks_and_large_filter_banks_in_units() -> None:
    assert plan((2, 37, 9, 21), (10, 37, 3, 2)).blocks == 3
    large = plan((1, 300, 4, 5), (130, 300, 3, 2))
    assert large.units > 1
    assert large.blocks * large.units * large.channels >= 300


def test_narrow_units_have_a_share_of_the_filters_instead_of_the_channels() -> None:
    narrow = plan((16, 256, 1, 196), (1024, 256, 1, 1))
    assert (narrow.shares, narrow.units) == (4, 4)
    assert len(narrow.places) >= WIDE
    assert len(narrow.places) * 16 * 1024 // narrow.shares <= CACHED
    assert plan((16, 256, 1, 196), (1028, 256, 1, 1)).shares == 1  # filters that cannot be divided
    assert plan((16, 128, 28, 28), (128, 128, 3, 3)).shares == 1  # wide enough


def test_units_have_equally_many_blocks_where_they_can() -> None:
    """Of 8 blocks 3 would fit the cache: 3, 3 and 2 would keep a thread waiting."""
    even = plan((16, 128, 28, 28), (128, 128, 3, 3), padding=((1, 1), (1, 1)))
    assert (even.blocks, even.units, even.parts) == (2, 4, 2)
    assert plan((16, 208, 28, 28), (128, 208, 3, 3)).blocks == 3  # 13 cannot be divided


def test_rows_of_x_are_copied_as_one_where_a_window_sees_them_all() -> None:
    overlapping = plan((8, 16, 25, 21), (8, 16, 3, 2), (2, 1))
    assert overlapping.copied == overlapping.rows == 25
    assert plan((2, 16, 25, 21), (8, 16, 2, 2), (3, 1)).copied == 2
    assert plan((5, 1, 13, 19), (6, 1, 5, 4)).copied == 1  # stacked


def test_a_strip_is_no_longer_than_a_chain_and_shared_by_small_images() -> None:
    together = plan((19, 20, 5, 4), (17, 20, 3, 2))
    assert together.together > 1
    bands = plan((2, 4, 50, 45), (3, 4, 3, 3))
    assert bands.band < 50
    for found in (together, bands):
        assert len(found.pixels) <= LONGEST_CHAIN
    assert len(plan((1, 2, 3, 700), (2, 2, 2, 3)).pixels) > LONGEST_CHAIN  # one row


def test_a_depthwise_convolution_goes_lane_by_lane() -> None:
    assert plan((3, 21, 12, 40), (21, 1, 3, 4), groups=21).each
    assert plan((19, 8, 4, 3), (8, 1, 3, 2), groups=8).together > 1
    assert not plan((3, 21, 12, 40), (42, 1, 3, 4), groups=21).each  # two filters a channel


@pytest.mark.parametrize("shapes", [((64, 64, 32, 32), (64, 64, 3, 3)), ((16, 512, 7, 7), (512, 512, 3, 3))])
def test_the_sums_of_a_unit_stay_in_the_cache(shapes: tuple) -> None:
    found = plan(*shapes, padding=((1, 1), (1, 1)))
    assert len(found.places) // found.blocks * 16 * found.filters <= max(CACHED, 9 * 16 * found.filters)
    assert found.blocks == found.shares or len(found.places) * 16 * found.filters // found.shares <= CACHED


def test_the_sides_are_the_pixels_of_2x2_windows() -> None:
    found = plan((2, 6, 9, 12), (4, 6, 3, 2), (1, 1), ((1, 0), (0, 2)))
    assert found.out == (8, 13)
    pixels = found.pixels.reshape(found.together, found.band, 13)[0]
    np.testing.assert_array_equal(found.sides[0, :, :6], pixels[:, 0:12:2])
    np.testing.assert_array_equal(found.sides[1, :, :6], pixels[:, 1:12:2])
    assert found.sides.shape[2] == 6 + 16  # a whole vector may be read from the last one on


def test_every_tap_has_a_lane_of_its_own() -> None:
    for case in (((4, 6, 14, 12), (16, 6, 5, 4)), ((5, 1, 13, 19), (6, 1, 5, 4)), ((2, 37, 9, 21), (10, 37, 3, 2))):
        found = plan(*case)
        real = found.taps.reshape(-1, *case[1][2:])[: case[1][1]]
        assert len(set(real.reshape(-1).tolist())) == math.prod(case[1][1:])
        assert real.max() < len(found.places) * 16
