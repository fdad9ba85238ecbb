from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn import Tensor
from tinygrad_cnn.viz.overlay import HEAT, heat_colours, overlay, rgb, signed_colours


def test_brightness_grows_with_heat() -> None:
    colours = heat_colours(np.linspace(0, 1, 256)) @ [0.299, 0.587, 0.114]
    assert (np.diff(colours) >= -0.5).all()  # but for rounding
    np.testing.assert_array_equal(heat_colours([-1, 0.25, 2]), HEAT[[0, 2, 8]])


def test_signed_colours_are_red_for_and_blue_against() -> None:
    against, nothing, some, much = signed_colours([-3.0, 0.0, 1.5, 3.0]).astype(int)
    assert against[2] > 2 * against[0]
    assert len(set(nothing)) == 1
    assert some[0] > some[2]
    assert much[0] > 2 * much[2]
    np.testing.assert_array_equal(signed_colours(np.zeros((2, 3))), np.full((2, 3, 3), 247))


def test_where_nothing_is_hot_the_image_is_seen_in_grey() -> None:
    image = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
    heat = np.zeros((4, 6))
    heat[1, 2], heat[3, 5] = 1, 0.5
    picture = overlay(image, heat, opacity=0.8)
    grey = (image @ [0.299, 0.587, 0.114])[..., None] + np.zeros(3)
    cold = heat == 0
    np.testing.assert_array_equal(picture[cold], grey[cold].round())
    np.testing.assert_array_equal(picture[1, 2], (0.2 * grey[1, 2] + 0.8 * HEAT[8]).round())
    np.testing.assert_array_equal(picture[3, 5], (0.6 * grey[3, 5] + 0.4 * HEAT[4]).round())


def test_maps_of_another_size_are_resized() -> None:
    picture = overlay(np.zeros((4, 8), np.uint8), [[0.0, 1.0]], opacity=1)
    np.testing.assert_array_equal(picture[:, :2], 0)
    np.testing.assert_array_equal(picture[:, 6:], np.broadcast_to(HEAT[8], (4, 2, 3)))
    assert (np.diff(picture[0, :, 0].astype(int)) >= 0).all()


def test_images_are_taken_as_files_and_as_networks_have_them() -> None:
    bytes_ = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
    bytes_[0, 0], bytes_[0, 1] = 0, 255
    np.testing.assert_array_equal(rgb(bytes_), bytes_)
    seen = (bytes_.transpose(2, 0, 1).astype(np.float32) - 127) / 128
    np.testing.assert_array_equal(rgb(seen), bytes_)
    np.testing.assert_array_equal(rgb(Tensor(seen, requires_grad=True)), bytes_)
    grey = bytes_[..., 0]
    for one in (grey, grey[..., None], grey.astype(np.float32), grey[None].astype(np.float64)):
        np.testing.assert_array_equal(rgb(one), np.repeat(grey[..., None], 3, 2))
    np.testing.assert_array_equal(rgb(np.full((2, 3), 7.0)), np.zeros((2, 3, 3)))  # even: nothing to be seen


@pytest.mark.parametrize(
    ("image", "heat", "opacity", "message"),
    [
        (np.zeros((4, 6), np.uint8), np.zeros((1, 4, 6)), 0.5, r"heat must be one map \(h, w\), got shape \(1, 4, 6\)"),
        (np.zeros((4, 6), np.uint8), np.zeros((4, 6)), 1.5, r"opacity must lie between 0 and 1, got 1\.5"),
        (np.zeros((4, 6), np.int64), np.zeros((4, 6)), 0.5, r"image must be uint8 .* got int64 of shape \(4, 6\)"),
        (np.zeros((1, 3, 4, 6)), np.zeros((4, 6)), 0.5, r"image must be uint8 .* of shape \(1, 3, 4, 6\)"),
    ],
)
def test_what_is_no_picture_is_refused(image, heat, opacity, message) -> None:
    with pytest.raises(ValueError, match=message):
        overlay(image, heat, opacity)


def test_where_heat_is_not_a_number_it_is_cold() -> None:
    heat = np.array([[np.nan, 1.0]])
    np.testing.assert_array_equal(heat_colours(heat), heat_colours([[0.0, 1.0]]))
    np.testing.assert_array_equal(signed_colours(heat), signed_colours([[0.0, 1.0]]))
    picture = np.full((1, 2), 100, np.uint8)
    np.testing.assert_array_equal(overlay(picture, heat), overlay(picture, [[0.0, 1.0]]))


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: heat_colours("a"), TypeError, "heat_colours: colours are of numbers, got 'a'"),
        (lambda: signed_colours([None]), TypeError, "signed_colours: colours are of numbers"),
        (lambda: overlay(np.zeros((2, 3)), "a"), TypeError, "overlay: colours are of numbers"),
        (lambda: overlay(np.zeros((2, 3)), [[1.0]], "a"), TypeError, "opacity must be a number"),
    ],
)
def test_arguments_of_another_kind_are_told(call, kind, message):
    with pytest.raises(kind, match=message):
        call()
