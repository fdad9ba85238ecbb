"""Batches: the order of an epoch is one seed, so that a training run can be resumed in the middle of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from tinygrad_cnn import state
from tinygrad_cnn.data.dataset import Dataset, check_generator
from tinygrad_cnn.data.sampling import Sampler


class DataLoader:
    """Iterate over a dataset in batches, each epoch in a new order where ``shuffle``.

    An epoch that shuffles, samples or transforms draws one 64-bit seed from the generator: the order follows from it,
    and the luck of each batch from it and the batch's number. That seed and the number of batches handed out are the
    whole state: `state_dict` may be taken at any moment, inside of the loop's body too, and after `load_state_dict` the
    next iteration goes on with the batch that would have come next.

    Args:
        dataset: Anything with a length whose ``dataset[indices]`` returns a batch for an int64 array.
        batch_size: Elements in a batch; the last one may be smaller.
        shuffle: Whether each epoch has its own random order.
        drop_last: Whether to leave out a last batch that is smaller.
        generator: Draws the epochs' seeds; None is the default generator.
        transform: Called as transform(x, generator) on each batch, on the first part of one such as (x, labels): an
            augmentation of `tinygrad_cnn.preprocess`, say.
        sampler: Says which elements make an epoch and in what order, instead of ``shuffle``. Either it has
            ``order(generator)``, as `HardExampleSampler` has; or, as in PyTorch, it has a length and gives indices when
            iterated over, which must be the same ones again when an epoch is resumed.

    Raises:
        ValueError: A ``batch_size`` that is not a positive int; a ``sampler`` and ``shuffle``.
        TypeError: A ``generator`` that is not a `numpy.random.Generator`, a ``transform`` that cannot be called, a
            ``sampler`` without a length or indices, or a ``dataset`` that is a tuple or list.

    >>> loader = DataLoader(np.arange(10), batch_size=4)
    >>> len(loader), list(loader)
    (3, [array([0, 1, 2, 3]), array([4, 5, 6, 7]), array([8, 9])])
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int = 1,
        shuffle: bool = False,
        drop_last: bool = False,
        generator: np.random.Generator | None = None,
        transform: Callable[[Any, np.random.Generator], Any] | None = None,
        sampler: Sampler | Iterable[int] | None = None,
    ) -> None:
        if not isinstance(batch_size, (int, np.integer)) or isinstance(batch_size, bool) or batch_size < 1:
            raise ValueError(f"DataLoader: batch_size must be a positive int, got {batch_size!r}")
        check_generator(generator, "DataLoader")
        if isinstance(dataset, (tuple, list)):
            raise TypeError(
                "DataLoader: dataset[indices] must return a batch for an array of indices, which no "
                f"{type(dataset).__name__} does; make it a data.ArrayDataset(images, labels), or a class of your own"
            )
        self.dataset = dataset
        self.batch_size = int(batch_size)
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.generator = generator
        if transform is not None and not callable(transform):
            raise TypeError(f"DataLoader: transform must be called as transform(x, generator), got {transform!r}")
        self.transform = transform
        if sampler is not None and shuffle:
            raise ValueError("DataLoader: the sampler says the order, so shuffle must be False")
        gives = hasattr(sampler, "order") or hasattr(sampler, "__iter__")
        if sampler is not None and not (gives and hasattr(sampler, "__len__")):
            raise TypeError(
                f"DataLoader: sampler must have a length, and order(generator) or indices, got {type(sampler).__name__}"
            )
        self.sampler: Any = sampler
        self._seeded = bool(shuffle) or transform is not None or hasattr(sampler, "order")
        self._epoch = _between_epochs()
        self._resumed = False  # whether the next iteration goes on with self._epoch

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        count = len(self.dataset if self.sampler is None else self.sampler)
        return count // self.batch_size if self.drop_last else -(-count // self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        if not self._resumed:
            self._epoch = _between_epochs()
            if self._seeded:
                generator = self.generator or state.default_generator()
                self._epoch["epoch_seed"] = int(generator.integers(2**64, dtype=np.uint64))
        self._resumed = False
        return self._batches(self._epoch)

    def _batches(self, epoch: dict[str, Any]) -> Iterator[Any]:
        # An iterator counts in the epoch it was born with: a second one does not disturb it.
        order, count = self._order(epoch["epoch_seed"]), len(self)
        while epoch["position"] < count:
            start = epoch["position"] * self.batch_size
            batch = self.dataset[order[start : start + self.batch_size]]
            if self.transform is not None:
                luck = np.random.default_rng([epoch["epoch_seed"], epoch["position"]])
                if isinstance(batch, tuple):
                    batch = (self.transform(batch[0], luck), *batch[1:])
                else:
                    batch = self.transform(batch, luck)
            epoch["position"] += 1  # before the consumer has it: what is asked for inside of the loop is done
            yield batch
        epoch.update(_between_epochs())

    def _order(self, seed: int | None) -> np.ndarray:
        """Return the indices of an epoch."""
        count = len(self.dataset)
        if self.sampler is None:
            return np.random.default_rng(seed).permutation(count) if self.shuffle else np.arange(count)
        sampler = self.sampler
        order = sampler.order(np.random.default_rng(seed)) if hasattr(sampler, "order") else list(sampler)
        order = np.asarray(order, None if len(order) else np.int64)
        if order.ndim != 1 or order.dtype.kind not in "iu" or len(order) != len(sampler):
            raise TypeError(
                f"DataLoader: the sampler must give as many indices as its length {len(sampler)}, got {order.dtype} of "
                f"shape {order.shape}"
            )
        if outside := order[(order < 0) | (order >= count)].tolist():
            raise IndexError(f"DataLoader: the sampler's index {outside[0]} is outside of the {count} elements")
        return order.astype(np.int64)

    def state_dict(self) -> dict[str, Any]:
        """Return where the newest iteration stands, as JSON values.

        ``epoch_seed`` gives the order of the epoch and its luck (None without either, and between two epochs);
        ``position`` counts the batches handed out.
        """
        return dict(self._epoch)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Let the next iteration go on where ``state_dict`` was taken.

        Raises:
            ValueError: The state does not belong to a loader like this one; nothing is changed then.
        """
        if set(state_dict) != set(self._epoch):
            raise ValueError(f"DataLoader: expected a state of {sorted(self._epoch)}, got {sorted(state_dict)}")
        seed, position = state_dict["epoch_seed"], state_dict["position"]
        if not (seed is None or _is_int(seed, 2**64)) or not _is_int(position, 2**63):
            raise ValueError(f"DataLoader: expected a state of whole numbers, got {state_dict}")
        if position > len(self):
            raise ValueError(
                f"DataLoader: the state is {position} batches into an epoch, an epoch has {len(self)} here; "
                "was it taken with another dataset or batch_size?"
            )
        if (seed is None) == self._seeded and state_dict != _between_epochs():
            raise ValueError(
                f"DataLoader: the state was taken {'without' if self._seeded else 'with'} random order or transform, "
                f"here shuffle is {self.shuffle}, transform is {'set' if self.transform else 'None'} and sampler is "
                f"{type(self.sampler).__name__}"
            )
        self._epoch = {"epoch_seed": seed, "position": position}
        self._resumed = state_dict != _between_epochs()


def _is_int(value: object, stop: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < stop


def _between_epochs() -> dict[str, Any]:
    return {"epoch_seed": None, "position": 0}
