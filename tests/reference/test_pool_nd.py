from __future__ import annotations

import numpy as np

from tinygrad_cnn import reference


def test_two_axes_are_the_pooling_of_images(rng: np.random.Generator) -> None:
    x = rng.integers(0, 5, (2, 3, 6, 7)).astype(float)
    window = (3, 2), (2, 3), ((1, 1), (1, 1))
    found = reference.max_pool_nd(x, (3, 2), (2, 3), (1, 1), (1, 1), (4, 3))
    for a, b in zip(found, reference.max_pool2d(x, *window, (1, 1), (4, 3)), strict=True):
        np.testing.assert_array_equal(a, b)
    for include, divisor in ((True, None), (False, None), (True, 5)):
        found = reference.avg_pool_nd(x, (3, 2), (2, 3), (1, 1), (4, 3), include, divisor)
        np.testing.assert_allclose(found, reference.avg_pool2d(x, *window, (4, 3), include, divisor))
    found = reference.adaptive_avg_pool_nd(x, (4, 3))
    np.testing.assert_allclose(found, reference.adaptive_avg_pool2d(x, (4, 3)))


def test_adaptive_maxima_by_hand() -> None:
    y, index = reference.adaptive_max_pool_nd(np.array([[[1.0, 5.0, 5.0, np.nan, 2.0]]]), (3,))
    assert y[0, 0, 0] == 5
    assert np.isnan(y[0, 0, 1:]).all()
    assert index.tolist() == [[[1, 3, 3]]]


def test_norms_by_hand() -> None:
    x = np.array([[[3.0, -4.0, 1.0]]])
    assert reference.lp_pool_nd(x, 2, [2], [2], (2,)).tolist() == [[[5, 1]]]
    assert reference.lp_pool_nd(x, 1, [3], [1], (1,)).tolist() == [[[8]]]
