from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn.viz.grid import PAPER, columns_for, image_grid, limits, to_bytes


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
def test_each_image_or_all_of_them_reach_from_black_to_white(dtype):
    x = np.array([[[-3, 0, 2]], [[7, 8, 17]]], dtype)
    np.testing.assert_array_equal(to_bytes(x), [[[0, 153, 255]], [[0, 26, 255]]])
    np.testing.assert_array_equal(to_bytes(x, joint=True), np.rint((x + 3.0) * 255 / 20))


def test_colours_share_the_scale_of_their_image():
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 3))
    y = to_bytes(x)
    assert y.shape == x.shape
    assert [(image.min(), image.max()) for image in y] == [(0, 255)] * 2
    assert y[0, :, :, 0].max() < 255 or y[0, :, :, 1].max() < 255


def test_even_images_are_black_and_what_is_not_finite_does_not_count():
    assert not to_bytes(np.full((1, 2, 3), 7.0)).any()
    x = np.array([[[np.nan, 1.0, 3.0, np.inf, -np.inf]], [[np.nan] * 5]])
    np.testing.assert_array_equal(to_bytes(x), [[[0, 0, 255, 255, 0]], [[0] * 5]])
    np.testing.assert_array_equal(limits(x), [[1, 0], [3, 0]])
    np.testing.assert_array_equal(limits(x, joint=True), [[1, 1], [3, 3]])
    assert to_bytes(np.zeros((0, 2, 3))).shape == (0, 2, 3)


@pytest.mark.parametrize("colours", [(), (3,)])
def test_images_stand_row_by_row(colours):
    x = np.random.default_rng(0).integers(0, 255, (5, 2, 3, *colours), np.uint8)
    grid = image_grid(x, columns=3, scale=2, gap=4)
    assert grid.shape == (2 * 4 + 4, 3 * 6 + 2 * 4, *colours)
    np.testing.assert_array_equal(grid[8 : 8 + 4 : 2, 10 : 10 + 6 : 2], x[4])
    np.testing.assert_array_equal(grid[1:4:2, 21:26:2], x[2])
    assert (grid[8:, 20:] == PAPER).all()  # no sixth image
    assert (grid[4:8] == PAPER).all()
    assert image_grid(x[:2], columns=7, gap=0).shape == (2, 6, *colours)


def test_columns_follow_the_number_of_images():
    assert [columns_for(n) for n in (1, 7, 64, 65)] == [1, 7, 8, 16]
    assert image_grid(np.zeros((9, 2, 3), np.uint8)).shape == (5, 31)


@pytest.mark.parametrize("wrong", [{"columns": 0}, {"scale": 0}, {"gap": -1}])
def test_impossible_grids(wrong):
    with pytest.raises(ValueError, match=r"image_grid: (columns|scale|gap) must be at least"):
        image_grid(np.zeros((2, 2, 3), np.uint8), **{"columns": 1, **wrong})
    with pytest.raises(ValueError, match=r"at least one image, .* got shape \(0, 2, 3\)"):
        image_grid(np.zeros((0, 2, 3), np.uint8), columns=1)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda x: image_grid(3), ValueError, "at least one image"),
        (lambda x: image_grid("a"), ValueError, "at least one image"),
        (lambda x: image_grid(x[0]), ValueError, r"got shape \(2, 3\)"),
        (lambda x: image_grid(x, 1.5), TypeError, "columns must be an int, got 1.5"),
        (lambda x: image_grid(x, scale="a"), TypeError, "scale must be an int"),
        (lambda x: image_grid(x, gap=True), TypeError, "gap must be an int"),
    ],
)
def test_arguments_of_another_kind_are_told(call, kind, message):
    with pytest.raises(kind, match=message):
        call(np.zeros((2, 2, 3), np.uint8))
