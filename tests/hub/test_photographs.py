from __future__ import annotations

import pytest

from tinygrad_cnn.hub.photographs import PHOTOGRAPHS, photograph

pytest.importorskip("PIL")


@pytest.mark.parametrize(
    ("name", "shape"), [("astronaut", (512, 512, 3)), ("chelsea", (300, 451, 3)), ("coffee", (400, 600, 3))]
)
def test_photographs(name, shape):
    if not PHOTOGRAPHS[name].is_here():
        pytest.skip(f"{PHOTOGRAPHS[name].name} is not in the cache")
    assert photograph(name).shape == shape


def test_unknown_names_are_listed():
    with pytest.raises(ValueError, match=r"must be one of \['astronaut', 'chelsea', 'coffee'\], got 'tea'"):
        photograph("tea")
