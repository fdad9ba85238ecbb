from __future__ import annotations

import json
from itertools import islice
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_cnn.state as state
from tinygrad_cnn.data import ArrayDataset, DataLoader, HardExampleSampler


def _loader(count: int = 23, seed: int = 1, **options: Any) -> DataLoader:
    options = {"batch_size": 4, "shuffle": True, **options}
    return DataLoader(np.arange(count), generator=np.random.default_rng(seed), **options)


def _lists(batches: Any) -> list[list[int]]:
    return [batch.tolist() for batch in batches]


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize(("count", "batch_size"), [(23, 4), (24, 4), (3, 4), (0, 4), (5, 1)])
def test_an_epoch_hands_out_every_element_once(count: int, batch_size: int, shuffle: bool, drop_last: bool) -> None:
    loader = _loader(count, batch_size=batch_size, shuffle=shuffle, drop_last=drop_last)
    batches = _lists(loader)
    full, rest = divmod(count, batch_size)
    assert [len(batch) for batch in batches] == [batch_size] * full + [rest] * (rest > 0 and not drop_last)
    assert len(batches) == len(loader)
    handed_out = [i for batch in batches for i in batch]
    assert len(set(handed_out)) == len(handed_out)
    if not shuffle:
        assert handed_out == list(range(len(handed_out)))


def test_defaults_are_those_of_torch() -> None:
    assert _lists(DataLoader(np.arange(3))) == [[0], [1], [2]]


def test_batches_of_images() -> None:
    dataset = ArrayDataset(np.zeros((5, 6, 4), np.uint8), np.arange(5))
    shapes = [(x.shape, x.dtype, y.shape, y.dtype) for x, y in DataLoader(dataset, 3)]
    f, i = np.dtype(np.float32), np.dtype(np.int64)
    assert shapes == [((3, 1, 6, 4), f, (3,), i), ((2, 1, 6, 4), f, (2,), i)]


def test_every_epoch_has_its_own_order_and_every_seed_its_own_sequence() -> None:
    loader, same, other = _loader(), _loader(), _loader(seed=2)
    first, second = _lists(loader), _lists(loader)
    assert first != second
    assert [first, second] == [_lists(same), _lists(same)]
    assert first != _lists(other)


def test_an_epoch_draws_one_number_and_none_without_shuffling() -> None:
    generator, twin = np.random.default_rng(1), np.random.default_rng(1)
    list(DataLoader(np.arange(9), 4, generator=generator))
    assert generator.bit_generator.state == twin.bit_generator.state
    list(DataLoader(np.arange(9), 4, shuffle=True, generator=generator))
    twin.integers(2**64, dtype=np.uint64)
    assert generator.bit_generator.state == twin.bit_generator.state


def test_the_default_generator_is_used() -> None:
    before = state.generator_state()
    try:
        state.manual_seed(5)
        first = _lists(DataLoader(np.arange(20), 4, shuffle=True))
        state.manual_seed(5)
        assert _lists(DataLoader(np.arange(20), 4, shuffle=True)) == first
    finally:
        state.set_generator_state(before)


@settings(derandomize=True, max_examples=60, deadline=None)
@given(
    count=st.integers(0, 30),
    batch_size=st.integers(1, 7),
    shuffle=st.booleans(),
    drop_last=st.booleans(),
    stops=st.lists(st.integers(0, 12), min_size=1, max_size=5),
)
def test_a_run_killed_and_resumed_anywhere_sees_the_same_batches(
    count: int, batch_size: int, shuffle: bool, drop_last: bool, stops: list[int]
) -> None:
    """A run of three epochs dies after so many batches, several times, and goes on from what it last saved."""
    options: dict[str, Any] = {"batch_size": batch_size, "shuffle": shuffle, "drop_last": drop_last}
    loader = _loader(count, **options)
    expected = [_lists(loader) for _ in range(3)]

    seen: list[list[list[int]]] = [[]]
    saved: tuple[int, str, Any] | None = None
    for stop in [*stops, 10**6]:
        generator = np.random.default_rng(1)
        loader = DataLoader(np.arange(count), generator=generator, **options)
        epoch = 0
        if saved:
            epoch, text, generator.bit_generator.state = saved
            loader.load_state_dict(json.loads(text))
        done = 0
        while epoch < 3 and done < stop:
            for batch in loader:
                if done == stop:  # killed in the middle of this batch: it does not count
                    break
                seen[-1].append(batch.tolist())
                done += 1
                saved = epoch, json.dumps(loader.state_dict()), generator.bit_generator.state
            else:
                epoch += 1
                seen.append([])
                saved = epoch, json.dumps(loader.state_dict()), generator.bit_generator.state
        if epoch == 3:
            break
    assert seen == [*expected, []]


