from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn import functional as F
from tinygrad_cnn.models import FCN
from tinygrad_cnn.models.fcn import bilinear_upsampling


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_upsampling_begins_as_bilinear_interpolation(factor, rng):
    x = rng.standard_normal((2, 3, 5, 6)).astype(np.float32)
    y = bilinear_upsampling(3, factor)(x).detach().numpy()
    assert y.shape == (2, 3, 5 * factor, 6 * factor)
    inside = slice(factor, -factor)  # where all neighbours lie in the image
    at = [(np.arange(n * factor) + 0.5) / factor - 0.5 for n in (5, 6)]
    rows = np.stack([np.interp(at[0], range(5), column) for column in np.moveaxis(x, 2, -1).reshape(-1, 5)], 0)
    rows = np.moveaxis(rows.reshape(2, 3, 6, -1), 3, 2)  # (N, C, factor*H, W)
    both = np.stack([np.interp(at[1], range(6), row) for row in rows.reshape(-1, 6)], 0).reshape(y.shape)
    np.testing.assert_allclose(y[..., inside, inside], both[..., inside, inside], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("stride", [8, 16, 32])
def test_a_score_for_every_pixel(stride, rng, train_step):
    model = FCN(4, stride, widths=(4, 5, 6, 7, 8), generator=rng)
    assert len(model.scores) == {32: 1, 16: 2, 8: 3}[stride]
    x = rng.standard_normal((2, 3, 64, 96)).astype(np.float32)
    assert model(x).shape == (2, 4, 64, 96)
    if stride == 8:  # every block has a way to the loss
        labels = rng.integers(0, 4, (2, 64, 96))
        train_step(model, x, loss=lambda scores: F.cross_entropy(scores, labels))


def test_generator(follows_generator):
    follows_generator(lambda generator: FCN(3, widths=(2, 3, 4, 5, 6), generator=generator))


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="FCN: stride must be 8, 16 or 32, got 4"):
        FCN(stride=4)
    with pytest.raises(ValueError, match=r"FCN: height and width must be multiples of 32, got shape \(1, 3, 64, 50\)"):
        FCN(2, widths=(2, 2, 2, 2, 2))(np.zeros((1, 3, 64, 50), np.float32))
    with pytest.raises(ValueError, match="bilinear_upsampling: factor must be an even whole number, got 3"):
        bilinear_upsampling(1, 3)
