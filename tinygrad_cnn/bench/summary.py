"""What is said about the samples of a row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Summary(NamedTuple):
    """The middle of a side's samples and their spread: 80 % lie between ``low`` and ``high``."""

    median: float
    low: float  # the 10th percentile
    high: float  # the 90th
    samples: int


class Ratio(NamedTuple):
    """PyTorch's figure / ours: above 1 ours is better."""

    median: float
    low: float  # of the 10th percentiles: what both reach when nothing disturbs them


def summarise(samples: Sequence[float]) -> Summary:
    """Return the median, the 10th and 90th percentile and the number of samples.

    >>> summarise([5.0, 1.0, 2.0, 3.0, 4.0])
    Summary(median=3.0, low=1.4, high=4.6, samples=5)
    """
    low, median, high = np.percentile(samples, [10, 50, 90]).tolist()
    return Summary(median, low, high, len(samples))


def compare(peer: Summary, ours: Summary) -> Ratio:
    """Return how many times better ours is.

    >>> compare(peer=Summary(3.0, 2.0, 9.0, 5), ours=Summary(2.0, 1.0, 8.0, 5))
    Ratio(median=1.5, low=2.0)
    """
    return Ratio(peer.median / ours.median, peer.low / ours.low)
