from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn.analysis.receptive.links import (
    POINT,
    Along,
    Everything,
    Moved,
    Product,
    Same,
    Several,
    Sliding,
    Turned,
    gathered,
    marked,
    numbered,
    places,
    spread,
    taps,
)
from tinygrad_cnn.kernels.geometry import Window

IMAGE, ROWS = (2, 3, 4, 5), np.eye(4, 6)  # rows 0 to 3 of 6


def mask(shape, *at):
    found = np.zeros(shape, bool)
    for place in at:
        found[place] = True
    return found


LINKS = [
    Everything(IMAGE, (2, 7)),
    Same(IMAGE, IMAGE),
    Same((3, 1, 5), IMAGE),
    Same((2, 3, 1, 1), IMAGE),
    Same((), (4,)),
    Product(ROWS, np.ones((2, 3))),
    Sliding(Window((2, 3), (1, 2), ((0, 1), (1, 0)), (2, 1)), IMAGE, (2, 1, 3, 2)),
    Along((2,), IMAGE, IMAGE),
    Along((3,), IMAGE, (2, 3, 4)),
    Along((2, 3), IMAGE, (2, 3)),
    Along((1,), IMAGE, (2, 4, 5)),
    Along((-1,), (2, 6), (2, 4)),
    Along((0, 1), (3, 4), ()),
    Moved(numbered(IMAGE).reshape(1, 2, 60), IMAGE),
    Moved(np.array([[[1, 0, 2]], [[3, 3, 0]]]), (1, 3)),
    Moved(numbered((2, 3, 1, 1)).reshape(1, 2, 3), (2, 3, 1, 1)),
    Moved(np.array([[[1, 0]]]), (1, 1)),
    Turned(Product(ROWS, np.ones((2, 3)))),
    Several([Product(ROWS, np.ones((2, 3))), Product(np.ones((4, 6)), np.eye(2, 3))]),
]


@pytest.mark.parametrize("link", LINKS, ids=lambda link: type(link).__name__)
def test_back_and_forth_are_transposed_and_union_is_kept(link):
    back = {unit: link.back(mask(places(link.y), unit)) for unit in np.ndindex(*places(link.y))}
    forth = {place: link.forth(mask(places(link.x), place)) for place in np.ndindex(*places(link.x))}
    assert all(seen.shape == places(link.x) for seen in back.values())
    assert all(seen.shape == places(link.y) for seen in forth.values())
    for unit, seen in back.items():
        for place, units in forth.items():
            assert seen[place] == units[unit], (unit, place)
    assert np.array_equal(link.back(np.ones(places(link.y), bool)), np.any(list(back.values()), 0))
    assert np.array_equal(link.forth(np.ones(places(link.x), bool)), np.any(list(forth.values()), 0))
    assert link.whole == all(seen.all() for seen in back.values())


def test_windows():
    link = Sliding(Window((2, 3), (1, 2), ((0, 1), (1, 0)), (2, 1)), IMAGE, (2, 1, 3, 2))
    assert link.back(mask((3, 2), (2, 0))).astype(int).tolist() == [
        [0, 0, 0, 0, 0], [0, 0, 0, 0, 0], [1, 1, 0, 0, 0], [0, 0, 0, 0, 0]
    ]  # fmt: skip
    assert link.back(mask((3, 2), (0, 1))).astype(int).tolist() == [
        [0, 1, 1, 1, 0], [0, 0, 0, 0, 0], [0, 1, 1, 1, 0], [0, 0, 0, 0, 0]
    ]  # fmt: skip
    assert taps(2, 2, -1, 1, 4, 2).tolist() == [[0, 1, 1, 0], [0, 0, 0, 1]]  # cut off in front


def test_what_stays_in_its_place_is_a_window():
    assert Same(IMAGE, IMAGE).window == POINT
    assert Same((2, 1, 4, 5), IMAGE).window == POINT
    assert Same((2, 3, 1, 1), IMAGE).window is None
    assert Along((3,), IMAGE, IMAGE).window is None


def test_places_and_elements():
    assert places(()) == places((3,)) == ()
    assert gathered(spread(mask((4, 5), (1, 2)), IMAGE), IMAGE).sum() == 1
    assert spread(mask((4, 5), (1, 2)), IMAGE).sum() == 6
    assert gathered(spread(mask((7,), 3), (2, 7)), (2, 7)).tolist() == mask((7,), 3).tolist()
    assert numbered((2, 3, 2, 2))[1, 2].tolist() == [[1, 2], [3, 4]]
    assert marked(np.array([[0, 2], [-1, 3]]), 3).tolist() == [[1, 0, 1], [0, 0, 0]]
