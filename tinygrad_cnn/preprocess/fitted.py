"""What is learned from the training images and then done to all: shift and scale.

Fit on the training set only: what a test set would teach, the network must not know.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Self

import numpy as np

_CHUNK = 2048  # samples that are float64 at a time


class Preprocessing(ABC):
    """The base: statistics that `fit` finds, `transform` and its inverse, and a state that is saved with the model.

    Samples are (N, ...): bytes, integers or floats. Statistics are float64; results are float64 where the samples are,
    else float32.

    >>> x = np.random.default_rng(0).integers(0, 256, (50, 3, 8, 6), np.uint8)
    >>> normalize = Normalize().fit(x)
    >>> bool(np.allclose(normalize.inverse_transform(normalize.transform(x)), x, atol=1e-4))
    True
    >>> restored = Normalize().load_state_dict(normalize.state_dict())  # arrays: any file of arrays holds them
    >>> bool((restored.transform(x) == normalize.transform(x)).all())
    True
    """

    statistics: ClassVar[tuple[str, ...]]  # the attributes that fit sets
    mean: np.ndarray

    @abstractmethod
    def fit(self, x: np.ndarray) -> Self:
        """Find the statistics of training samples (N, ...) and return this object."""

    @abstractmethod
    def transform(self, x: np.ndarray) -> np.ndarray:
        """Return prepared samples."""

    @abstractmethod
    def inverse_transform(self, x: np.ndarray) -> np.ndarray:
        """Return the samples that `transform` prepared."""

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return the statistics by name."""
        return {name: self._fitted(name) for name in self.statistics}

    def load_state_dict(self, state_dict: Mapping[str, np.ndarray]) -> Self:
        """Take statistics over and return this object; ValueError where names are missing or too many."""
        if set(state_dict) != set(self.statistics):
            raise ValueError(
                f"{type(self).__name__}: expected the arrays {sorted(self.statistics)}, got {sorted(state_dict)}"
            )
        for name in self.statistics:
            setattr(self, name, np.array(state_dict[name], np.float64))
        return self

    def _fitted(self, name: str) -> np.ndarray:
        if name not in vars(self):
            raise RuntimeError(f"{type(self).__name__}: call fit(training_images) or load_state_dict() first")
        return vars(self)[name]

    def _samples(self, x: Any, shape: tuple[int, ...] | None = None, least: int = 0) -> np.ndarray:
        """Return samples as an array, or raise an error that says what is wrong with them."""
        name, x = type(self).__name__, np.asarray(x)
        if x.dtype.kind not in "uif":
            raise TypeError(f"{name}: samples must be numbers, got {x.dtype}")
        if x.ndim < 2 or len(x) < least:
            raise ValueError(f"{name}: needs at least {max(least, 1)} samples (N, ...), got shape {x.shape}")
        if shape is not None and x.shape[1:] != shape:
            raise ValueError(f"{name}: was fitted to samples of shape {shape}, got {x.shape[1:]}")
        return x

    def _mean(self, x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
        mean = sum(chunk.sum(axes) for chunk in chunks(x)) / _count(x, axes)
        if not np.isfinite(mean).all():
            raise ValueError(f"{type(self).__name__}: samples must be finite numbers, found NaN or infinity")
        return mean


class MeanCenter(Preprocessing):
    """x - mean, where the mean is an image: each pixel has its own."""

    statistics = ("mean",)

    def fit(self, x: np.ndarray) -> Self:
        x = self._samples(x, least=1)
        self.mean = self._mean(x, (0,))
        return self

    def transform(self, x: np.ndarray) -> np.ndarray:
        mean = self._fitted("mean")
        return in_chunks(lambda chunk: chunk - mean, self._samples(x, mean.shape))

    def inverse_transform(self, x: np.ndarray) -> np.ndarray:
        mean = self._fitted("mean")
        return in_chunks(lambda chunk: chunk + mean, self._samples(x, mean.shape))


class Normalize(Preprocessing):
    """(x - mean) / std, with one mean and one standard deviation for each channel, the second axis."""

    statistics = ("mean", "std")
    std: np.ndarray

    def fit(self, x: np.ndarray) -> Self:
        x = self._images(x, least=1)
        axes = (0, *range(2, x.ndim))
        self.mean = self._mean(x, axes)
        squares = sum(np.square(chunk - self._spread(self.mean, x.ndim)).sum(axes) for chunk in chunks(x))
        std = np.sqrt(squares / _count(x, axes))
        if not std.all():
            raise ValueError(f"Normalize: channel {int(np.argmin(std))} is the same everywhere; leave it out")
        self.std = std
        return self

    def transform(self, x: np.ndarray) -> np.ndarray:
        x, mean, std = self._prepared(x)
        return in_chunks(lambda chunk: (chunk - mean) / std, x)

    def inverse_transform(self, x: np.ndarray) -> np.ndarray:
        x, mean, std = self._prepared(x)
        return in_chunks(lambda chunk: chunk * std + mean, x)

    def _images(self, x: Any, least: int = 0) -> np.ndarray:
        x = self._samples(x, least=least)
        if x.ndim == 3:
            raise ValueError(f"Normalize: needs samples (N, C, H, W) or (N, C), got shape {x.shape}; x[:, None] adds C")
        return x

    def _prepared(self, x: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        x, mean, std = self._images(x), self._fitted("mean"), self._fitted("std")
        if x.shape[1] != len(mean):
            raise ValueError(f"Normalize: was fitted to {len(mean)} channels, got shape {x.shape}")
        return x, self._spread(mean, x.ndim), self._spread(std, x.ndim)

    @staticmethod
    def _spread(v: np.ndarray, ndim: int) -> np.ndarray:
        return v.reshape(-1, *(1,) * (ndim - 2))  # (C,) -> (C, 1, 1)


def chunks(x: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the samples in order, a few at a time, as float64."""
    for start in range(0, len(x), _CHUNK):
        yield x[start : start + _CHUNK].astype(np.float64)


def in_chunks(function: Any, x: np.ndarray) -> np.ndarray:
    """Return what a function makes of samples, computed in float64; float32 unless the samples are float64."""
    dtype = np.float64 if x.dtype == np.float64 else np.float32
    parts = [function(chunk).astype(dtype) for chunk in chunks(x)] or [function(x.astype(np.float64)).astype(dtype)]
    return np.concatenate(parts)


def _count(x: np.ndarray, axes: tuple[int, ...]) -> int:
    return int(np.prod([x.shape[axis] for axis in axes]))
