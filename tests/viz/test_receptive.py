from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn import functional as F
from tinygrad_cnn import nn
from tinygrad_cnn.analysis import effective_field, receptive_field
from tinygrad_cnn.viz import receptive, save_receptive_field

MODEL = nn.Sequential(nn.Conv2d(1, 1, (3, 5), padding=1, dilation=(2, 1)), nn.ReLU())
IMAGE = np.full((12, 10), 200, np.uint8)


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(receptive, "save_picture", lambda figure, path: figures.append(figure))

    def draw(*arguments):
        save_receptive_field(tmp_path / "unused.png", *arguments)
        return figures[-1]

    return draw


def test_what_is_not_seen_is_dark_and_a_box_stands_around_the_rest(drawn):
    field = receptive_field(MODEL, "1", (1, 12, 10))
    (axes,) = drawn(IMAGE, field, (0, 3)).axes
    shown = axes.images[0].get_array()
    assert np.array_equal(shown[..., 0] == 200, field.mask(0, 3))
    assert (shown[~field.mask(0, 3)] == 70).all()
    unclipped, clipped = axes.patches
    assert (unclipped.get_xy(), unclipped.get_width(), unclipped.get_height()) == ((1.5, -1.5), 5, 5)
    assert (clipped.get_xy(), clipped.get_width(), clipped.get_height()) == ((1.5, 0.5), 5, 3)
    assert axes.get_ylim() == (11.5, -1.5)  # row -1 is padding
    assert axes.get_xlim() == (-0.5, 9.5)
    assert "sees 5 x 5 pixels" in axes.get_title(loc="left")


def test_how_much_pixels_matter_is_a_second_picture(drawn):
    found = effective_field(MODEL, "0", input_size=(1, 12, 10), count=1)
    axes = drawn(IMAGE, found.field, found.unit, found).axes
    assert len(axes) == 2
    heat = axes[1].images[0].get_array()
    brightest = np.unravel_index(heat.sum(2).argmax(), heat.shape[:2])
    assert brightest == np.unravel_index(found.heat.argmax(), found.heat.shape)


def test_a_map_of_units_that_differ(drawn):
    class Bins(nn.Module):
        def forward(self, x):
            return F.adaptive_avg_pool2d(x, (5, 3))

    field = receptive_field(Bins(), "adaptive_avg_pool2d", (1, 12, 10))
    (axes,) = drawn(IMAGE, field, (2, 1)).axes
    assert len(axes.patches) == 1
    assert "sees 16 pixels" in axes.get_title(loc="left")


def test_a_file_is_written_and_a_wrong_image_refused(tmp_path):
    field = receptive_field(MODEL, "1", (1, 12, 10))
    save_receptive_field(tmp_path / "field.png", IMAGE, field, (1, 1))
    assert (tmp_path / "field.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match=r"an image of \(12, 10\), got \(10, 12\)"):
        save_receptive_field(tmp_path / "field.png", IMAGE.T, field, (1, 1))


def test_arguments_of_another_kind_are_told(tmp_path):
    field = receptive_field(nn.Conv2d(1, 1, 3), "conv2d", (1, 6, 5))
    image, path = np.zeros((6, 5), np.uint8), tmp_path / "field.png"
    with pytest.raises(TypeError, match="field must be what receptive_field returns, got 3"):
        save_receptive_field(path, image, 3, (0, 0))
    for unit in (3, (0, 0, 0), "a"):
        with pytest.raises(ValueError, match=r"unit must be \(row, column\), got"):
            save_receptive_field(path, image, field, unit)
    with pytest.raises(TypeError, match="whole numbers"):
        save_receptive_field(path, image, field, (0, 1.5))
