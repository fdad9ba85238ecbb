from __future__ import annotations

import copy
import json

import numpy as np
import pytest

from tinygrad_cnn.interop.differences import compare_arrays, compare_names, compare_optimizers, fits_generator


def optimizer_state(**changes):
    group = {"lr": 0.1, "momentum": 0.9, "params": [0, 1]}
    state = {"state": {0: {"momentum_buffer": np.zeros((3, 2), np.float32), "step": 4}}, "param_groups": [group]}
    return state | changes


PARAMETERS = [np.zeros((3, 2), np.float32), np.zeros(5, np.float32)]


def test_equal_states_have_no_differences():
    arrays = {"w": np.zeros((2, 3)), "b": np.zeros((), np.int64)}
    assert compare_arrays(arrays, arrays) == []
    assert compare_names("ab", "ba") == []
    assert compare_optimizers(optimizer_state(), optimizer_state(), PARAMETERS) == []


def test_arrays_are_compared_by_name_shape_and_dtype():
    saved = {"w": np.zeros((2, 3)), "b": np.zeros(4, np.float32), "old": np.zeros(1)}
    own = {"w": np.zeros((3, 2)), "b": np.zeros(4), "new": np.zeros(1)}
    assert compare_arrays(saved, own) == [
        "missing in the file: new",
        "unexpected in the file: old",
        "w is float64 (2, 3) in the file, float64 (3, 2) here",
        "b is float32 (4,) in the file, float64 (4,) here",
    ]


def test_long_lists_are_shortened():
    lines = compare_names([], [f"layer{i}" for i in range(300)])
    assert lines == [f"missing in the file: {', '.join(f'layer{i}' for i in range(10))}, and 290 more"]


def test_a_fresh_optimizer_takes_the_state_of_a_used_one():
    assert compare_optimizers(optimizer_state(), optimizer_state(state={}), PARAMETERS) == []
    assert compare_optimizers(optimizer_state(), optimizer_state(state={}), []) == []


@pytest.mark.parametrize(
    ("saved", "own", "line"),
    [
        ({"param_groups": []}, {}, "0 param_groups in the file, 1 here"),
        ({"param_groups": [{"lr": 0.1, "betas": (0, 1), "params": [0, 1]}]}, {}, "[0]: missing in the file: momentum"),
        ({"param_groups": [{"lr": 0.1, "betas": (0, 1), "params": [0, 1]}]}, {}, "[0]: unexpected in the file: betas"),
        (
            {"param_groups": [{"lr": 0.1, "momentum": 0.9, "params": [0]}]},
            {},
            "param_groups[0] has the parameters [0] in the file, [0, 1] here",
        ),
        ({"state": {7: {}}}, {}, "state of parameter 7 in the file, no such parameter here"),
        (
            {"state": {0: {"momentum_buffer": np.zeros((2, 3), np.float32)}}},
            {},
            "parameter 0: momentum_buffer is float32 (2, 3) in the file, float32 (3, 2) here",
        ),
        (
            {"state": {0: {"momentum_buffer": np.zeros((3, 2))}}},
            {},
            "parameter 0: momentum_buffer is float64 (3, 2) in the file, float32 (3, 2) here",
        ),
        (
            {"state": {1: {"momentum_buffer": np.zeros(6, np.float32)}}},
            {"state": {}},
            "parameter 1: momentum_buffer is float32 (6,) in the file, float32 (5,) here",
        ),
    ],
)
def test_optimizer_differences(saved, own, line):
    lines = compare_optimizers(optimizer_state(**saved), optimizer_state(**own), PARAMETERS)
    assert any(line in found for found in lines), lines


KINDS = [np.random.PCG64, np.random.PCG64DXSM, np.random.MT19937, np.random.Philox, np.random.SFC64]


def through_json(state):
    return json.loads(json.dumps(state, default=np.ndarray.tolist))


@pytest.mark.parametrize("kind", KINDS)
def test_a_generator_fits_its_own_kind_only_and_is_not_touched(kind):
    generator = np.random.Generator(kind(1))
    before = through_json(generator.bit_generator.state)
    saved = through_json(kind(2).state)
    assert fits_generator(saved, generator)
    assert not any(fits_generator(saved, np.random.Generator(other(1))) for other in KINDS if other is not kind)
    assert through_json(generator.bit_generator.state) == before


@pytest.mark.parametrize("kind", KINDS)
def test_a_broken_generator_state_does_not_fit(kind):
    generator = np.random.Generator(kind(1))
    whole = through_json(generator.bit_generator.state)
    for broken in (None, 3, [], {}, {**whole, "state": 3}, {**whole, "state": {}}, {**whole, "extra": 1}):
        assert not fits_generator(broken, generator)
    for key, value in whole["state"].items():
        for bad in ("x", None, -1, 2**200, 1.5, value[:1] if isinstance(value, list) else [value]):
            broken = copy.deepcopy(whole)
            broken["state"][key] = bad
            assert not fits_generator(broken, generator), (key, bad)


@pytest.mark.parametrize("place", [-1, 5, 10**6])
def test_a_place_outside_of_the_buffer_does_not_fit(place):
    saved = through_json(np.random.Philox(2).state)
    assert fits_generator({**saved, "buffer_pos": 4}, np.random.Generator(np.random.Philox(1)))
    assert not fits_generator({**saved, "buffer_pos": place}, np.random.Generator(np.random.Philox(1)))
