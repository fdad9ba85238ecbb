from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn.kernels import joining as kernel

rng = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_side_by_side_and_cut_apart(axis: int, dtype: type) -> None:
    parts = [rng.normal(size=tuple(n if i == axis else 30 + i for i in range(3))).astype(dtype) for n in (3, 0, 40)]
    parts[0] *= -0.0
    y = kernel.cat([parts[0], np.asfortranarray(parts[1]), np.asfortranarray(parts[2])], axis)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, np.concatenate(parts, axis))
    assert np.signbit(y).sum() == sum(np.signbit(part).sum() for part in parts)  # -0 too
    for part, start, stop in ((parts[0], 0, 3), (parts[1], 3, 3), (parts[2], 3, 43)):
        found = kernel.cut(np.asfortranarray(y), axis, start, stop)
        assert found.flags.c_contiguous
        np.testing.assert_array_equal(found, part)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("widths", [(1, 2, 3), (5, 64, 0), (100, 37, 91), (16, 32, 16)])
def test_runs_past_the_caches_from_any_column_on(
    widths: tuple[int, ...], dtype: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel, "_FAR", 0)
    for rows in (1, 2, 500):  # of one row each thread has parts
        parts = [rng.normal(size=(rows, width)).astype(dtype) for width in widths]
        y = kernel.cat(parts, 1)
        np.testing.assert_array_equal(y, np.concatenate(parts, 1))
        for part, stop in zip(parts, np.cumsum(widths).tolist(), strict=True):
            np.testing.assert_array_equal(kernel.cut(y, 1, stop - part.shape[1], stop), part)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rows", [(0, 0), (2, 3), (-1, 2), (4, -6), (-3, -2), (8, -7)])
@pytest.mark.parametrize("columns", [(1, 0), (-2, 9), (-4, -3), (7, -7), (-8, 9)])
def test_around_and_off(rows: tuple[int, int], columns: tuple[int, int], dtype: type) -> None:
    x = rng.normal(size=(300, 6, 8)).astype(dtype)
    wanted = np.full((300, 6 + sum(rows), 8 + sum(columns)), 7, dtype)
    for i, j in np.ndindex(wanted.shape[1:]):
        if 0 <= i - rows[0] < 6 and 0 <= j - columns[0] < 8:
            wanted[:, i, j] = x[:, i - rows[0], j - columns[0]]
    np.testing.assert_array_equal(kernel.pad(x, rows, columns, 7.0), wanted)
