from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn.kernels import addresses, update

rng = np.random.default_rng(0)
Arrays = list[np.ndarray]


def zeros(like: Arrays) -> Arrays:
    return [np.zeros_like(x) for x in like]


def step(w: Arrays, gw: Arrays, v: Arrays | None = None) -> None:
    update.sgd(w, gw, v, 0.5, 0.0 if v is None else 0.5, 0.0, False, 0.0)


def test_one_launch_for_all_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    launches = []
    monkeypatch.setattr(addresses, "split", lambda *args, work: launches.append(work))
    w = [np.ones(shape, np.float32) for shape in [(6, 1, 5, 4), (6,), (), (3, 0), (17, 9)]]
    step(w, zeros(w), zeros(w))
    assert launches == [sum(-(-x.size // addresses.LINE) * addresses.LINE for x in w)]


def test_gradients_may_be_frozen_and_strided() -> None:
    w, g = [np.ones((4, 6))], rng.normal(size=(4, 6))
    frozen = g.copy()
    frozen.flags.writeable = False
    results = []
    for gradient in (g, frozen, np.asfortranarray(g), np.repeat(g, 2, axis=1)[:, ::2]):
        w = [np.ones((4, 6))]
        step(w, [gradient])
        results.append(w[0])
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


def test_parameters_that_cannot_be_written_are_refused_before_anything_is() -> None:
    frozen, strided = np.ones((2, 3)), np.ones((3, 2)).T
    frozen.flags.writeable = False
    for bad in (frozen, strided):
        good = np.ones(4)
        with pytest.raises(ValueError, match=r"parameter of shape \(2, 3\) is read-only or not C-contiguous"):
            step([good, bad], [np.ones(4), np.ones((2, 3))])
        assert (good == 1).all()


def test_arrays_that_do_not_belong_together_are_refused() -> None:
    w = [np.ones((2, 3))]
    for gradient in (np.ones((3, 2)), np.ones((2, 3), np.float32), np.ones(())):
        with pytest.raises(ValueError, match="comes with a gradient of shape"):
            step(w, [gradient])
    with pytest.raises(ValueError, match="comes with a mean of shape"):
        update.adam(w, w, [np.ones(6)], [np.ones((2, 3))], 1, 0.1, (0.9, 0.99), 1e-8, 0.0)
    with pytest.raises(ValueError, match="shorter"):
        step([np.ones(2), np.ones(2)], [np.ones(2)])
    with pytest.raises(ValueError, match="give the arrays as means"):
        update.rmsprop(w, w, zeros(w), None, None, 0.1, 0.9, 1e-8, 0.0, 0.0, True)


def test_the_places_of_arrays_are_found_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    address = addresses._address
    monkeypatch.setattr(addresses, "_address", lambda name, x: asked.append(name) or address(name, x))
    w, v = [np.ones((3, 5)), np.ones(7)], [np.zeros((3, 5)), np.zeros(7)]
    for _ in range(3):
        step(w, [np.ones((3, 5)), np.ones(7)], v)
    assert asked == ["parameter"] * 2 + ["velocity"] * 2
    np.testing.assert_array_equal(w[1], 1 - 0.5 * (1 + 1.5 + 1.75))


def test_other_arrays_are_other_places() -> None:
    w, v = [np.ones(40), np.ones(3)], [np.zeros(40), np.zeros(3)]
    step(w, [np.ones(40), np.ones(3)], v)
    for i, group in ((1, w), (0, v), (0, w)):
        old, group[i] = group[i], np.zeros_like(group[i])
        before = old.copy()
        step(w, [np.ones(40), np.ones(3)], v)
        np.testing.assert_array_equal(old, before)
        assert (group[i] != 0).all()
    before = w[1].copy()
    for array in (w[0], v[1]):
        array.flags.writeable = False
        with pytest.raises(ValueError, match="is read-only"):
            step(w, [np.ones(40), np.ones(3)], v)
        array.flags.writeable = True
    np.testing.assert_array_equal(w[1], before)


def test_what_is_known_holds_no_array_alive_and_does_not_grow() -> None:
    for _ in range(3 * addresses._MOST_KNOWN):
        step([np.ones(2)], [np.ones(2)])
    assert len(addresses._known) <= addresses._MOST_KNOWN
    kept = []
    for _ in range(5):
        kept.append(np.ones(2))
        step(kept[-1:], [np.ones(2)])
    places = [addresses._known[id(x)] for x in kept]
    del kept
    assert [found() for known in places for found in known.arrays] == [None] * 5


def test_threads_begin_at_whole_lines_of_each_array() -> None:
    """Whatever the pieces, every element is written once."""
    for sizes in ([1], [15, 17, 1, 33], [addresses.LINE] * 3, [70_001, 3, 5000]):
        w = [np.zeros(n) for n in sizes]
        step(w, [np.full(n, -2.0) for n in sizes])
        for x in w:
            np.testing.assert_array_equal(x, 1)
