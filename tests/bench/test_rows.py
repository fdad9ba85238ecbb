from __future__ import annotations

import inspect

import numpy as np
import pytest

from tinygrad_cnn.bench import ours, peer
from tinygrad_cnn.bench.rows import PEAK, ROWS, SUMMARIES, Mean, Quotient, choose, convolution, families, members
from tinygrad_cnn.functional import conv2d

NAMES = [row.name for row in ROWS]


def names(*asked: str) -> list[str]:
    return [row.name for row in choose(asked)]


def test_names_are_chosen_whole_or_up_to_a_hyphen_or_by_group() -> None:
    assert names("lenet-1") == ["lenet-1"]  # not lenet-128
    assert names("conv-lenet2", "add") == [
        "add", "conv-lenet2-forward", "conv-lenet2-input-grad", "conv-lenet2-weight-grad",
    ]  # fmt: skip
    assert names("first-step") == ["first-step-warm", "first-step-cold"]
    assert names("start") == ["import", "first-step-warm", "first-step-cold", "memory"]
    assert names() == NAMES


def test_an_unknown_row_is_an_error_that_names_what_is_close() -> None:
    with pytest.raises(ValueError, match=r"no row 'lenet-12'; close to it: .*lenet-1.* Groups are: engine, nets"):
        choose(["add", "lenet-12"])


def test_names_are_unique_and_both_sides_know_every_workload() -> None:
    assert len(set(NAMES)) == len(NAMES)
    for row in ROWS:
        parameters = inspect.signature(getattr(ours, row.workload)).parameters
        assert set(row.arguments) == set(parameters)
        if row.workload != "regions":  # which PyTorch has not
            assert parameters == inspect.signature(getattr(peer, row.workload)).parameters
    assert not hasattr(peer, PEAK.workload)
    assert not hasattr(peer, "regions")


def test_families_stay_together_and_differ_in_their_jobs_only() -> None:
    found = families(ROWS)
    assert [row.name for family in found for row in family] == NAMES
    keys = [(family[0].group, family[0].together or family[0].name) for family in found]
    assert len(set(keys)) == len(keys)  # none is torn apart by another
    for family in found:
        if family[0].quantity != "step":  # one process answers for all
            assert len({(row.workload, repr(row.arguments), row.cold) for row in family}) == 1


def test_what_is_said_about_several_rows_is_about_rows() -> None:
    for rule in SUMMARIES:
        if isinstance(rule, Mean):
            for pattern in rule.rows:
                assert members(rule._replace(rows=(pattern,))), f"no row is like {pattern}"
            assert not any("direct" in row.name for row in members(rule))
        elif isinstance(rule, Quotient):
            assert {rule.row, rule.other} <= set(NAMES)


def test_multiply_adds_are_those_of_the_definition() -> None:
    row = convolution(32, 64, 57, 128, 3, padding=1, stride=2, groups=2)[0]
    image, filters = row.arguments["image"], row.arguments["filters"]
    y = conv2d(np.zeros([1, *image[1:]], np.float32), np.zeros(filters, np.float32), None, 2, 1, 1, 2)
    assert row.multiply_adds == image[0] * y.size * np.prod(filters[1:])
    assert row.name == "conv-3x3s2g2-64x57-128-forward"


def test_small_convolutions_and_winograds_are_not_held_to_the_peak() -> None:
    assert convolution(128, 1, 28, 6, 5)[0].multiply_adds == 0
    winograd, direct = convolution(16, 64, 56, 64, 3)[0], convolution(16, 64, 56, 64, 3, direct=True)[0]
    assert (winograd.share, direct.share) == (None, 0.9)
    assert convolution(16, 64, 56, 64, 3, dilation=2)[0].share is None
    assert direct.environment == {"TINYGRAD_CNN_WINOGRAD": "0"}
