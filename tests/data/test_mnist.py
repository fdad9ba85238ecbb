from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tinygrad_cnn.data import ArrayDataset, fashion_mnist, mnist
from tinygrad_cnn.data.cache import cache_folder
from tinygrad_cnn.data.mnist import FASHION_MNIST, MNIST
from tinygrad_cnn.data.sources import Collection


def test_the_catalogue_is_complete() -> None:
    hashes = [value for collection in (MNIST, FASHION_MNIST) for value in collection.sha256.values()]
    assert len(set(hashes)) == 8
    assert all(len(value) == 64 and int(value, 16) for value in hashes)
    for collection in (MNIST, FASHION_MNIST):
        assert set(collection.files("train") + collection.files("test")) == set(collection.sha256)
        assert all(mirror.endswith("/") for mirror in collection.mirrors)


@pytest.mark.parametrize(("load", "collection"), [(mnist, MNIST), (fashion_mnist, FASHION_MNIST)])
def test_a_wrong_file_is_never_taken(
    tmp_path: Path, raw: dict[str, bytes], load: object, collection: Collection
) -> None:
    for file, content in raw.items():
        (tmp_path / file).write_bytes(content)
    with pytest.raises(ValueError, match=f"of {collection.name} with SHA-256"):
        load("train", tmp_path)


_PARTS = [
    (mnist, MNIST, "train", 60_000, [5, 0, 4, 1, 9], 0.1307, 0.3081),
    (mnist, MNIST, "test", 10_000, [7, 2, 1, 0, 4], None, None),
    (fashion_mnist, FASHION_MNIST, "train", 60_000, [9, 0, 0, 3, 0], 0.2860, 0.3530),
    (fashion_mnist, FASHION_MNIST, "test", 10_000, [9, 2, 1, 1, 6], None, None),
]


@pytest.mark.parametrize(("load", "collection", "split", "count", "first", "mean", "std"), _PARTS)
def test_the_real_data(
    load: object,
    collection: Collection,
    split: str,
    count: int,
    first: list[int],
    mean: float | None,
    std: float | None,
) -> None:
    folder = cache_folder(collection.folder)
    if not all((folder / file).exists() for file in collection.files(split)):
        pytest.skip(f"{collection.name} is not in {folder}")
    lines: list[str] = []
    dataset = load(split, folder, lines.append)
    assert isinstance(dataset, ArrayDataset)
    assert repr(dataset) == f"{collection.name}: {count:,} images of 1 x 28 x 28, 10 classes"
    assert dataset.images.dtype == np.uint8
    assert dataset.labels.dtype == np.int64
    assert dataset.labels[:5].tolist() == first
    assert lines == [f"{collection.name} ({split}): from path {folder}"]
    if mean is not None and std is not None:
        assert dataset.images.mean(dtype=np.float64) / 255 == pytest.approx(mean, abs=1e-4)
        assert dataset.images.std(dtype=np.float64) / 255 == pytest.approx(std, abs=1e-4)
        assert (float(dataset.mean.item()), float(dataset.std.item())) == (mean, std)
