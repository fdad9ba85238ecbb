from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn import functional as F
from tinygrad_cnn.attribution import Attribution
from tinygrad_cnn.attribution.result import normalized


def attribution(*shape: int, size: tuple[int, int] = (8, 12)) -> Attribution:
    raw = np.random.default_rng(0).standard_normal(shape)
    return Attribution("test", raw, raw, np.zeros(shape[:-2]), size)


def test_rectified_is_what_speaks_for_and_normalized_reaches_from_0_to_1() -> None:
    found = attribution(3, 4, 5)
    np.testing.assert_array_equal(found.rectified, np.where(found.map > 0, found.map, 0))
    for rectified, one in zip(found.rectified, found.normalized, strict=True):
        np.testing.assert_allclose(one, (rectified - rectified.min()) / (rectified.max() - rectified.min()))
        assert (one.min(), one.max()) == (0, 1)


def test_an_even_map_becomes_0() -> None:
    np.testing.assert_array_equal(normalized(np.full((2, 3, 4), -7.0)), 0)


def test_upsampled_lies_on_the_image() -> None:
    found = attribution(3, 4, 5)
    for size in (None, (7, 9)):
        grown = found.upsampled(size)
        assert grown.shape == (3, *(size or (8, 12)))
        by_hand = F.interpolate(found.rectified[:, None], size or (8, 12), mode="bilinear")[:, 0]
        np.testing.assert_allclose(grown, normalized(by_hand))


def test_targets_stay_in_front() -> None:
    several = attribution(2, 3, 4, 5)
    assert several.upsampled().shape == (2, 3, 8, 12)
    one = Attribution("test", several.raw[1], several.map[1], several.scores[1], (8, 12))
    np.testing.assert_array_equal(several.upsampled()[1], one.upsampled())
    np.testing.assert_array_equal(several.normalized[1], one.normalized)
    assert repr(one) == "<test: maps (3, 4, 5) of images of 8 x 12>"


def test_a_size_is_one_number_or_two():
    assert attribution(1, 2, 2).upsampled(3).shape == (1, 3, 3)
    for wrong in ("a", 1.5, (1, 2, 3), (3, None)):
        with pytest.raises((TypeError, ValueError), match="upsampled: size must be"):
            attribution(1, 2, 2).upsampled(wrong)
    with pytest.raises(ValueError, match="upsampled: size must be at least 1, got 0"):
        attribution(1, 2, 2).upsampled((3, 0))
