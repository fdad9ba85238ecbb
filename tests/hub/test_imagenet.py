from __future__ import annotations

import builtins
from collections import Counter

import numpy as np
import pytest

from tinygrad_cnn.hub.imagenet import NAMES, imagenet_classes, imagenet_input, read_photograph

Image = pytest.importorskip("PIL.Image")


@pytest.mark.skipif(not NAMES.is_here(), reason="the names of ImageNet's classes are not in the cache")
def test_names_of_the_classes():
    names = imagenet_classes()
    assert len(names) == 1000
    assert [names[label] for label in (0, 281, 285, 967, 999)] == [
        "tench", "tabby", "Egyptian cat", "espresso", "toilet tissue",
    ]  # fmt: skip
    assert {name for name, count in Counter(names).items() if count > 1} == {"crane", "maillot"}


def test_the_middle_square_is_seen():
    photograph = np.zeros((256, 512, 3), np.uint8)
    photograph[16:240, 144:368] = 127, 255, 63  # exactly the 224 x 224 in the middle
    x = imagenet_input(photograph)
    assert (x.shape, x.dtype) == ((1, 3, 224, 224), np.float32)
    np.testing.assert_array_equal(x[0, :, 0, 0], [0, 1, -0.5])
    assert (x == x[:, :, :1, :1]).all()
    assert not (imagenet_input(np.roll(photograph, 3, 1)) == x).all()


def test_sizes_are_halved_smoothly_and_colours_kept_apart():
    rows = np.arange(512, dtype=np.float64)[:, None] / 512 * 255
    photograph = np.stack([rows + np.zeros((512, 600)), np.full((512, 600), 9), np.full((512, 600), 200)], 2)
    x = imagenet_input(photograph.astype(np.uint8))
    assert (np.diff(x[0, 0, :, 5]) >= 0).all()
    np.testing.assert_allclose(x[0, 0, 111:113].mean() * 128 + 127, 127.5, atol=1)
    np.testing.assert_array_equal(x[0, 1:, 7, 7] * 128 + 127, [9, 200])


def test_grey_and_other_sizes():
    x = imagenet_input(np.full((50, 40), 200, np.uint8), size=64)
    assert x.shape == (1, 3, 64, 64)
    assert (x == np.float32((200 - 127) / 128)).all()


@pytest.mark.parametrize(
    "photograph",
    [np.zeros((8, 9, 3)), np.zeros((8, 9, 4), np.uint8), np.zeros((3,), np.uint8), np.zeros((0, 9, 3), np.uint8)],
)
def test_what_is_no_photograph(photograph):
    with pytest.raises(ValueError, match=r"imagenet_input: needs a photograph \(H, W, 3\) or \(H, W\) of uint8"):
        imagenet_input(photograph)


def test_files_are_read_in_colour(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    np.testing.assert_array_equal(read_photograph(tmp_path / "photo.png"), pixels)
    Image.fromarray(pixels[:, :, 0]).save(tmp_path / "grey.png")
    assert read_photograph(tmp_path / "grey.png").shape == (5, 7, 3)


def test_bad_files(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="no such file; give the path of a photograph"):
        read_photograph(tmp_path / "missing.jpg")
    (tmp_path / "text.jpg").write_text("not a photograph")
    with pytest.raises(ValueError, match=r"text\.jpg: expected an image such as a PNG or JPEG"):
        read_photograph(tmp_path / "text.jpg")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    Image.fromarray(np.zeros((50, 50), np.uint8)).save(tmp_path / "bomb.png")
    with pytest.raises(ValueError, match=r"bomb\.png: expected an image"):
        read_photograph(tmp_path / "bomb.png")


def test_pillow_is_named_where_it_is_absent(monkeypatch):
    found = builtins.__import__

    def without_pillow(name, *args, **kwargs):
        if name == "PIL":
            raise ImportError(name)
        return found(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_pillow)
    with pytest.raises(ImportError, match=r"pip install tinygrad-cnn\[vision\]"):
        imagenet_input(np.zeros((4, 4), np.uint8))
