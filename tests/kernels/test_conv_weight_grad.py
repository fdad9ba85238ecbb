from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn import reference
from tinygrad_cnn.kernels import conv_weight_grad


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_weight_gradient_shows_every_nan(dtype: type) -> None:
    """It may spoil more taps than depend on the NaN, but hides none, and other filters' gradients are not touched."""
    x_shape, w_shape = (3, 2, 9, 8), (5, 2, 3, 2)
    geometry = ((2, 3), ((1, 0), (0, 2)), (1, 1), 1)
    rng = np.random.default_rng(0)
    x, u = rng.standard_normal(x_shape).astype(dtype), rng.standard_normal((3, 5, 4, 3)).astype(dtype)
    for n, c, h, w in np.random.default_rng(4).integers(0, x_shape, (6, 4)):
        spoiled = x.copy()
        spoiled[n, c, h, w] = np.nan
        gw = conv_weight_grad.conv2d_weight_grad(u, spoiled, w_shape, *geometry)
        expected = reference.conv2d_weight_grad(u, spoiled, w_shape, *geometry)
        assert np.isnan(gw[np.isnan(expected)]).all()
    u[1, 2, 0, 1] = np.nan
    gw = conv_weight_grad.conv2d_weight_grad(u, x, w_shape, *geometry)
    expected = reference.conv2d_weight_grad(u, x, w_shape, *geometry)
    np.testing.assert_array_equal(np.isnan(gw), np.isnan(expected))
