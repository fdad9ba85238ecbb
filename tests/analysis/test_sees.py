from __future__ import annotations

import pytest

from tinygrad_cnn.analysis.sees import bins


@pytest.mark.parametrize(("size", "count", "expected"), [(6, 3, (2, 2)), (7, 3, (3, 2)), (5, 3, None), (5, 1, (5, 1))])
def test_bins(size, count, expected):
    assert bins(size, count) == expected
