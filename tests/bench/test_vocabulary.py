from __future__ import annotations

import pytest

from tinygrad_cnn import functional, nn
from tinygrad_cnn.bench.rows import ROWS
from tinygrad_cnn.bench.vocabulary import FUNCTIONS, JOINED, LAYERS, OTHER, REGIONS, USED


def test_every_line_is_a_row_of_the_group() -> None:
    rows = {row.name: row for row in ROWS if row.group == "vocabulary"}
    assert set(rows) == {line[1] for line in (*LAYERS, *FUNCTIONS)} | {line[0] for line in (*JOINED, *REGIONS)}
    assert {row.target for row in rows.values()} == {USED, OTHER, None}
    assert rows["gather"].title == "gather((1024, 1000), 1, (1024, 500)), forward and backward"
    assert rows["pad"].title == "pad((32, 64, 28, 28), (1, 2, 3, 4)), forward and backward"
    assert rows["cat"].title == "cat of three (32, 64, 28, 28), and backward() to their .grad"
    assert rows["interpolate-bicubic"].title.endswith("scale_factor=2, mode='bicubic'), forward and backward")


@pytest.mark.parametrize("line", LAYERS, ids=lambda line: line[1])
def test_layers_exist(line: tuple[str, ...]) -> None:
    assert hasattr(nn, line[2])


def test_functions_exist() -> None:
    assert {line[2] for line in FUNCTIONS} | {line[1] for line in REGIONS} <= set(functional.__all__)
