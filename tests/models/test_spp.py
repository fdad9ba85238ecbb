from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn.models import SPPHead


@pytest.mark.usefixtures("undrawn")
def test_the_papers_pyramid_has_fifty_bins():
    assert SPPHead().classifier.fc6.weight.shape == (4096, 256 * 50)


@pytest.mark.parametrize("size", [(13, 13), (7, 18), (6, 6)])
def test_maps_of_any_size(size, rng):
    head = SPPHead(3, 5, (1, 2, 6), 16, generator=rng).eval()
    assert head(rng.standard_normal((2, 3, *size)).astype(np.float32)).shape == (2, 5)


def test_bins_hold_maxima(rng):
    head = SPPHead(2, 5, (1, 2), 16, generator=rng)
    x = rng.standard_normal((1, 2, 4, 6)).astype(np.float32)
    values = np.sort(np.asarray(head.pool(x)).ravel())
    quarters = [x[0, c, i : i + 2, j : j + 3].max() for c in range(2) for i in (0, 2) for j in (0, 3)]
    np.testing.assert_array_equal(values, np.sort([*x[0].max((1, 2)), *quarters]))


def test_training_step(rng, train_step):
    train_step(
        SPPHead(8, 5, hidden_size=32, dropout=0.0, generator=rng),
        rng.standard_normal((3, 8, 9, 13)).astype(np.float32),
    )


def test_generator(follows_generator):
    follows_generator(lambda generator: SPPHead(3, 5, hidden_size=16, generator=generator))
