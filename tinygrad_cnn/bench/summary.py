"""What is said about the samples of a row, and whether that is enough."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import geometric_mean
from typing import NamedTuple

import numpy as np

# What the 10th percentiles have to reach of a target: they are noisier than medians, and say the same of a quiet hour.
LENIENCE = 0.75


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

    def reaches(self, target: float) -> bool:
        """Return whether the medians reach a target, and the 10th percentiles three quarters of it.

        >>> Ratio(median=2.0, low=1.6).reaches(2.0), Ratio(2.0, 1.4).reaches(2.0), Ratio(1.9, 2.5).reaches(2.0)
        (True, False, False)
        """
        return self.median >= target and self.low >= LENIENCE * target


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


def mean_ratio(ratios: Sequence[Ratio]) -> Ratio:
    """Return the geometric means: twice as fast here and half as fast there is 1.

    >>> mean_ratio([Ratio(2.0, 4.0), Ratio(0.5, 1.0)])
    Ratio(median=1.0, low=2.0)
    """
    return Ratio(*(geometric_mean(values) for values in zip(*ratios, strict=True)))
