from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_cnn.kernels import lanes
from tinygrad_cnn.kernels.geometry import Window
from tinygrad_cnn.kernels.tile import MOST_ROWS, VECTORS


@st.composite
def windows(draw: Any) -> tuple[Window, int, int]:
    """A window along the height, the pixels and the outputs."""
    size, stride, dilation = (draw(st.integers(1, 4)) for _ in range(3))
    padding = (draw(st.integers(0, 4)), draw(st.integers(0, 4)))
    window = Window((size, 1), (stride, 1), (padding, (0, 0)), (dilation, 1))
    length = max(1, window.extent[0] - sum(padding)) + draw(st.integers(0, 8))
    return window, length, window.out_size("conv2d", (length, 1))[0]


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(windows())
def test_both_axes_list_the_same_pairs_of_pixel_output_and_tap(drawn: tuple[Window, int, int]) -> None:
    window, length, out = drawn
    expected = {
        (pixel, i, p)
        for i in range(out)
        for p in range(window.size[0])
        if 0 <= (pixel := i * window.stride[0] + p * window.dilation[0] - window.padding[0][0]) < length
    }
    found = {}
    for name, axes, inside in (
        ("forward", lanes.forward_axis(window, 0, out), length),
        ("gradient", lanes.gradient_axis(window, 0, length), out),
    ):
        triples = [
            (target, source + step, tap)
            for axis in axes
            for target, source in zip(axis.targets.tolist(), axis.sources.tolist(), strict=True)
            for tap, step in zip(axis.taps.tolist(), axis.steps.tolist(), strict=True)
            if 0 <= source + step < inside
        ]
        assert len(triples) == len(set(triples))
        found[name] = set(triples)
    assert {(pixel, i, p) for i, pixel, p in found["forward"]} == expected
    assert found["gradient"] == expected


@pytest.mark.parametrize("pool", [False, True])
def test_the_strips_of_a_plan_cover_every_output_once_and_read_little(pool: bool) -> None:
    window = Window((3, 5), (1, 1), ((1, 1), (2, 0)), (1, 1))
    x, y = (20, 48, 29, 41), (20, 7, 29, 39)
    plan = lanes.plan(False, window, x, y, 1, 16, pool)
    assert len(plan.spans) > 1
    assert not plan.once
    assert plan.image <= 16 * lanes.STRIP * 2.5
    pixels = [number for first, count, _ in plan.stores.tolist() for number in range(first, first + count)]
    assert sorted(pixels) == list(range(14 * 19 if pool else 29 * 39))
    per_strip = []
    for span in plan.spans:
        tiles = plan.tiles[slice(*span[2])]
        places = tiles[:, 3 + VECTORS[plan.rows] :]
        assert (tiles[:, 3 : 3 + VECTORS[plan.rows]] % 16 == 0).all()
        assert (tiles[:, 2] == VECTORS[plan.rows]).all()  # the last tiles of a class name a pixel several times
        per_strip.append(len(np.unique(places)))
    assert sum(per_strip) == (4 * 14 * 19 if pool else 29 * 39)
    assert plan.tiles[:, 1].min() == 2 * 5 * 48  # at the upper and the lower edge one line of the filter is left out
    assert plan.tiles[:, 1].max() == 3 * 5 * 48


def test_pixels_that_many_strips_read_are_all_turned_before_the_first() -> None:
    window = Window((3, 3), (1, 1), ((2, 2), (2, 2)), (2, 2))
    plan = lanes.plan(False, window, (16, 128, 29, 29), (16, 128, 29, 29), 1, 16, False)
    assert plan.once
    assert len(plan.spans) > 1
    assert plan.loads[:, 1].sum() == 29 * 29
    assert len(plan.holes) == 29 * 4
    assert plan.image == (29 * 33 + 1) * 129 * 16
    # the highest tiles compute no pixel twice
    assert plan.rows == MOST_ROWS
    assert plan.tiles[:, 2].sum() == 29 * 29
    assert plan.tiles[:, 2].min() < VECTORS[MOST_ROWS]


def test_a_plan_is_made_once_for_a_geometry() -> None:
    window = Window((3, 2), (1, 1), ((1, 0), (0, 1)), (1, 1))
    arguments = True, window, (16, 4, 8, 9), (16, 6, 8, 9), 2, 16, False
    assert lanes.plan(*arguments) is lanes.plan(*arguments)
