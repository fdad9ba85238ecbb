"""Datasets: a length, and a batch for an array of indices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from tinygrad_cnn import state


class Dataset(Protocol):
    """What a `DataLoader` needs: ``dataset[indices]`` takes an int64 array and returns a batch."""

    def __len__(self) -> int: ...

    def __getitem__(self, indices: Any, /) -> Any: ...


class ArrayDataset:
    """Labelled images in memory, kept as bytes and turned into normalised floats batch by batch.

        x = (images / 255 - mean) / std

    60,000 images of 28 x 28 take 47 MB as uint8 and would take 188 MB as float32.

    Args:
        images: (N, H, W) or (N, C, H, W), uint8.
        labels: (N,), integers from 0.
        name: For people, in every output.
        classes: The names of the classes; label ``k`` is ``classes[k]``. None: "0", "1", ... up to the largest label.
        mean: Of the training images, on the scale 0 to 1; one number or one per channel.
        std: Their standard deviation, likewise.

    Raises:
        TypeError: The images are not uint8, or the labels not integers.
        ValueError: Shapes that do not fit together, or a ``std`` that is not positive.
        IndexError: A label without a class.

    >>> dataset = ArrayDataset(np.full((5, 4, 3), 255, np.uint8), np.arange(5), mean=0.5, std=0.5)
    >>> x, y = dataset[[3, 0]]
    >>> x.shape, x.dtype, float(x[0, 0, 0, 0]), y
    ((2, 1, 4, 3), dtype('float32'), 1.0, array([3, 0]))
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        name: str = "images",
        classes: Sequence[str] | None = None,
        mean: float | Sequence[float] = 0.0,
        std: float | Sequence[float] = 1.0,
    ) -> None:
        images, labels = np.asarray(images), np.asarray(labels)
        if images.dtype != np.uint8:
            raise TypeError(f"ArrayDataset: images must be uint8 (0 to 255), got {images.dtype}")
        if not np.issubdtype(labels.dtype, np.integer):
            raise TypeError(f"ArrayDataset: labels must be integers, got {labels.dtype}")
        if images.ndim not in (3, 4) or labels.shape != images.shape[:1]:
            raise ValueError(
                f"ArrayDataset: expected images (N, H, W) or (N, C, H, W) and labels (N,), "
                f"got {images.shape} and {labels.shape}"
            )
        labels = labels.astype(np.int64, copy=False)
        if classes is None:
            classes = [str(k) for k in range(int(labels.max(initial=-1)) + 1)]
        wrong = labels[(labels < 0) | (labels >= len(classes))]
        if wrong.size:
            raise IndexError(f"ArrayDataset: label {wrong[0]} is outside 0 to {len(classes) - 1}, the {name} classes")
        self.images = images[:, None] if images.ndim == 3 else images  # (N, C, H, W)
        self.labels = labels
        self.name = name
        self.classes = tuple(classes)
        self.mean, self.std = (self._per_channel(value, which) for value, which in ((mean, "mean"), (std, "std")))
        if not (np.isfinite(self.mean).all() and np.isfinite(self.std).all() and (self.std > 0).all()):
            raise ValueError(f"ArrayDataset: mean must be finite and std positive, got mean={mean}, std={std}")
        self._scale = (1 / (255 * self.std)).astype(np.float32)
        self._shift = (-self.mean / self.std).astype(np.float32)

    def _per_channel(self, value: float | Sequence[float], which: str) -> np.ndarray:
        """Return a number, or one per channel, as an array that broadcasts over (C, H, W)."""
        array = np.asarray(value, np.float64)
        channels = self.images.shape[1]
        if array.shape not in ((), (1,), (channels,)):
            raise ValueError(f"ArrayDataset: {which} must be one number or {channels}, one per channel, got {value}")
        return array.reshape(-1, 1, 1)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, indices: Any, /) -> tuple[np.ndarray, np.ndarray]:
        """Return (x, labels): x (n, C, H, W) float32, labels (n,) int64; without the n for a single index."""
        if isinstance(indices, tuple):
            raise TypeError("ArrayDataset: expected one index, a slice or an array of indices, got a tuple")
        many = isinstance(indices, np.ndarray) and indices.dtype == np.int64
        images = self.images.take(indices, 0) if many else self.images[indices]  # take needs half the time
        x = images.astype(np.float32)
        x *= self._scale
        x += self._shift
        return x, self.labels[indices]

    @property
    def description(self) -> dict[str, Any]:
        """Everything but images and labels, in JSON values: ``ArrayDataset(images, labels, **description)``."""
        mean, std = self.mean.ravel().tolist(), self.std.ravel().tolist()
        return {"name": self.name, "classes": list(self.classes), "mean": mean, "std": std}

    def __repr__(self) -> str:
        sizes = " x ".join(str(size) for size in self.images.shape[1:])
        return f"{self.name}: {len(self):,} images of {sizes}, {len(self.classes)} classes"


