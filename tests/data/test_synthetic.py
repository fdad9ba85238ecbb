from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn.data import synthetic_digits


def test_the_dataset() -> None:
    digits = synthetic_digits(203)
    assert repr(digits) == "synthetic digits: 203 images of 1 x 28 x 28, 10 classes"
    assert digits.classes == tuple("0123456789")
    assert digits.images.dtype == np.uint8
    assert set(np.bincount(digits.labels, minlength=10)) == {20, 21}
    assert len(synthetic_digits(0)) == 0
    with pytest.raises(ValueError, match="count must be at least 0, got -1"):
        synthetic_digits(-1)


def test_seeds_decide_everything() -> None:
    a, b, c = synthetic_digits(40, seed=3), synthetic_digits(40, seed=3), synthetic_digits(40, seed=4)
    np.testing.assert_array_equal(a.images, b.images)
    np.testing.assert_array_equal(a.labels, b.labels)
    assert (a.images != c.images).any(axis=(1, 2, 3)).all()
    assert (a.labels != c.labels).any()


def test_many_of_one_digit_are_all_drawn() -> None:
    digits = synthetic_digits(10_300)  # more of each than are drawn at a time
    assert (digits.images.max(axis=(1, 2, 3)) > 150).all()


def test_images_are_normalised_and_inside_of_the_frame() -> None:
    digits = synthetic_digits(1000, seed=5)
    x, _ = digits[:]
    assert abs(x.mean()) < 0.03
    assert abs(x.std() - 1) < 0.03
    border = np.ones((28, 28), bool)
    border[1:-1, 1:-1] = False
    assert (digits.images[:, 0, border] > 150).mean() < 0.01


def test_digits_can_be_told_apart_by_what_they_show() -> None:
    """A least-squares fit on pixels, the weakest of learners, finds most digits of another seed; chance is 0.1."""
    (x, labels), (x_test, labels_test) = synthetic_digits(2000, seed=0)[:], synthetic_digits(500, seed=1)[:]
    x, x_test = x.reshape(len(x), -1), x_test.reshape(len(x_test), -1)
    w = np.linalg.solve(x.T @ x + 300 * np.eye(784), x.T @ np.eye(10)[labels])
    accuracy = ((x_test @ w).argmax(1) == labels_test).mean()
    assert 0.65 < accuracy < 0.99
