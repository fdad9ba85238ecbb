from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn.checks.case import Case, Draw, apart, bools, labels, normal, positive, probabilities


@pytest.mark.parametrize("draw", [normal(3, 4), positive(3, 4), apart(3, 4), bools(3, 4), labels(5, 3, 4)])
def test_a_draw_has_its_shape_and_follows_its_generator(draw: Draw) -> None:
    drawn = draw(np.random.default_rng(1))
    assert drawn.shape == (3, 4)
    assert np.array_equal(drawn, draw(np.random.default_rng(1)))


def test_apart_keeps_numbers_from_each_other_and_from_kinks() -> None:
    x, v = (draw(np.random.default_rng(0)).ravel() for draw in (apart(3, 5), apart(3, 5, shift=0.05)))
    both = np.sort(np.concatenate([x, v]))
    assert np.diff(both).min() > 0.04
    for drawn in (x, v):
        assert drawn.min() < 0 < drawn.max()
        assert np.abs(drawn - np.round(drawn, 1)).min() > 0.01


def test_positive_numbers_labels_and_probabilities() -> None:
    rng = np.random.default_rng(0)
    assert positive(100)(rng).min() >= 0.5
    drawn = labels(3, 100)(rng)
    assert drawn.dtype == np.int64
    assert set(drawn.tolist()) == {0, 1, 2}
    assert np.allclose(probabilities(4, 3, 2)(rng).sum(1), 1)


def test_a_case_draws_the_same_inputs_every_time() -> None:
    case = Case("add", np.add, [normal(2), normal(2)])
    first, second = case.inputs(), case.inputs()
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert not np.array_equal(*first)
