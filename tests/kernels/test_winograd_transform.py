from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn.kernels import winograd_transform
from tinygrad_cnn.kernels.compile import kernel
from tinygrad_cnn.kernels.winograd_transform import (
    F2,
    F4,
    LANES,
    Matrices,
    butterfly,
    data2,
    data4,
    filters2,
    filters4,
    matrices,
    outputs2,
    outputs4,
    turn,
)

TRANSFORMS = {
    "data2": (data2, F2.data), "filters2": (filters2, F2.filters), "outputs2": (outputs2, F2.outputs),
    "data4": (data4, F4.data), "filters4": (filters4, F4.filters), "outputs4": (outputs4, F4.outputs),
}  # fmt: skip


@pytest.mark.parametrize("f", [F2, F4, matrices([0, 1, -1, 2, -2])], ids=["F2", "F4", "usual points"])
def test_the_matrices_convolve(f: Matrices) -> None:
    rng = np.random.default_rng(0)
    a, m = len(f.data), len(f.outputs)
    d, g = rng.standard_normal((a, a)), rng.standard_normal((3, 3))
    y = f.outputs @ ((f.filters @ g @ f.filters.T) * (f.data @ d @ f.data.T)) @ f.outputs.T
    windows = np.lib.stride_tricks.sliding_window_view(d, (3, 3))
    assert y.shape == (m, m)
    np.testing.assert_allclose(y, np.einsum("ijpq,pq->ij", windows, g), atol=1e-13)


def test_the_points_of_lavin_and_gray_give_their_matrices() -> None:
    f = matrices([0, 1, -1, 2, -2])
    np.testing.assert_array_equal(f.data[:2], [[4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0]])
    np.testing.assert_allclose(f.filters[3], np.array([1, 2, 4]) / 24, rtol=1e-15)
    np.testing.assert_array_equal(f.outputs[3], [0, 1, -1, 8, -8, 1])


@pytest.mark.parametrize("f", [F2, F4], ids=["F2", "F4"])
def test_the_butterfly_leaves_fewer_numbers(f: Matrices) -> None:
    """Even and odd powers part exactly: a residue of 1e-17 would be a multiplication for nothing."""
    even_odd = np.linalg.inv(butterfly(len(f.data))) @ f.data
    for row in even_odd[1:-1]:
        assert not row[::2].any() or not row[1::2].any()


# An intrinsic is called from a kernel, and each kernel calls one.
def run(transform, x, y, start, row, column, y_start, y_row, y_column):  # type: ignore[no-untyped-def]
    @kernel
    def call(x, y, start, row, column, y_start, y_row, y_column):  # type: ignore[no-untyped-def]
        transform(x, start, row, column, y, y_start, y_row, y_column)

    call(x, y, start, row, column, y_start, y_row, y_column)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_transform_is_its_matrix_from_both_sides_in_every_lane(name: str) -> None:
    transform, matrix = TRANSFORMS[name]
    rng = np.random.default_rng(1)
    rows, columns = matrix.shape
    x = rng.standard_normal((columns, columns + 1, LANES)).astype(np.float32)
    y = np.full((rows + 1, rows + 2, LANES), 7, np.float32)
    last = columns - 1  # the source backwards, as the input gradient takes its filters
    start = (last * (columns + 1) + last) * LANES
    run(transform, x, y, start, -(columns + 1) * LANES, -LANES, LANES, (rows + 2) * LANES, LANES)
    turned = x[::-1, -2::-1].astype(np.float64)
    expected = np.einsum("ki,lj,ijv->klv", matrix, matrix, turned)
    assert abs(y[:rows, 1 : rows + 1] - expected).max() <= 1e-6 * abs(expected).max()
    y[:rows, 1 : rows + 1] = 7
    assert (y == 7).all()


@kernel
def turned(x, plus, y, start, row, rows, columns, plus_start, y_start, y_row):  # type: ignore[no-untyped-def]
    turn(x, start, row, rows, columns, plus, plus_start, y, y_start, y_row)


def test_a_block_of_any_size_is_turned_and_nothing_else_is_read_or_written() -> None:
    rng = np.random.default_rng(2)
    whole = rng.standard_normal((LANES + 1, LANES + 3)).astype(np.float32)
    plus = rng.standard_normal(LANES + 2).astype(np.float32)
    for rows in range(1, LANES + 1):
        for columns in range(1, LANES + 1):
            x, b = np.full_like(whole, np.nan), np.full_like(plus, np.nan)
            x[1 : rows + 1, 2 : columns + 2], b[1 : columns + 1] = (
                whole[1 : rows + 1, 2 : columns + 2],
                plus[1 : columns + 1],
            )
            y, expected = np.full((2, LANES + 2, LANES + 5), -1, np.float32)
            turned(x, b, y, LANES + 5, LANES + 3, rows, columns, 1, LANES + 8, LANES + 5)
            expected[1 : columns + 1, 3 : rows + 3] = (x[1 : rows + 1, 2 : columns + 2] + b[1 : columns + 1]).T
            np.testing.assert_array_equal(y, expected, f"{rows} x {columns}")


def test_the_twin_turns_alike() -> None:
    rng = np.random.default_rng(3)
    x, plus = rng.standard_normal((1, 400)).astype(np.float32), rng.standard_normal(400).astype(np.float32)
    y, expected = np.zeros((2, 1, 400), np.float32)
    rows, columns = LANES - 1, max(LANES - 2, 1)
    turned(x, plus, y, 5, 17, rows, columns, 9, 3, 19)
    winograd_transform._turn_twin(x, 5, 17, rows, columns, plus, 9, expected, 3, 19)
    np.testing.assert_array_equal(y, expected)
