"""The images of a data set, a batch at a time, as a model takes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from tinygrad_cnn.kernels.geometry import whole
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
        if not isinstance(model, Module):
            raise TypeError(f"{op}: model must be an nn.Module, got {type(model).__name__}")
        is_one = isinstance(data, str) or getattr(data, "shape", None) == ()
        if is_one or not (hasattr(data, "__len__") and hasattr(data, "__getitem__")):
            raise TypeError(f"{op}: expected images (N, C, H, W), (images, labels) or a data set, got {data!r:.80}")
        self.arrays = isinstance(data, tuple | list)
        try:
            self.data = tuple(map(_array, data)) if self.arrays else data
        except ValueError:  # an image and a label make no array
            raise ValueError(f"{op}: expected one array of images and one of labels, not a list of samples") from None
        shapes = [part.shape for part in self.data] if self.arrays else []
        if self.arrays and (len(shapes) != 2 or not shapes[0] or shapes[1][:1] != shapes[0][:1]):
            raise ValueError(f"{op}: expected a pair of images and as many labels, got shapes {shapes}")
        self.batch_size = whole(op, "batch_size", batch_size, 1)
        self.dtype = next((p.dtype for p in model.parameters()), None)
        self.count = len(self.data[0]) if self.arrays else len(data)
        if not self.count:
            raise ValueError(f"{op}: there are no images")

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


def addresses_of(op: str, addresses: Any) -> list[str] | None:
    """Return addresses as a list, given one or several; None as it is.

    >>> addresses_of("example", "conv1")
    ['conv1']
    """
    if addresses is None:
        return None
    several = [addresses] if isinstance(addresses, str) else addresses
    names = list(several) if isinstance(several, Iterable) else [several]
    if not all(isinstance(name, str) for name in names):
        raise TypeError(f"{op}: addresses are text, such as ['conv1', 'relu#2'], got {addresses!r}")
    return names


def _array(x: Any) -> np.ndarray:
    return x.data if isinstance(x, Tensor) else np.asarray(x)
