from __future__ import annotations

import numpy as np

from tinygrad_cnn import reference

X = np.arange(16.0).reshape(1, 1, 4, 4)


def test_regions_by_hand() -> None:
    """A box of 3 x 4 pixels in 2 x 2 bins: rows 0-1 and 1-2 share a row."""
    box = np.array([[0, -0.4, 0.6, 3.4, 2.5]])  # columns 0 to 3, rows 1 to 3
    assert reference.roi_pool(X, box, (2, 2), 1.0).tolist() == [[[[9, 11], [13, 15]]]]
    assert reference.roi_pool(X, np.array([[0, 9.0, 0, 9, 0]]), (1, 1), 1.0).item() == 0


def test_points_lie_between_pixels() -> None:
    box = np.array([[0, 0.0, 1.0, 2.0, 2.0]])
    assert reference.roi_align(X, box, (1, 1), 1.0, 1, False).item() == 1 + 1.5 * 4
    assert reference.roi_align(X, box, (1, 1), 1.0, 1, True).item() == 0.5 + 1.0 * 4
    assert reference.roi_align(X, box, (1, 2), 1.0, -1, False).tolist() == [[[[6.5, 7.5]]]]
    assert reference.roi_align(X, box + np.array([0, 5, 5, 5, 5]), (1, 1), 1.0, 1, False).item() == 0


def test_tables_by_hand() -> None:
    rows, columns, image = np.array([[[0, 2], [3, 3]]]), np.array([[[1, 3]]]), np.array([0])
    y, index = reference.max_bins(X, image, rows, columns)
    assert y.tolist() == [[[[6], [0]]]]
    assert index.tolist() == [[[[6], [-1]]]]
    gx = reference.max_bins_grad(np.array([[[[2.0], [3.0]]]]), index, image, X.shape)
    assert gx.sum() == gx[0, 0, 1, 2] == 2
    down, across = np.array([[[0.5, 2.0], [1.0, 0.0]]]), np.array([[[1.0, -1.0]]])
    tables = image, rows, columns, down, across
    y = reference.point_bins(X, *tables)
    assert y.tolist() == [[[[0.5 * (1 - 3) + 2 * (9 - 11)], [13 - 15]]]]
    gx = reference.point_bins_grad(y, *tables, X.shape)
    np.testing.assert_allclose((gx * X).sum(), (y * y).sum())
