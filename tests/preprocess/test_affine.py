from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn.preprocess.affine import RandomAffine, bilinear


def rng():
    return np.random.default_rng(0)


def images(count=3):
    return np.random.default_rng(1).random((count, 2, 7, 7))


@pytest.mark.parametrize(("angle", "quarters"), [(0, 0), (90, -1), (180, 2), (270, 1), (-90, 1)])
def test_quarter_turns_are_exact(angle, quarters):
    x = images()
    np.testing.assert_allclose(RandomAffine((angle, angle))(x, rng()), np.rot90(x, quarters, (2, 3)), atol=1e-12)


def test_a_shift_moves_by_shares_of_the_size_and_fills():
    x = np.zeros((500, 1, 9, 21))
    x[:, 0, 4, 10] = 1
    y = RandomAffine(0, translate=(0.2, 0.1), fill=0)(x, rng())
    mass = y.sum((1, 2, 3))
    np.testing.assert_allclose(mass, 1, atol=1e-12)  # bilinear weights add up to 1
    right = (y * np.arange(21)).sum((1, 2, 3)) - 10
    down = (y * np.arange(9)[:, None]).sum((1, 2, 3)) - 4
    assert 4 < abs(right).max() <= 4.2
    assert 0.8 < abs(down).max() <= 0.9
    assert right.min() < -4
    filled = RandomAffine(0, translate=(1, 0), fill=5)(np.ones((50, 1, 4, 4)), rng())
    assert filled.max() == 5


def test_scale_enlarges_what_is_shown():
    x = np.zeros((1, 1, 21, 21))
    x[:, :, 8:13, 8:13] = 1
    assert RandomAffine(0, scale=(2, 2))(x, rng()).sum() == pytest.approx(100)
    assert RandomAffine(0, scale=(0.5, 0.5))(x, rng()).sum() == pytest.approx(9)


def test_there_and_back_again():
    x = images()
    turned = RandomAffine((30, 30))(np.pad(x, ((0, 0), (0, 0), (6, 6), (6, 6))), rng())
    back = RandomAffine((-30, -30))(turned, rng())[:, :, 6:-6, 6:-6]
    smooth = np.corrcoef(back.ravel(), x.ravel())[0, 1]
    assert smooth > 0.7


def test_bytes_are_rounded():
    x = np.array([[[[0, 3]]]], np.uint8)
    y = RandomAffine(0, translate=(0.25, 0))(np.repeat(x, 200, 0), rng())
    assert y.dtype == np.uint8
    assert set(np.unique(y)) == {0, 1, 2, 3}


def test_bilinear_agrees_with_a_formula_at_every_place():
    """A plane a + b*row + c*column is interpolated without error."""
    rows, columns = np.mgrid[:6, :5].astype(float)
    x = (1 + 2 * rows - 3 * columns)[None, None]
    at, to = np.random.default_rng(0).uniform(0, 4, (2, 1, 3, 4))
    np.testing.assert_allclose(bilinear(x, at, to)[0, 0], (1 + 2 * at - 3 * to)[0], atol=1e-12)
    assert bilinear(x, np.array([[[-1.0, 7.0]]]), np.array([[[0.0, 0.0]]]), fill=9).tolist() == [[[[9, 9]]]]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"degrees": (20, 10)}, ValueError, "RandomAffine: degrees must be"),
        ({"degrees": "x"}, TypeError, "degrees must be a pair of numbers"),
        ({"degrees": 0, "translate": 0.1}, TypeError, r"translate must be \(horizontal, vertical\), got 0.1"),
        ({"degrees": 0, "translate": (0.1, 1.5)}, ValueError, "translate must be"),
        ({"degrees": 0, "scale": (0, 1)}, ValueError, "scale must be"),
    ],
)
def test_mistakes(arguments, error, message):
    with pytest.raises(error, match=message):
        RandomAffine(**arguments)
