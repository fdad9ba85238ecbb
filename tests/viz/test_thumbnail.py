from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest

from tinygrad_cnn.viz.thumbnail import thumbnail

Image = pytest.importorskip("PIL.Image")


def pixels(values):
    return np.asarray(Image.open(BytesIO(thumbnail(values))))


def test_four_maps_side_by_side_each_from_black_to_white():
    x = np.zeros((2, 6, 5, 7))
    for c in range(6):
        x[0, c, c % 5, 0] = c + 1  # one pixel of each map is lit
    image = pixels(x)
    assert image.shape == (5 * 8, 4 * 7 * 8 + 3 * 3)
    for c in range(4):
        left = c * (7 * 8 + 3)
        assert (image[c * 8 : c * 8 + 8, left : left + 8] == 255).all()
        assert image[:, left : left + 56].astype(int).sum() == 255 * 64


def test_large_maps_are_shrunk_to_means():
    x = np.zeros((1, 1, 112, 224), np.float32)
    x[0, 0, :, :8] = [0, 0, 0, 0, 4, 4, 4, 0]
    image = pixels(x)
    assert image.shape == (28, 56)
    assert image[0, :3].tolist() == [0, 255, 0]


def test_an_image_is_in_colour():
    x = np.zeros((1, 3, 4, 4))
    x[0, 0] = 1
    assert pixels(x).shape == (56, 56, 3)
    assert (pixels(x) == [255, 0, 0]).all()


def test_vectors_are_cells_in_rows():
    image = pixels(np.arange(10.0)[None])
    assert image.shape == (16, 160)
    assert image[0, ::16].tolist() == np.rint(np.arange(10) * 255 / 9).tolist()
    assert pixels(np.arange(84.0)[None]).shape == (3 * 7, 32 * 7)
    assert pixels(np.zeros((1, 9, 1, 1))).shape == (16, 144)
    assert pixels(np.zeros((2, 5000))).shape == (8 * 7, 32 * 7)


@pytest.mark.parametrize("values", [np.zeros(3), np.zeros((2, 3), int), np.zeros((0, 3)), 1.0, np.zeros((2, 3, 4))])
def test_of_anything_else_there_is_no_picture(values):
    assert thumbnail(values) == b""


def test_what_is_not_finite_is_black():
    assert pixels(np.array([[np.nan, 0.0, 1.0]]))[0, ::16].tolist() == [0, 0, 255]
