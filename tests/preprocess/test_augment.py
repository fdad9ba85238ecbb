from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn.data import DataLoader, synthetic_digits
from tinygrad_cnn.preprocess import (
    ColorJitter,
    Compose,
    RandomAffine,
    RandomCrop,
    RandomErasing,
    RandomHorizontalFlip,
)

EVERY = [
    RandomCrop((6, 5), padding=(2, 1)),
    RandomHorizontalFlip(),
    RandomErasing(),
    RandomAffine(20, (0.2, 0.1), (0.8, 1.2)),
    ColorJitter(0.4, 0.4, 0.4),
    Compose(RandomHorizontalFlip(), RandomCrop(4)),
]


def images(dtype=np.uint8, count=200):
    x = np.random.default_rng(1).integers(1, 256, (count, 3, 8, 6))
    return x.astype(dtype)


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("augment", EVERY, ids=lambda augment: type(augment).__name__)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_dtype_luck_and_input(augment, dtype):
    x = images(dtype)
    x.setflags(write=False)
    y = augment(x, rng())
    assert y.dtype == dtype
    assert len(y) == len(x)
    assert (y == augment(x, rng())).all()
    assert not np.array_equal(y, augment(x, rng(1)))
    assert augment(x[:0], rng()).shape[0] == 0
    y[...] = 0  # nobody else's memory


def test_crops_are_pieces_of_the_padded_image_from_everywhere():
    x = images(count=400)
    y = RandomCrop((6, 5), padding=(2, 1), fill=0)(x, rng())
    padded = np.pad(x, ((0, 0), (0, 0), (2, 2), (1, 1)))
    found = set()
    for before, after in zip(padded, y, strict=True):
        places = [(i, j) for i in range(7) for j in range(4) if (before[:, i : i + 6, j : j + 5] == after).all()]
        assert len(places) == 1
        found.add(places[0])
    assert len(found) == 7 * 4
    np.testing.assert_array_equal(RandomCrop((8, 6))(x, rng()), x)  # there is one place only


def test_half_of_the_images_are_mirrored():
    x = images()
    y = RandomHorizontalFlip()(x, rng())
    mirrored = [(a[..., ::-1] == b).all() for a, b in zip(x, y, strict=True)]
    assert all(m or (a == b).all() for m, a, b in zip(mirrored, x, y, strict=True))
    assert 70 < sum(mirrored) < 130
    assert (RandomHorizontalFlip(1)(x, rng()) == x[..., ::-1]).all()
    assert (RandomHorizontalFlip(0)(x, rng()) == x).all()


def test_erased_is_one_rectangle_of_the_right_size():
    x = np.ones((300, 3, 40, 30))
    y = RandomErasing(p=0.5, scale=(0.1, 0.2), ratio=(0.5, 2), value=7)(x, rng())
    erased = y != 1
    shares = erased.mean((1, 2, 3))
    assert 100 < (shares > 0).sum() < 200
    assert 0.08 < shares[shares > 0].min() < shares.max() < 0.22
    heights = []
    for mask in erased[shares > 0]:
        rows, columns = np.flatnonzero(mask[0].any(1)), np.flatnonzero(mask[0].any(0))
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert mask.sum() == 3 * height * width  # whole, and the same in every channel
        assert 0.4 < height / width < 2.3
        heights.append(height)
    assert len(set(heights)) > 5
    assert set(np.unique(y)) == {1, 7}


def test_a_rectangle_larger_than_the_image_is_cut():
    assert not RandomErasing(1, (1, 1), (3, 3))(np.ones((5, 1, 6, 9)), rng())[:, :, :, :4].all()


def test_a_loader_hands_out_augmented_batches():
    digits = synthetic_digits(20)
    loader = DataLoader(digits, 10, transform=Compose(RandomCrop(28, padding=2), RandomErasing()), generator=rng())
    (x, labels), _ = loader
    assert x.shape == (10, 1, 28, 28)
    assert (labels == digits.labels[:10]).all()
    assert not np.array_equal(x, digits[:10][0])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: RandomCrop(9)(images(), rng()), ValueError, "images of 8 x 6 with padding 0 and 0 are smaller than"),
        (lambda: RandomCrop(0), ValueError, "RandomCrop: size must be at least 1"),
        (lambda: RandomCrop(3, -1), ValueError, "RandomCrop: padding must be at least 0"),
        (lambda: RandomHorizontalFlip(1.5), ValueError, "RandomHorizontalFlip: p must lie between 0 and 1, got 1.5"),
        (lambda: RandomHorizontalFlip("a"), TypeError, "p must be a number"),
        (lambda: RandomErasing(scale=(0.5, 0.1)), ValueError, "scale must be \\(low, high\\) between 0 and 1"),
        (lambda: RandomErasing(ratio=2), TypeError, "ratio must be a pair of numbers, got 2"),
        (lambda: RandomHorizontalFlip()(images()[0], rng()), ValueError, r"of images \(N, C, H, W\), got shape"),
        (lambda: RandomHorizontalFlip()([[1]], rng()), ValueError, "got list"),
        (lambda: RandomHorizontalFlip()(images(np.int64), rng()), TypeError, "uint8, float32 or float64, got int64"),
        (lambda: RandomHorizontalFlip()(images(), 7), TypeError, "generator must be a numpy.random.Generator"),
        (lambda: Compose(RandomHorizontalFlip), TypeError, "Compose: needs augmentations"),
    ],
)
def test_mistakes(call, error, message):
    with pytest.raises(error, match=message):
        call()
