from __future__ import annotations

import inspect

import pytest

from tinygrad_cnn.bench import ours, peer
from tinygrad_cnn.bench.rows import ROWS, choose


def names(*asked: str) -> list[str]:
    return [row.name for row in choose(asked)]


def test_names_are_chosen_whole_or_up_to_a_hyphen() -> None:
    assert names("lenet-1") == ["lenet-1"]  # not lenet-128
    assert names("conv2", "add") == ["add", "conv2-forward", "conv2-input-grad", "conv2-weight-grad"]
    assert names("first-step") == ["first-step-warm", "first-step-cold"]
    assert names() == [row.name for row in ROWS]


def test_an_unknown_row_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"no row 'lenet-12'.*lenet-128"):
        choose(["add", "lenet-12"])


def test_names_are_unique_and_both_sides_know_every_workload() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)
    for row in ROWS:
        parameters = inspect.signature(getattr(ours, row.workload)).parameters
        assert parameters == inspect.signature(getattr(peer, row.workload)).parameters
        assert set(row.arguments) == set(parameters)
