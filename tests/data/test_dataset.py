from __future__ import annotations

import json
import warnings
from typing import Any

import numpy as np
import pytest

import tinygrad_cnn.state as state
from tinygrad_cnn.data import ArrayDataset, Subset, random_split


def _images(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("indices", [np.array([4, 1, 1]), [4, 1, 1], slice(1, 6, 2), np.arange(7) > 4, slice(0, 0)])
def test_a_batch_is_normalised_float32(indices: Any) -> None:
    images, labels = _images(7, 3, 5, 4), np.arange(7, dtype=np.uint8)
    mean, std = [0.1, 0.2, 0.3], [0.5, 0.6, 0.7]
    x, y = ArrayDataset(images, labels, mean=mean, std=std)[indices]
    expected = (images[indices] / 255 - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
    assert x.dtype == np.float32
    assert x.flags.c_contiguous
    assert y.dtype == np.int64
    assert x.shape == expected.shape
    np.testing.assert_allclose(x, expected, rtol=2e-6, atol=2e-7)
    np.testing.assert_array_equal(y, labels[indices])


def test_grey_images_get_a_channel_and_a_single_index_no_batch() -> None:
    images = _images(7, 5, 4)
    dataset = ArrayDataset(images, np.arange(7), mean=0.25, std=0.5)
    x, y = dataset[-2]
    assert x.shape == (1, 5, 4)
    assert y == 5
    np.testing.assert_allclose(x[0], (images[5] / 255 - 0.25) / 0.5, rtol=2e-6, atol=2e-7)
    assert len(list(dataset)) == len(dataset) == 7  # iteration ends by IndexError


def test_images_stay_bytes_and_are_not_copied() -> None:
    images = _images(7, 5, 4)
    before = images.copy()
    dataset = ArrayDataset(images, np.arange(7), mean=0.5)
    dataset[:]
    assert dataset.images.base is images
    assert dataset.images.dtype == np.uint8
    np.testing.assert_array_equal(images, before)


def test_names() -> None:
    dataset = ArrayDataset(_images(4, 3, 5, 4), np.array([0, 1, 0, 1]), name="pets", classes=["cat", "dog"])
    assert (dataset.name, dataset.classes) == ("pets", ("cat", "dog"))
    assert repr(dataset) == "pets: 4 images of 3 x 5 x 4, 2 classes"
    assert ArrayDataset(_images(2, 5, 4), np.array([0, 3])).classes == ("0", "1", "2", "3")
    assert len(ArrayDataset(_images(0, 5, 4), np.zeros(0, int))) == 0
    subset = Subset(dataset, [3, 0, 2])
    assert (subset.name, subset.classes, repr(subset)) == ("pets", ("cat", "dog"), f"3 of {dataset!r}")


@pytest.mark.parametrize(
    ("images", "labels", "options", "error", "message"),
    [
        (_images(3, 5, 4) / 255, np.arange(3), {}, TypeError, "images must be uint8 .* got float64"),
        (_images(3, 5, 4), np.arange(3.0), {}, TypeError, "labels must be integers, got float64"),
        (_images(3, 5, 4), np.array([True, False, True]), {}, TypeError, "labels must be integers, got bool"),
        (_images(3, 5, 4), np.arange(4), {}, ValueError, r"got \(3, 5, 4\) and \(4,\)"),
        (_images(3, 5, 4), np.zeros((3, 1), int), {}, ValueError, r"labels \(N,\), got"),
        (_images(3, 5), np.arange(3), {}, ValueError, r"got \(3, 5\)"),
        (_images(3, 5, 4), np.array([0, -1, 1]), {}, IndexError, "label -1 is outside 0 to 1"),
        (_images(3, 5, 4), np.array([0, 2, 1]), {"classes": "ab"}, IndexError, "label 2 is outside 0 to 1"),
        (_images(3, 5, 4), np.arange(3), {"std": 0}, ValueError, "std positive, got mean=0.0, std=0"),
        (_images(3, 5, 4), np.arange(3), {"mean": np.nan}, ValueError, "mean must be finite"),
        (_images(3, 2, 5, 4), np.arange(3), {"mean": [1, 2, 3]}, ValueError, "mean must be one number or 2, one per"),
    ],
)
def test_arguments_that_do_not_fit(
    images: np.ndarray, labels: np.ndarray, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"ArrayDataset: .*{message}"):
        ArrayDataset(images, labels, **options)


def test_bad_indices() -> None:
    dataset = ArrayDataset(_images(3, 5, 4), np.arange(3))
    with pytest.raises(IndexError):
        dataset[np.array([0, 3])]
    with pytest.raises(TypeError, match="got a tuple"):
        dataset[0, 1]


def test_a_subset_of_a_subset_reaches_the_right_elements() -> None:
    dataset = ArrayDataset(_images(9, 5, 4), np.arange(9))
    subset = Subset(Subset(dataset, [8, 6, 4, 2]), np.array([3, 0]))
    x, y = subset[np.array([1, 0, 1])]
    assert y.tolist() == [8, 2, 8]
    np.testing.assert_array_equal(x, dataset[[8, 2, 8]][0])
    assert subset[0][1] == 2
    assert len(subset) == 2


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [
        ([7, 4], [7, 4]),
        ([11, 0], [11, 0]),
        ([0.5, 0.5], [6, 5]),
        ([0.3, 0.3, 0.4], [4, 3, 4]),
        ([0.7, 0.2, 0.1], [8, 2, 1]),
        ([1.0], [11]),
    ],
)
def test_random_split_partitions(lengths: list[float], expected: list[int]) -> None:
    dataset = ArrayDataset(_images(11, 5, 4), np.arange(11))
    parts = random_split(dataset, lengths, np.random.default_rng(3))
    assert [len(part) for part in parts] == expected
    order = np.concatenate([part.indices for part in parts])
    assert sorted(order) == list(range(11))
    assert list(order) != list(range(11))
    again = random_split(dataset, lengths, np.random.default_rng(3))
    assert list(order) == list(np.concatenate([part.indices for part in again]))


def test_random_split_lengths_are_those_of_torch() -> None:
    torch_data = pytest.importorskip("torch.utils.data")
    generator = np.random.default_rng(0)
    for count in (1, 10, 97, 1000):
        for parts in (1, 2, 3, 5):
            fractions = generator.dirichlet(np.ones(parts)).round(3)
            fractions[-1] = 1 - fractions[:-1].sum()
            if fractions[-1] < 0 or sum(fractions) > 1:
                continue
            with warnings.catch_warnings(action="ignore"):  # torch's word on empty parts
                theirs = [len(part) for part in torch_data.random_split(range(count), fractions.tolist())]
            assert [len(part) for part in random_split(np.arange(count), fractions.tolist())] == theirs


def test_random_split_draws_from_the_default_generator() -> None:
    before = state.generator_state()
    try:
        state.manual_seed(5)
        first, second = (random_split(np.arange(50), [25, 25])[0].indices for _ in range(2))
        state.manual_seed(5)
        again = random_split(np.arange(50), [25, 25])[0].indices
    finally:
        state.set_generator_state(before)
    assert first.tolist() == again.tolist() != second.tolist()


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ([5, 5], "lengths must add up to 11"),
        ([12, -1], "at least 0"),
        ([0.5, 0.4], "fractions must add up to 1"),
        ([5.0, 6.0], "fractions must add up to 1"),
        ([np.nan, 0.5], "at least 0"),
        ([], "at least 0"),
    ],
)
def test_random_split_refuses_lengths_that_do_not_add_up(lengths: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=f"random_split: .*{message}"):
        random_split(np.arange(11), lengths)


def test_a_seed_is_not_a_generator() -> None:
    with pytest.raises(TypeError, match=r"random_split: generator must be a numpy.random.Generator, .* got int"):
        random_split(np.arange(11), [5, 6], 3)


def test_the_description_builds_a_dataset_of_the_same_kind():
    images = np.arange(2 * 3 * 4 * 5, dtype=np.uint8).reshape(2, 3, 4, 5)
    dataset = ArrayDataset(images, np.array([0, 1]), "pictures", ("a", "b"), mean=[0.1, 0.2, 0.3], std=0.5)
    again = ArrayDataset(images, dataset.labels, **json.loads(json.dumps(dataset.description)))
    np.testing.assert_array_equal(again[:][0], dataset[:][0])
    assert (again.name, again.classes) == ("pictures", ("a", "b"))