def test_the_state_counts_the_batch_in_hand_as_done() -> None:
    loader = _loader()
    assert loader.state_dict() == {"epoch_seed": None, "position": 0}
    positions = [loader.state_dict()["position"] for _ in loader]
    assert positions == [1, 2, 3, 4, 5, 6]
    assert loader.state_dict() == {"epoch_seed": None, "position": 0}
    iterator = iter(loader)
    assert loader.state_dict()["position"] == 0
    assert 0 <= loader.state_dict()["epoch_seed"] < 2**64
    next(iterator)
    assert loader.state_dict()["position"] == 1


def test_a_state_is_a_copy() -> None:
    loader = _loader()
    iterator = iter(loader)
    next(iterator)
    saved = loader.state_dict()
    next(iterator)
    assert saved["position"] == 1
    loader.load_state_dict(saved)
    next(iter(loader))
    assert saved["position"] == 1


def test_a_state_of_the_last_batch_leaves_nothing_of_its_epoch() -> None:
    loader = _loader()
    states = [loader.state_dict() for _ in loader]
    resumed = _loader()
    list(resumed)  # brings the generator where the first loader's is
    resumed.load_state_dict(states[-1])
    assert list(resumed) == []
    assert _lists(resumed) == _lists(loader)


def test_breaking_off_starts_a_new_epoch_but_its_state_can_be_resumed() -> None:
    loader, twin = _loader(), _loader()
    first, second = _lists(twin), _lists(twin)
    for _ in islice(loader, 2):
        pass
    saved = loader.state_dict()
    assert _lists(loader) == second
    loader.load_state_dict(saved)
    assert _lists(loader) == first[2:]
    loader.load_state_dict(saved)
    loader.load_state_dict({"epoch_seed": None, "position": 0})
    assert len(_lists(loader)) == 6


def test_two_iterators_do_not_disturb_each_other() -> None:
    twin = _loader()
    expected = [_lists(twin), _lists(twin)]
    loader = _loader()
    pairs = list(zip(loader, loader, strict=True))
    assert [_lists(batches) for batches in zip(*pairs, strict=True)] == expected


def test_a_batch_that_fails_is_not_counted() -> None:
    class Broken:
        def __len__(self) -> int:
            return 8

        def __getitem__(self, indices: Any) -> Any:
            if 5 in indices:
                raise OSError("unreadable")
            return indices

    loader = DataLoader(Broken(), 4)
    iterator = iter(loader)
    next(iterator)
    with pytest.raises(OSError, match="unreadable"):
        next(iterator)
    assert loader.state_dict()["position"] == 1


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"position": 1}, "expected a state of"),
        ({"epoch_seed": 1, "position": 1, "more": 0}, "expected a state of"),
        ({"epoch_seed": 1, "position": -1}, "whole numbers"),
        ({"epoch_seed": 1.5, "position": 1}, "whole numbers"),
        ({"epoch_seed": 2**64, "position": 1}, "whole numbers"),
        ({"epoch_seed": True, "position": 1}, "whole numbers"),
        ({"epoch_seed": 1, "position": None}, "whole numbers"),
        ({"epoch_seed": 1, "position": 7}, "7 batches into an epoch, an epoch has 6 here"),
        (
            {"epoch_seed": None, "position": 2},
            "without random order or transform, here shuffle is True",
        ),
    ],
)
def test_a_foreign_state_is_refused_and_changes_nothing(bad: dict[str, Any], message: str) -> None:
    loader, twin = _loader(), _loader()
    with pytest.raises(ValueError, match=f"DataLoader: .*{message}"):
        loader.load_state_dict(bad)
    assert _lists(loader) == _lists(twin)


def test_a_shuffled_state_is_refused_without_shuffling() -> None:
    with pytest.raises(ValueError, match="with random order or transform, here shuffle is False"):
        _loader(shuffle=False).load_state_dict({"epoch_seed": 7, "position": 2})


@pytest.mark.parametrize("batch_size", [0, -1, 2.0, True, None, "4"])
def test_a_bad_batch_size_is_refused(batch_size: Any) -> None:
    with pytest.raises(ValueError, match="DataLoader: batch_size must be a positive int"):
        DataLoader(np.arange(3), batch_size)


@pytest.mark.parametrize("dataset", [(np.zeros((3, 2)), np.arange(3)), [0, 1, 2]])
def test_a_dataset_takes_arrays_of_indices(dataset: Any) -> None:
    with pytest.raises(TypeError, match=rf"DataLoader: dataset\[indices\] .* no {type(dataset).__name__} does"):
        DataLoader(dataset, 2)


def test_a_seed_is_not_a_generator() -> None:
    with pytest.raises(TypeError, match=r"DataLoader: generator must be a numpy.random.Generator, .* got int"):
        DataLoader(np.arange(3), generator=0)


