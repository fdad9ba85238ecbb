from __future__ import annotations

import numpy as np

from tinygrad_cnn import reference
from tinygrad_cnn.kernels.geometry import Window

WINDOW = Window((2, 3), (2, 1), ((1, 0), (0, 2)), (1, 2))


def test_two_axes_are_the_convolution_of_images(rng: np.random.Generator) -> None:
    x, w, b = rng.standard_normal((2, 4, 5, 6)), rng.standard_normal((6, 2, 2, 3)), rng.standard_normal(6)
    y = reference.conv_nd(x, w, b, *WINDOW[1:], 2)
    np.testing.assert_allclose(y, reference.conv2d(x, w, b, *WINDOW[1:], 2))
    back = reference.conv_transpose_nd(y, w, None, WINDOW.stride, WINDOW.padding, (0, 0), 2, WINDOW.dilation)
    shape = (2, 4, *back.shape[2:])
    np.testing.assert_allclose(back, reference.conv2d_input_grad(y, w, shape, *WINDOW[1:], 2))


def test_a_third_axis_by_hand() -> None:
    x, w = np.arange(8.0).reshape(1, 1, 2, 2, 2), np.ones((1, 1, 2, 1, 2))
    found = reference.conv_nd(x, w, np.array([10.0]), (1, 1, 1), ((0, 0),) * 3, (1, 1, 1), 1)
    assert found.ravel().tolist() == [10 + 0 + 1 + 4 + 5, 10 + 2 + 3 + 6 + 7]


def test_columns_are_the_patches(rng: np.random.Generator) -> None:
    x = rng.standard_normal((2, 3, 5, 6))
    y = reference.unfold(x, WINDOW)
    np.testing.assert_array_equal(y, reference.patch_matrix(x, *WINDOW))
    u = rng.standard_normal(y.shape)
    np.testing.assert_allclose((y * u).sum(), (x * reference.fold(u, x.shape, WINDOW)).sum())
