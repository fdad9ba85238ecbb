from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn import functional as F
from tinygrad_cnn import nn

X = np.random.default_rng(0).standard_normal((2, 4, 3, 5))


def test_upsample() -> None:
    layer = nn.Upsample((6, 4), mode="bicubic", align_corners=True)
    np.testing.assert_array_equal(layer(X), F.interpolate(X, (6, 4), None, "bicubic", True))
    layer = nn.Upsample(scale_factor=(1.5, 3.0), mode="bilinear", recompute_scale_factor=True)
    np.testing.assert_array_equal(layer(X), F.interpolate(X, None, (1.5, 3.0), "bilinear", recompute_scale_factor=True))
    assert repr(layer) == "Upsample(scale_factor=(1.5, 3.0), mode='bilinear')"
    assert repr(nn.Upsample(7)) == "Upsample(size=7, mode='nearest')"
    with pytest.raises(ValueError, match="give either size or scale_factor"):
        nn.Upsample()(X)


def test_pixels() -> None:
    y = nn.PixelShuffle(2)(X)
    np.testing.assert_array_equal(y, F.pixel_shuffle(X, 2))
    np.testing.assert_array_equal(nn.PixelUnshuffle(2)(y), X)
    assert repr(nn.PixelShuffle(2)) == "PixelShuffle(upscale_factor=2)"
    assert repr(nn.PixelUnshuffle(3)) == "PixelUnshuffle(downscale_factor=3)"
