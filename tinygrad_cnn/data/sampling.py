"""Which examples an epoch is made of: those that the network still gets wrong, and as many others as keep it honest.

Everything here takes losses as plain numbers, one for each example: `analysis.sample_losses` computes them.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np


class Sampler(Protocol):
    """What gives a `DataLoader` a random order that it can find again when it is resumed."""

    def __len__(self) -> int: ...

    def order(self, generator: np.random.Generator, /) -> np.ndarray:
        """Return the indices of an epoch in order, drawn by ``generator`` alone."""
        ...


def hardest(losses: Any, count: int) -> np.ndarray:
    """Return the indices of the largest losses, the largest first; NaN counts as the largest of all.

    Online, within a batch, this is OHEM (Shrivastava, Gupta and Girshick, 2016, https://arxiv.org/abs/1604.03540): only
    the hardest examples of each batch are learnt from::

        losses = F.cross_entropy(model(x), labels, reduction="none")
        loss = losses[hardest(losses.data, len(losses) // 2)].mean()

    Args:
        losses: one number for each example, (N,).
        count: how many, at most N.

    Raises:
        ValueError: losses that are no vector, or too few of them.

    >>> hardest([0.1, 2.0, 0.5, 3.0], 2)
    array([3, 1])
    """
    losses = _vector("hardest", losses)
    count = _whole("hardest", count, len(losses))
    return np.argsort(-np.nan_to_num(losses, nan=np.inf), kind="stable")[:count]


def hard_negatives(losses: Any, positive: Any, ratio: float = 3.0) -> np.ndarray:
    """Return the indices of all positive examples and of the hardest negative ones, ``ratio`` for each positive.

    A detector sees far more background than objects; 3 to 1 is the ratio of SSD (Liu et al., 2016,
    https://arxiv.org/abs/1512.02325). Where nothing is positive, the hardest negative remains.

    Args:
        losses: one number for each example, (N,).
        positive: which of them are positive, N bools.
        ratio: how many negatives come to a positive; rounded down, all of them where there are fewer.

    >>> hard_negatives([0.1, 2.0, 0.5, 3.0, 0.2], [True, False, False, False, False], ratio=2)
    array([0, 3, 1])
    """
    losses, positive = _vector("hard_negatives", losses), np.asarray(positive)
    if positive.dtype != bool or positive.shape != losses.shape:
        raise ValueError(
            f"hard_negatives: positive must be {len(losses)} bools, got {positive.dtype} of shape {positive.shape}"
        )
    if not ratio >= 0:
        raise ValueError(f"hard_negatives: ratio must be at least 0, got {ratio}")
    chosen, others = np.flatnonzero(positive), np.flatnonzero(~positive)
    count = min(int(ratio * len(chosen)) if len(chosen) else 1, len(others))
    return np.concatenate([chosen, others[hardest(losses[others], count)]])


class HardExampleSampler:
    """Epochs of which a part are the examples with the largest losses, the rest drawn from the others.

    Offline mining: between two epochs write new losses into ``sampler.losses``. To resume in the middle of an epoch,
    give it the losses with which the epoch began.

    Args:
        losses: one number for each example of the dataset, (N,).
        num_samples: how many examples make an epoch, each at most once; None: all.
        hard: which part of them, 0 to 1, are the hardest; the rest is drawn evenly from what remains.

    Raises:
        ValueError: losses that are no vector, more samples than examples, a part that is none.

    >>> sampler = HardExampleSampler([0.1, 2.0, 0.5, 3.0], num_samples=3, hard=0.7)
    >>> order = sampler.order(np.random.default_rng(0))
    >>> len(order), {1, 3} <= set(order.tolist())
    (3, True)
    """

    def __init__(self, losses: Any, num_samples: int | None = None, hard: float = 0.5) -> None:
        self.losses = _vector("HardExampleSampler", losses).copy()
        count = len(self.losses)
        self.num_samples = count if num_samples is None else _whole("HardExampleSampler", num_samples, count)
        if not 0 <= hard <= 1:
            raise ValueError(f"HardExampleSampler: hard must be from 0 to 1, got {hard}")
        self.hard = hard

    def __len__(self) -> int:
        return self.num_samples

    def order(self, generator: np.random.Generator) -> np.ndarray:
        """Return the indices of an epoch in random order."""
        ranked = hardest(self.losses, len(self.losses))
        count = round(self.hard * self.num_samples)
        rest = generator.permutation(ranked[count:])[: self.num_samples - count]
        return generator.permutation(np.concatenate([ranked[:count], rest]))


class HardNegativeSampler:
    """Epochs of all positive examples and the hardest negative ones, in random order; see `hard_negatives`.

    Sung and Poggio (1998) called it bootstrapping: the false alarms of one round are the negatives of the next. Between
    two epochs write new losses into ``sampler.losses``.

    Args:
        losses: one number for each example of the dataset, (N,).
        positive: which of them are positive, N bools.
        ratio: how many negatives come to a positive.

    >>> sampler = HardNegativeSampler([0.1, 2.0, 0.5, 3.0, 0.2], [True, False, False, False, False], ratio=2)
    >>> len(sampler), sorted(sampler.order(np.random.default_rng(0)).tolist())
    (3, [0, 1, 3])
    """

    def __init__(self, losses: Any, positive: Any, ratio: float = 3.0) -> None:
        self.losses = _vector("HardNegativeSampler", losses).copy()
        self.positive, self.ratio = np.asarray(positive), ratio
        self._count = len(hard_negatives(self.losses, self.positive, ratio))

    def __len__(self) -> int:
        return self._count

    def order(self, generator: np.random.Generator) -> np.ndarray:
        """Return the indices of an epoch in random order."""
        return generator.permutation(hard_negatives(self.losses, self.positive, self.ratio))


def _vector(op: str, losses: Any) -> np.ndarray:
    losses = np.asarray(losses)
    if losses.ndim != 1 or losses.dtype.kind not in "fiu":
        raise ValueError(f"{op}: losses must be numbers (N,), got {losses.dtype} of shape {losses.shape}")
    return losses.astype(np.float64)


def _whole(op: str, count: Any, most: int) -> int:
    if not isinstance(count, (int, np.integer)) or isinstance(count, bool) or not 0 <= count <= most:
        raise ValueError(f"{op}: the count must be from 0 to {most}, the number of losses, got {count!r}")
    return int(count)
