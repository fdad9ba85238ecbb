"""The images of a data set, a batch at a time, as a model takes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tinygrad_cnn.nn import Module
from tinygrad_cnn.tensor import Tensor


class Batches:
    """Iterate over images and labels in their order: (number of the first image, images, labels or None).

    Args:
        op: what asks for them; it is named where there are none.
        model: the images come in the dtype of its parameters.
        data: images (N, C, H, W), a pair of images and labels, or a data set that gives either for an array of indices.
        batch_size: images at a time.

    Raises:
        ValueError: there are no images, not as many labels as images, or ``batch_size`` is below 1.

    >>> from tinygrad_cnn import nn
    >>> batches = Batches("example", nn.Linear(2, 1), (np.zeros((3, 2)), np.array([5, 6, 7])), 2)
    >>> len(batches), [(start, x.shape, str(x.dtype), labels) for start, x, labels in batches]
    (3, [(0, (2, 2), 'float32', array([5, 6])), (2, (1, 2), 'float32', array([7]))])
    """

    def __init__(self, op: str, model: Module, data: Any, batch_size: int) -> None:
        self.data, self.batch_size = data, batch_size
        self.dtype = next((p.dtype for p in model.parameters()), None)
        self.arrays = isinstance(data, tuple | list)
        self.count = len(data[0]) if self.arrays else len(data)
        if not self.count:
            raise ValueError(f"{op}: there are no images")
        if self.arrays and (len(data) != 2 or len(data[1]) != self.count):
            raise ValueError(f"{op}: expected a pair of images and as many labels, got {[len(part) for part in data]}")
        if batch_size < 1:
            raise ValueError(f"{op}: batch_size must be at least 1, got {batch_size}")

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[tuple[int, Tensor, np.ndarray | None]]:
        for start in range(0, self.count, self.batch_size):
            yield start, *self.take(np.arange(start, min(start + self.batch_size, self.count)))

    def take(self, indices: Any) -> tuple[Tensor, np.ndarray | None]:
        """Return the images of these numbers and their labels."""
        batch = tuple(part[indices] for part in self.data) if self.arrays else self.data[indices]
        images, labels = batch[:2] if isinstance(batch, tuple | list) else (batch, None)
        x = _array(images)
        x = x.astype(self.dtype or np.result_type(x, np.float32), copy=False)
        return Tensor(x), None if labels is None else _array(labels)


def _array(x: Any) -> np.ndarray:
    return x.data if isinstance(x, Tensor) else np.asarray(x)
