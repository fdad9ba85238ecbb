from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn import reference, state
from tinygrad_cnn.kernels import unfold as kernel
from tinygrad_cnn.kernels.geometry import Window

WINDOWS = [
    Window((2, 3), (1, 1), ((0, 0), (0, 0)), (1, 1)),
    Window((3, 2), (2, 3), ((1, 2), (0, 4)), (1, 2)),
    Window((1, 1), (2, 5), ((0, 0), (3, 3)), (1, 1)),
    Window((2, 2), (3, 1), ((7, 0), (9, 1)), (2, 4)),  # some windows lie beside the image
]


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_unfold_and_fold_are_the_references(window: Window, dtype: type, rng: np.random.Generator) -> None:
    x = rng.standard_normal((2, 3, 7, 6)).astype(dtype)
    y = kernel.unfold(x, window)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, reference.unfold(x, window))
    back = kernel.fold(y, x.shape, window)
    assert back.dtype == dtype
    np.testing.assert_allclose(back, reference.fold(y, x.shape, window), rtol=1e-6)


def test_other_layouts_and_an_empty_batch(rng: np.random.Generator) -> None:
    x = rng.standard_normal((2, 7, 6, 3)).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(kernel.unfold(x, WINDOWS[1]), kernel.unfold(x.copy(), WINDOWS[1]))
    y = kernel.unfold(x[:0], WINDOWS[0])
    assert y.shape == (0, 18, 24)
    assert kernel.fold(y, (0, 3, 7, 6), WINDOWS[0]).shape == (0, 3, 7, 6)


def test_the_number_of_threads_changes_nothing(rng: np.random.Generator) -> None:
    x = rng.standard_normal((4, 16, 30, 31))
    before, found = state.get_num_threads(), []
    for threads in (1, 2):
        state.set_num_threads(threads)
        y = kernel.unfold(x, WINDOWS[1])
        found.append((y.tobytes(), kernel.fold(y, x.shape, WINDOWS[1]).tobytes()))
    state.set_num_threads(before)
    assert found[0] == found[1]
