from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_cnn.data import DataLoader, HardExampleSampler, HardNegativeSampler, hard_negatives, hardest

NUMBERS = st.lists(st.floats(0, 5, width=32), min_size=1, max_size=20)


@settings(derandomize=True, max_examples=50, deadline=None)
@given(NUMBERS, st.data())
def test_the_hardest_have_the_largest_losses(losses: list[float], data: Any) -> None:
    count = data.draw(st.integers(0, len(losses)))
    found = hardest(losses, count)
    assert [losses[i] for i in found] == sorted(losses, reverse=True)[:count]
    assert len(set(found.tolist())) == count


def test_nan_is_hardest_and_equals_keep_their_order() -> None:
    assert hardest(np.array([1, np.nan, np.inf, 1], np.float32), 4).tolist() == [1, 2, 0, 3]


@settings(derandomize=True, max_examples=50, deadline=None)
@given(NUMBERS, st.data(), st.sampled_from([0, 0.5, 1, 3.0]))
def test_all_positives_and_the_hardest_negatives(losses: list[float], data: Any, ratio: float) -> None:
    positive = np.array(data.draw(st.lists(st.booleans(), min_size=len(losses), max_size=len(losses))), bool)
    found = hard_negatives(losses, positive, ratio)
    count = positive.sum()
    assert set(found[:count].tolist()) == set(np.flatnonzero(positive).tolist())
    wanted = int(ratio * count) if count else 1
    negatives = sorted((loss for loss, p in zip(losses, positive, strict=True) if not p), reverse=True)
    assert [losses[i] for i in found[count:]] == negatives[:wanted]
    sampler = HardNegativeSampler(losses, positive, ratio)
    order = sampler.order(np.random.default_rng(0))
    assert len(sampler) == len(order)
    assert sorted(order.tolist()) == sorted(found.tolist())


def test_an_epoch_is_half_hard_and_half_drawn_from_the_rest() -> None:
    losses = np.arange(100.0)
    sampler = HardExampleSampler(losses, 40, hard=0.25)
    generator = np.random.default_rng(0)
    epochs = [sampler.order(generator) for _ in range(60)]
    for order in epochs:
        assert len(set(order.tolist())) == len(order) == len(sampler) == 40
        assert set(range(90, 100)) <= set(order.tolist())
        assert order.tolist() != sorted(order.tolist())
    drawn = np.bincount(np.concatenate(epochs), minlength=100)[:90]
    assert 5 < drawn.min() <= drawn.max() < 40  # 20 on average: each of the rest has its turns
    assert sorted(HardExampleSampler(losses).order(generator).tolist()) == list(range(100))
    hard = [HardExampleSampler(losses, 10, hard=1).order(generator).tolist() for _ in range(9)]
    assert all(set(order) == set(range(90, 100)) for order in hard)
    assert len({order[0] for order in hard}) > 3  # not the hardest first


def test_new_losses_make_new_epochs() -> None:
    losses = np.zeros(10)
    sampler = HardExampleSampler(losses, 2, hard=1)
    loader = DataLoader(np.arange(10), 2, sampler=sampler, generator=np.random.default_rng(0))
    assert sorted(next(iter(loader)).tolist()) == [0, 1]
    sampler.losses[[4, 7]] = 1
    assert sorted(next(iter(loader)).tolist()) == [4, 7]
    assert not losses.any()  # the sampler's are its own


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: hardest([[1.0]], 1), r"hardest: losses must be numbers \(N,\), got float64 of shape \(1, 1\)"),
        (lambda: hardest(["a"], 1), "losses must be numbers"),
        (lambda: hardest([1.0], 2), "the count must be from 0 to 1, the number of losses, got 2"),
        (lambda: hardest([1.0], 0.5), "got 0.5"),
        (lambda: hard_negatives([1.0, 2.0], [True]), r"positive must be 2 bools, got bool of shape \(1,\)"),
        (lambda: hard_negatives([1.0], [1]), "must be 1 bools, got int64"),
        (lambda: hard_negatives([1.0], [True], -1), "ratio must be at least 0, got -1"),
        (lambda: HardExampleSampler([1.0, 2.0], 3), "HardExampleSampler: the count must be from 0 to 2"),
        (lambda: HardExampleSampler([1.0], hard=2), "hard must be from 0 to 1, got 2"),
    ],
)
def test_bad_arguments(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
