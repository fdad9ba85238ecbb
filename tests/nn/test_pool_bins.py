from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import functional as F
from tinygrad_cnn import nn

IMAGE = (5, 6, 7)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_adaptive_layers(axes: int, rng: np.random.Generator) -> None:
    x, size = rng.standard_normal((2, 3, *IMAGE[:axes])), (2, 3, 4)[:axes]
    average, largest = getattr(nn, f"AdaptiveAvgPool{axes}d"), getattr(nn, f"AdaptiveMaxPool{axes}d")
    np.testing.assert_array_equal(average(size)(x), getattr(F, f"adaptive_avg_pool{axes}d")(x, size))
    expected = getattr(F, f"adaptive_max_pool{axes}d")(x, size, True)
    np.testing.assert_array_equal(largest(size)(x), expected[0])
    np.testing.assert_array_equal(largest(size, True)(x)[1], expected[1])
    with pytest.raises(ValueError, match=f"AdaptiveMaxPool{axes}d: output_size must be at least 1"):
        largest(0)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_unpooling_layers(axes: int, rng: np.random.Generator) -> None:
    x = rng.standard_normal((2, 3, *IMAGE[:axes]))
    y, index = getattr(nn, f"MaxPool{axes}d")(2, return_indices=True)(x)
    unpool = getattr(nn, f"MaxUnpool{axes}d")(2)
    np.testing.assert_array_equal(unpool(y, index, x.shape), np.where(np.isin(x, y), x, 0))
    even = [n // 2 * 2 for n in IMAGE[:axes]]
    fits = y[..., :1] * 0, index[..., :1] * 0
    assert unpool(*fits).shape[2:] == (*even[:-1], 2)


def test_regions_and_pyramids(rng: np.random.Generator) -> None:
    x, boxes = rng.standard_normal((2, 3, 6, 7)), np.array([[1, 0.7, 1.2, 5.1, 3.9]])
    np.testing.assert_array_equal(nn.RoIPool((2, 3), 0.5)(x, boxes), F.roi_pool(x, boxes, (2, 3), 0.5))
    expected = F.roi_align(x, boxes, (2, 3), 0.5, 2, True)
    np.testing.assert_array_equal(nn.RoIAlign((2, 3), 0.5, 2, True)(x, boxes), expected)
    expected = F.spatial_pyramid_pool(x, (3, 1), "avg", "paper")
    np.testing.assert_array_equal(nn.SpatialPyramidPool((3, 1), "avg", "paper")(x), expected)


def test_named_as_in_torch(torch: Any) -> None:
    for name, args in [
        ("AdaptiveAvgPool1d", (2,)),
        ("AdaptiveAvgPool3d", ((2, None, 3),)),
        ("AdaptiveMaxPool2d", ((2, 3),)),
        ("MaxUnpool1d", (2,)),
        ("MaxUnpool3d", ((1, 2, 3), 2)),
    ]:
        assert repr(getattr(nn, name)(*args)) == repr(getattr(torch.nn, name)(*args))


def test_errors() -> None:
    with pytest.raises(ValueError, match="RoIPool: output_size must be at least 1"):
        nn.RoIPool(0, 1.0)
    with pytest.raises(ValueError, match="SpatialPyramidPool: each level must be at least 1"):
        nn.SpatialPyramidPool((1, 0))
    with pytest.raises(ValueError, match="MaxUnpool2d: kernel_size must be an int or a pair"):
        nn.MaxUnpool2d((1, 2, 3))
