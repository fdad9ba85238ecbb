from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn import reference, state
from tinygrad_cnn.checks.measure import error
from tinygrad_cnn.kernels import sampling as kernel


def draw(N: int, C: int, S: int, K: int, P: int, dtype: type) -> tuple[np.ndarray, ...]:
    """Pixels, gradients, indices (some of them -1) and weights."""
    rng = np.random.default_rng(0)
    x, gy, w = (rng.standard_normal(shape).astype(dtype) for shape in ((N, C, S), (N, C, P), (N, K, P)))
    return x, gy, rng.integers(-1, S, (N, K, P)), w


@pytest.mark.parametrize(("dtype", "bound"), [(np.float32, 1e-6), (np.float64, 1e-14)])
@pytest.mark.parametrize(
    "sizes", [(2, 3, 20, 4, 9), (1, 1, 1, 1, 1), (3, 10, 5, 1, 30), (0, 2, 3, 4, 5), (2, 3, 4, 4, 0), (2, 0, 3, 4, 5)]
)
def test_the_three_faces(sizes: tuple[int, int, int, int, int], dtype: type, bound: float) -> None:
    x, gy, index, w = draw(*sizes, dtype)
    for y, wanted in [
        (kernel.sample(x, index, w), reference.sample(x, index, w)),
        (kernel.sample_input_grad(gy, index, w, sizes[2]), reference.sample_input_grad(gy, index, w, sizes[2])),
        (kernel.sample_weight_grad(gy, x, index), reference.sample_weight_grad(gy, x, index)),
    ]:
        assert y.dtype == dtype
        assert error(y, wanted) <= bound
    form = np.vdot(kernel.sample(x, index, w), gy)
    assert np.vdot(kernel.sample_input_grad(gy, index, w, sizes[2]), x) == pytest.approx(form, rel=1e-4, abs=1e-4)
    assert np.vdot(kernel.sample_weight_grad(gy, x, index), w) == pytest.approx(form, rel=1e-4, abs=1e-4)


def test_a_weight_of_nan_stays_nan() -> None:
    x, index, w = np.ones((1, 2, 3)), np.array([[[-1, -1, 2]]]), np.array([[[np.nan, 5.0, np.nan]]])
    for face in (kernel, reference):
        np.testing.assert_array_equal(face.sample(x, index, w), [[[np.nan, 0, np.nan]] * 2])
        np.testing.assert_array_equal(face.sample_input_grad(x, index, w, 3), [[[0, 0, np.nan]] * 2])
        np.testing.assert_array_equal(face.sample_weight_grad(x, x, index), [[[0, 0, 2]]])


def test_many_gradients_at_one_pixel_keep_their_digits() -> None:
    gy, one = np.full((1, 1, 1_000_000), 0.1, np.float32), np.ones((1, 1, 1_000_000), np.float32)
    found = kernel.sample_input_grad(gy, np.zeros(one.shape, np.int64), one, 1)
    assert found.item() == pytest.approx(1e6 * float(np.float32(0.1)), rel=1e-7)


def test_same_bits_for_every_number_of_threads() -> None:
    x, gy, index, w = draw(3, 5, 4000, 4, 3000, np.float32)
    before, found = state.get_num_threads(), set()
    try:
        for threads in (1, 2, 3):
            state.set_num_threads(threads)
            faces = kernel.sample(x, index, w), kernel.sample_input_grad(gy, index, w, 4000)
            found.add(b"".join(a.tobytes() for a in (*faces, kernel.sample_weight_grad(gy, x, index))))
    finally:
        state.set_num_threads(before)
    assert len(found) == 1
