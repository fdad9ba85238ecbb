from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import reference
from tinygrad_cnn.checks.measure import error
from tinygrad_cnn.kernels import conv_pointwise, tile
from tinygrad_cnn.kernels.geometry import Window

BOUND = {np.dtype(np.float32): 2e-6, np.dtype(np.float64): 1e-10}
PLAIN: Any = (1, 1), ((0, 0), (0, 0)), (1, 1), 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("maps", [1, 7, 8, 19])
@pytest.mark.parametrize(("image", "channels"), [((16, 8), 11), ((9, 43), 11), ((4, 5), 2 * tile.LONGEST_CHAIN + 3)])
def test_the_reference(maps: int, image: tuple[int, int], channels: int, dtype: type) -> None:
    rng = np.random.default_rng(8)
    shapes = (3, channels, *image), (maps, channels, 1, 1), (maps,)
    x, w, b = (rng.standard_normal(shape).astype(dtype) for shape in shapes)
    expected = reference.conv2d(x, w, b, *PLAIN)
    y = np.full(expected.shape, np.nan, dtype)
    conv_pointwise.convolve(False, x, w, b, y)
    assert error(y, expected) <= BOUND[y.dtype]
    gx = np.full(x.shape, np.nan, dtype)
    conv_pointwise.convolve(True, y, w, None, gx)
    assert error(gx, reference.conv2d_input_grad(y, w, x.shape, *PLAIN)) <= BOUND[y.dtype]


def test_it_pays_for_1x1_filters_on_many_pixels() -> None:
    def pays(
        x: Any, size: Any = (1, 1), stride: Any = (1, 1), padding: Any = ((0, 0), (0, 0)), groups: int = 1
    ) -> bool:
        return conv_pointwise.pays(Window(size, stride, padding, (1, 1)), x, 64, groups, np.dtype(np.float32))

    image = 2, 32, 56, 50
    assert pays(image)
    assert not pays(image, size=(1, 2))
    assert not pays(image, stride=(1, 2))
    assert not pays(image, padding=((0, 0), (0, 1)))
    assert not pays(image, groups=2)
    assert not pays((2, 32, 3, 4))