class Subset:
    """The elements of a dataset at given indices, as a dataset; nothing is copied.

    Args:
        dataset: The whole.
        indices: (n,) integers, in the order wanted.

    >>> Subset(ArrayDataset(np.zeros((5, 4, 3), np.uint8), np.arange(5)), [4, 2])[:][1]
    array([4, 2])
    """

    def __init__(self, dataset: Dataset, indices: np.ndarray | Sequence[int]) -> None:
        self.dataset = dataset
        chosen, count = np.asarray(indices), len(dataset)
        if chosen.size and chosen.dtype.kind not in "iu":
            raise TypeError(f"Subset: indices must be integers, got {chosen.dtype}")
        if (wrong := (chosen < -count) | (chosen >= count)).any():
            raise IndexError(f"Subset: index {chosen[wrong][0]} is out of range for a dataset of {count}")
        self.indices = chosen.astype(np.int64)

    @property
    def name(self) -> str:
        """The whole's name."""
        return self.dataset.name  # type: ignore[attr-defined]

    @property
    def classes(self) -> tuple[str, ...]:
        """The whole's classes."""
        return self.dataset.classes  # type: ignore[attr-defined]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, indices: Any, /) -> Any:
        return self.dataset[self.indices[indices]]

    def __repr__(self) -> str:
        return f"{len(self):,} of {self.dataset!r}"


def random_split(
    dataset: Dataset, lengths: Sequence[float], generator: np.random.Generator | None = None
) -> list[Subset]:
    """Split a dataset at random into parts that do not overlap.

    Args:
        dataset: The whole.
        lengths: Either the parts' lengths, which add up to ``len(dataset)``, or fractions, which add up to 1. A
            fraction is rounded down, and the elements left over go to the first parts, one each.
        generator: Draws the permutation; None is the default generator.

    Raises:
        ValueError: The lengths do not add up.

    >>> train, held_out = random_split(ArrayDataset(np.zeros((10, 4, 3), np.uint8), np.arange(10)), [0.75, 0.25])
    >>> len(train), len(held_out)
    (8, 2)
    """
    check_generator(generator, "random_split")
    count = len(dataset)
    if not len(lengths) or any(not length >= 0 for length in lengths):
        raise ValueError(f"random_split: lengths must be numbers of at least 0, got {list(lengths)}")
    if all(isinstance(length, (int, np.integer)) for length in lengths):
        sizes = [int(length) for length in lengths]
        if sum(sizes) != count:
            raise ValueError(
                f"random_split: lengths must add up to {count}, got {' + '.join(map(str, sizes))} = {sum(sizes)}"
            )
    else:
        if not math.isclose(sum(lengths), 1):
            raise ValueError(
                f"random_split: fractions must add up to 1, got {' + '.join(map(str, lengths))} = {sum(lengths)}"
            )
        sizes = [math.floor(count * fraction) for fraction in lengths]
        for i in range(count - sum(sizes)):
            sizes[i % len(sizes)] += 1
    order = (generator or state.default_generator()).permutation(count)
    return [Subset(dataset, part) for part in np.split(order, np.cumsum(sizes)[:-1])]


def check_generator(generator: np.random.Generator | None, caller: str) -> None:
    """Raise a TypeError, in the name of ``caller``, for anything but a Generator or None: a bare seed, say."""
    if not (generator is None or isinstance(generator, np.random.Generator)):
        raise TypeError(
            f"{caller}: generator must be a numpy.random.Generator, such as numpy.random.default_rng(0), "
            f"got {type(generator).__name__}"
        )
