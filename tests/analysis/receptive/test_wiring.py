from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn import functional as F
from tinygrad_cnn import nn
from tinygrad_cnn.analysis.receptive.wiring import START, Wiring, grid_mask
from tinygrad_cnn.calls import record_calls


class Diamond(nn.Module):
    def __init__(self):
        self.a, self.b, self.c = (nn.Conv2d(1, 1, k, padding=k // 2) for k in (1, 3, 5))

    def forward(self, x):
        y = self.a(x)
        self.c(x)  # leads nowhere
        return self.b(y) + y


@pytest.fixture
def diamond():
    x = np.zeros((1, 1, 7, 8), np.float32)
    return record_calls(Diamond(), x), x


def names(wiring):
    return [wiring.calls[i].address for i in wiring.into]


def test_only_what_leads_from_the_start_to_the_target_is_followed(diamond):
    trace, x = diamond
    assert names(Wiring(trace, x, trace["add"])) == ["a", "b", "add"]
    assert names(Wiring(trace, x)) == ["a", "c", "b", "add"]
    assert names(Wiring(trace, trace["a"], trace["add"])) == ["b", "add"]
    assert names(Wiring(trace, trace["c"], trace["add"])) == []
    wiring = Wiring(trace, trace["a"], trace["add"])
    assert [source for source, _ in wiring.into[trace["add"].index]] == [trace["b"].index, START]


def test_masks_travel_back_and_forth(diamond):
    trace, x = diamond
    wiring = Wiring(trace, x, trace["add"])
    seen = wiring.back(trace["add"].index, grid_mask((1, 1, 7, 8), (0, 4), "add"))
    assert {wiring.calls[i].address if i >= 0 else "x": int(m.sum()) for i, m in seen.items()} == {
        "x": 6, "a": 6, "b": 1, "add": 1
    }  # fmt: skip
    forth = wiring.forth(grid_mask((1, 1, 7, 8), (6, 7), "x"))
    assert int(forth[trace["add"].index].sum()) == 4


def test_tables_hold_rows_and_columns(diamond):
    trace, x = diamond
    rows, columns = Wiring(trace, x, trace["add"]).tables(trace["add"].index)
    assert rows.astype(int).tolist() == (abs(np.subtract.outer(range(7), range(7))) < 2).astype(int).tolist()
    assert columns.shape == (8, 8)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: F.transpose(x, 2, 3),  # elements move across
        lambda x: F.conv2d(x, np.ones((1, 1, 1, 1), np.float32), padding=1),  # the corners see nothing
    ],
)
def test_no_tables_where_rows_and_columns_depend_on_each_other(function):
    class Op(nn.Module):
        def forward(self, x):
            return function(x)

    x = np.zeros((1, 1, 3, 4), np.float32)
    trace = record_calls(Op(), x)
    assert Wiring(trace, x, trace[-1]).tables(trace[-1].index) is None


def test_units_are_named_from_the_last_axis():
    assert grid_mask((2, 3, 4, 5), (1, -1), "t").nonzero() == (1, 4)
    assert grid_mask((2, 3, 5), (4,), "t").sum() == 3
    assert grid_mask((2, 3, 5), (), "t").all()
    with pytest.raises(IndexError, match=r"t has units of \(4, 5\), asked for \(1, 1, 1\)"):
        grid_mask((2, 3, 4, 5), (1, 1, 1), "t")


@pytest.mark.parametrize("at", [(1.5, 0), ("a",), (None, 0), (True, 0), ([], 0)])
def test_a_place_is_named_by_whole_numbers(at):
    with pytest.raises(TypeError, match=r"a unit of map is named by whole numbers, such as \(row, column\)"):
        grid_mask((1, 1, 3, 4), at, "map")
