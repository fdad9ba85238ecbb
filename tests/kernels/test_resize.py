from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn import reference, state
from tinygrad_cnn.checks.measure import error
from tinygrad_cnn.kernels import resize as kernel


def taps(rng: np.random.Generator, K: int, n: int, out: int) -> tuple[np.ndarray, np.ndarray]:
    return rng.integers(-1, n, (K, out)), rng.standard_normal((K, out))


@pytest.mark.parametrize(("dtype", "bound"), [(np.float32, 2e-7), (np.float64, 1e-14)])
@pytest.mark.parametrize(
    ("shape", "size"), [((2, 3, 4), (5, 7)), ((1, 1, 1), (2, 1)), ((0, 2, 3), (1, 1)), ((3, 5, 2), (2, 9))]
)
def test_resize(shape: tuple[int, ...], size: tuple[int, int], dtype: type, bound: float) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape).astype(dtype)
    rows, columns = taps(rng, 3, shape[1], size[0]), taps(rng, 2, shape[2], size[1])
    for array in (x, np.asfortranarray(x)):
        y = kernel.resize(array, *rows, *columns)
        assert y.dtype == dtype
        assert error(y, reference.resize(x.astype(np.float64), *rows, *columns)) <= bound


def test_same_bits_for_every_number_of_threads() -> None:
    rng, before = np.random.default_rng(0), state.get_num_threads()
    x, rows, columns = rng.standard_normal((40, 50, 60)).astype(np.float32), taps(rng, 4, 50, 70), taps(rng, 4, 60, 80)
    found = set()
    try:
        for threads in (1, 2, 3):
            state.set_num_threads(threads)
            found.add(kernel.resize(x, *rows, *columns).tobytes())
    finally:
        state.set_num_threads(before)
    assert len(found) == 1


def test_what_has_no_tap_is_not_read() -> None:
    x = np.array([[[np.nan, 2.0], [np.inf, 3.0]]])
    one, none = np.ones((2, 1)), np.array([[-1], [-1]])
    y = kernel.resize(x, np.array([[1], [-1]]), one, np.array([[-1], [1]]), one)
    assert y.tolist() == [[[3]]]
    assert kernel.resize(x, none, one, np.array([[1], [-1]]), one).tolist() == [[[0]]]
