from __future__ import annotations

import numpy as np

from tinygrad_cnn.bench import peak


def test_every_tile_sums_its_whole_depth() -> None:
    y = peak.register_tile(peak.TILES_A_PIECE + 1)()
    assert len(y) == 2
    np.testing.assert_array_equal(y, peak.DEPTH)  # ones times ones
    assert y.dtype == np.float32


def test_multiply_adds_are_those_that_are_done() -> None:
    y = peak.register_tile(1)()
    assert peak.multiply_adds(1) == y.size * peak.DEPTH * peak.TILES_A_PIECE
    assert peak.multiply_adds(peak.TILES_A_PIECE + 1) == 2 * peak.multiply_adds(1)