def _labelled(count: int = 23, **options: Any) -> DataLoader:
    class Labelled:
        def __len__(self) -> int:
            return count

        def __getitem__(self, indices: Any) -> tuple[np.ndarray, np.ndarray]:
            return np.asarray(indices, float), np.asarray(indices)

    return DataLoader(Labelled(), 4, generator=np.random.default_rng(1), **options)


def _shaken(x: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    return x + generator.random(len(x)) / 2


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_transform_changes_the_first_part_of_each_batch_anew_in_each_epoch(shuffle: bool) -> None:
    loader = _labelled(shuffle=shuffle, transform=_shaken)
    first, second = (list(loader) for _ in range(2))
    for batches in (first, second):
        assert all((np.floor(x) == labels).all() for x, labels in batches)
        moved = np.concatenate([x - labels for x, labels in batches])
        assert len(set(moved)) == len(moved) == 23
    assert not set(np.concatenate([x % 1 for x, _ in first])) & set(np.concatenate([x % 1 for x, _ in second]))
    again = list(_labelled(shuffle=shuffle, transform=_shaken))
    assert all((x == y).all() for (x, _), (y, _) in zip(first, again, strict=True))


def test_a_transform_of_batches_that_are_arrays() -> None:
    loader = DataLoader(np.arange(6), 4, transform=lambda x, generator: -x)
    assert _lists(loader) == [[0, -1, -2, -3], [-4, -5]]


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_resumed_epoch_has_the_same_luck(shuffle: bool) -> None:
    loader = _labelled(shuffle=shuffle, transform=_shaken)
    iterator = iter(loader)
    for _ in range(2):
        next(iterator)
    state_dict = json.loads(json.dumps(loader.state_dict()))
    rest = list(iterator)
    other = _labelled(shuffle=shuffle, transform=_shaken)
    other.load_state_dict(state_dict)
    assert all((x == y).all() for (x, _), (y, _) in zip(rest, other, strict=True))
    with pytest.raises(ValueError, match="transform is set"):
        other.load_state_dict({"epoch_seed": None, "position": 2})


def test_a_transform_is_called() -> None:
    wrong: Any = 3
    with pytest.raises(TypeError, match=r"transform must be called as transform\(x, generator\), got 3"):
        DataLoader(np.arange(3), transform=wrong)


def test_a_sampler_says_which_elements_and_in_what_order() -> None:
    indices = [5, 3, 3, 0]
    for sampler in (indices, np.array(indices), range(5, 1, -1)):
        loader = DataLoader(np.arange(10) * 10, 3, sampler=sampler)
        assert len(loader) == 2
        assert _lists(loader) == _lists(loader) == [[10 * i for i in list(sampler)[:3]], [10 * list(sampler)[3]]]
    assert _lists(DataLoader(np.arange(3), 2, sampler=[])) == []
    generator, twin = np.random.default_rng(1), np.random.default_rng(1)
    list(DataLoader(np.arange(9), sampler=[1, 2], generator=generator))
    assert generator.bit_generator.state == twin.bit_generator.state


@pytest.mark.parametrize("stop", [0, 1, 3])
def test_a_sampled_epoch_is_resumed_with_the_same_batches(stop: int) -> None:
    def loader() -> DataLoader:
        return _loader(shuffle=False, sampler=HardExampleSampler(np.arange(23), 13, 0.5))

    first = loader()
    expected = [_lists(first), _lists(first)]
    assert expected[0] != expected[1]
    running = loader()
    iterator = iter(running)
    for _ in range(stop):
        next(iterator)
    resumed = loader()
    resumed.load_state_dict(json.loads(json.dumps(running.state_dict())))
    assert _lists(resumed) == expected[0][stop:]
    with pytest.raises(ValueError, match=r"with random order or transform, .* sampler is list"):
        DataLoader(np.arange(23), 4, sampler=[1, 2]).load_state_dict({"epoch_seed": 3, "position": 0})


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"sampler": [1], "shuffle": True}, ValueError, "shuffle must be False"),
        ({"sampler": 3}, TypeError, r"must have a length, and order\(generator\) or indices, got int"),
        ({"sampler": (i for i in range(3))}, TypeError, "got generator"),
        ({"sampler": [0.5]}, TypeError, r"as many indices as its length 1, got float64 of shape \(1,\)"),
        ({"sampler": [True]}, TypeError, "got bool"),
        ({"sampler": [1, 9]}, IndexError, "the sampler's index 9 is outside of the 9 elements"),
        ({"sampler": [-1]}, IndexError, "index -1 is outside"),
    ],
)
def test_samplers_that_are_none(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        list(DataLoader(np.arange(9), **options))
