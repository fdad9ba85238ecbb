from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn.preprocess.colour import GREY, ColorJitter


def rng():
    return np.random.default_rng(0)


def images(dtype=np.float64, channels=3):
    return np.random.default_rng(1).integers(0, 256, (50, channels, 5, 4)).astype(dtype)


def grey(x):
    return np.tensordot(GREY, x, (0, 1))


def test_brightness_is_a_factor_for_each_image():
    x = images()
    factors = ColorJitter(brightness=0.3)(x, rng()) / np.where(x == 0, np.nan, x)
    each = np.nanmean(factors, (1, 2, 3))
    np.testing.assert_allclose(factors, np.where(x == 0, np.nan, each[:, None, None, None]))
    assert 0.7 <= each.min() < 0.75
    assert 1.25 < each.max() <= 1.3


def test_contrast_keeps_the_mean_brightness_and_saturation_every_grey():
    x = images()
    flat = ColorJitter(contrast=(0, 0))(x, rng())
    np.testing.assert_allclose(flat, np.broadcast_to(grey(x).mean((1, 2))[:, None, None, None], x.shape))
    doubled = ColorJitter(contrast=(2, 2))(x, rng())
    np.testing.assert_allclose(doubled - flat, 2 * (x - flat), atol=1e-9)
    colourless = ColorJitter(saturation=(0, 0))(x, rng())
    np.testing.assert_allclose(colourless, np.broadcast_to(grey(x)[:, None], x.shape), atol=1e-9)
    np.testing.assert_allclose(grey(ColorJitter(saturation=0.9)(x, rng())), grey(x), atol=1e-9)


def test_nothing_asked_for_changes_nothing_but_rounding():
    x = images(np.uint8)
    assert (ColorJitter()(x, rng()) == x).all()


def test_bytes_are_clipped_and_floats_are_not():
    assert ColorJitter(brightness=(3, 3))(images(np.uint8), rng()).max() == 255
    assert ColorJitter(brightness=(3, 3))(images(), rng()).max() == pytest.approx(3 * images().max())


def test_grey_images_have_brightness_and_contrast():
    x = images(channels=1)
    y = ColorJitter(0.5, 0.5)(x, rng())
    assert y.shape == x.shape
    assert not np.allclose(y, x)
    with pytest.raises(ValueError, match=r"saturation needs images of 3 channels, got shape \(50, 1, 5, 4\)"):
        ColorJitter(saturation=0.5)(x, rng())


@pytest.mark.parametrize(
    ("value", "error"), [(-0.1, TypeError), ((2, 1), ValueError), ((-1, 1), ValueError), ("much", TypeError)]
)
def test_mistakes(value, error):
    with pytest.raises(error, match="ColorJitter: contrast must be"):
        ColorJitter(contrast=value)
