from __future__ import annotations

import sys

import numpy as np
import pytest

from tinygrad_cnn.data import synthetic_digits
from tinygrad_cnn.data.picture import read_digit

Image = pytest.importorskip("PIL.Image")


def save(array, path, mode=None):
    Image.fromarray(array, mode).save(path) if mode else Image.fromarray(array).save(path)
    return path


def test_an_image_in_mnist_s_own_form_is_left_alone(tmp_path):
    digit = synthetic_digits(1, seed=3).images[0, 0].copy()
    digit[[0, -1]] = digit[:, [0, -1]] = 0
    np.testing.assert_array_equal(read_digit(save(digit, tmp_path / "digit.png")), digit)


def test_ink_on_paper_is_inverted_scaled_and_centred(tmp_path):
    paper = np.full((300, 200), 250, np.uint8)
    paper[40:140, 20:60] = 10  # 100 high, 40 wide, in a corner
    image = read_digit(save(paper, tmp_path / "ink.png"))
    assert image.shape == (28, 28)
    assert image.dtype == np.uint8
    rows, columns = np.flatnonzero(image.max(1) > 128), np.flatnonzero(image.max(0) > 128)
    assert (rows[0], rows[-1]) == (4, 23)  # 20 pixels, in the middle of 28
    assert (columns[0], columns[-1]) == (10, 17)  # 8 pixels
    assert image.max() == 255


def test_the_centre_of_mass_is_in_the_middle(tmp_path):
    ink = np.zeros((90, 90), np.uint8)
    ink[10:80, 40:50] = 255  # a stem with a heavy foot
    ink[70:80, 20:70] = 255
    image = read_digit(save(ink, tmp_path / "stem.png")).astype(float)
    for axis in (0, 1):
        mass = image.sum(1 - axis)
        assert abs((mass * (np.arange(28) + 0.5)).sum() / mass.sum() - 14) <= 0.75


def test_transparent_and_coloured_pictures_are_read_as_grey(tmp_path):
    colour = np.zeros((60, 50, 4), np.uint8)
    colour[20:40, 20:30] = (30, 0, 60, 255)
    assert read_digit(save(colour, tmp_path / "colour.png")).max() == 255


def test_sixteen_bits_a_pixel_show_the_same_digit(tmp_path):
    paper = np.full((50, 40), 235, np.uint8)
    paper[10:40, 15:25] = 20
    for name, picture in {"ink": paper, "light": 255 - paper}.items():
        eight = read_digit(save(picture, tmp_path / f"{name}8.png"))
        sixteen = read_digit(save(picture.astype(np.uint16) * 257, tmp_path / f"{name}16.png"))
        np.testing.assert_array_equal(sixteen, eight)


@pytest.mark.parametrize(
    "content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n" + b"broken" * 9], ids=["empty", "text", "broken"]
)
def test_what_is_no_image_is_named(tmp_path, content):
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.png: expected an image"):
        read_digit(tmp_path / "x.png")


def test_an_even_picture_and_a_missing_one_are_refused(tmp_path):
    with pytest.raises(ValueError, match="found one even colour"):
        read_digit(save(np.full((50, 40), 200, np.uint8), tmp_path / "even.png"))
    with pytest.raises(ValueError, match="found one even colour"):  # of MNIST's size too
        read_digit(save(np.zeros((28, 28), np.uint8), tmp_path / "black.png"))
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_digit(tmp_path / "none.png")


def test_without_pillow_the_extra_is_named(tmp_path, monkeypatch):
    path = save(np.zeros((5, 5), np.uint8), tmp_path / "x.png")
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match=r"pip install tinygrad-cnn\[vision\]"):
        read_digit(path)
