"""Ablation studies: a component is left out, everything else stays, and the table says what it was worth."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_cnn.analysis.ablation import ablate
from tinygrad_cnn.nn import Module

FULL = "full"
# Student's t, 97.5 %, for 1 to 10 degrees of freedom; beyond, a series is right to 0.003.
_STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
_NORMAL = 1.95996


class Interval(NamedTuple):
    """A value and its 95 % confidence interval.

    >>> print(Interval(0.9, 0.88, 0.92))
    90.00 % [88.00, 92.00]
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2%} [{100 * self.low:.2f}, {100 * self.high:.2f}]".replace("%", " %", 1)


class AblationStudy:
    """What `ablation_study` and `ablate_each` found; ``print(study)`` is the table.

    The intervals hold 95 %. With several runs they are Student's, over the runs: what other seeds would give on these
    images. With one run they are over the images: what other images would give this network; for an accuracy Wilson's
    (1927), for a difference that of Agresti and Min (2005), which both know that 0 mistakes of few images prove little.

    Attributes:
        variants: ``"full"`` and the components that were left out, one at a time.
        labels: the true classes (N,).
        predictions: variant -> (runs, N).
    """

    def __init__(self, labels: np.ndarray, predictions: Mapping[str, np.ndarray]) -> None:
        self.labels, self.predictions = labels, dict(predictions)
        self.variants = list(predictions)

    def _right(self, variant: str) -> np.ndarray:
        if variant not in self.predictions:
            raise KeyError(f"the study has no variant {variant!r}; it has {', '.join(self.variants)}")
        return self.predictions[variant] == self.labels  # (runs, N)

    def accuracy(self, variant: str = FULL) -> Interval:
        """Return the part of the images that a variant gets right."""
        right = self._right(variant)
        if len(right) > 1:
            value, low, high = over_runs(right.mean(1))
            return Interval(value, max(low, 0.0), min(high, 1.0))
        n, p, z2 = right.size, right.mean(), _NORMAL**2
        middle = (p + z2 / (2 * n)) / (1 + z2 / n)
        half = _NORMAL * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n)
        return Interval(float(p), float(middle - half), float(middle + half))

    def worth(self, component: str) -> Interval:
        """Return how much accuracy is lost without a component: the same seeds, or the same images, in pairs."""
        full, without = self._right(FULL), self._right(component)
        if len(full) > 1:
            return over_runs(full.mean(1) - without.mean(1))
        n = full.size
        lost, gained = int((full & ~without).sum()), int((without & ~full).sum())
        middle = (lost - gained) / (n + 2)
        half = _NORMAL * math.sqrt((lost + gained + 1) - (lost - gained) ** 2 / (n + 2)) / (n + 2)
        return Interval((lost - gained) / n, middle - half, middle + half)

    def per_class(self, variant: str = FULL) -> np.ndarray:
        """Return the part of each class that a variant gets right (classes,), over all runs; NaN without images."""
        right, classes = self._right(variant).mean(0), int(self.labels.max(initial=-1)) + 1
        counts = np.bincount(self.labels, minlength=classes)
        return np.bincount(self.labels, right, classes) / np.where(counts, counts, np.nan)

    def table(self, classes: Sequence[str] | None = None) -> str:
        """Return a line for each variant: accuracy, what is lost, and the change of each class in points.

        ``classes`` are their names; without them they are numbers.
        """
        full = self.per_class()
        names = [str(name) for name in (classes or range(len(full)))]
        wide, widths = max(map(len, self.variants)) + 8, [max(6, len(name)) for name in names]
        head = f"{'':{wide}} {'accuracy, %':>22} {'lost without it':>22}  "
        lines = [head + " ".join(f"{name:>{w}}" for name, w in zip(names, widths, strict=True))]
        for variant in self.variants:
            is_full = variant == FULL
            numbers = 100 * (full if is_full else self.per_class(variant) - full)
            line = f"{variant if is_full else f'without {variant}':{wide}} {_points(self.accuracy(variant)):>22} "
            line += f"{'' if is_full else _points(self.worth(variant), '+'):>22}  "
            signed = "" if is_full else "+"
            lines.append(line + " ".join(f"{x:{signed}{w}.1f}" for x, w in zip(numbers, widths, strict=True)))
        runs = len(self.predictions[FULL])
        what = f"{runs} paired runs: 95 % intervals over runs" if runs > 1 else "one run: 95 % intervals over images"
        return "\n".join([*lines, f"{len(self.labels):,} images, {what}"])

    def __str__(self) -> str:
        return self.table()


def _points(interval: Interval, sign: str = "") -> str:
    value, low, high = (100 * x for x in interval)
    return f"{value:{sign}.2f} [{low:{sign}.2f}, {high:{sign}.2f}]"


def over_runs(values: Any) -> Interval:
    """Return the mean of two or more runs, with Student's interval.

    >>> print(over_runs([0.90, 0.92, 0.91]))
    91.00 % [88.52, 93.48]
    """
    values = np.asarray(values)
    if values.ndim != 1 or values.dtype.kind not in "fiu":
        raise ValueError(f"over_runs: values must be numbers (N,), one for each run, got {values.dtype} {values.shape}")
    degrees, z = len(values) - 1, _NORMAL
    if degrees < 1:
        raise ValueError(f"over_runs: the spread of {len(values)} runs is unknown; at least 2 are needed")
    series = z + (z**3 + z) / (4 * degrees) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * degrees**2)
    t = _STUDENT[degrees - 1] if degrees <= len(_STUDENT) else series
    half = t * float(values.std(ddof=1)) / math.sqrt(len(values))
    mean = float(values.mean())
    return Interval(mean, mean - half, mean + half)


def ablation_study(
    run: Callable[[frozenset[str], int], tuple[Any, Any]], components: Iterable[str], seeds: Iterable[int] = (0, 1, 2)
) -> AblationStudy:
    """Train with everything, then without each component in turn, with the same seeds.

    Runs are paired: a seed decides initial values, the order of batches and the rest of the luck, for the full network
    and for every variant, so that their differences show less of that luck.

    Args:
        run: called as run(parts, seed) with the components that are to be there. It builds, trains, and returns the
            true and the predicted classes of the whole test set, both (N,) and in the same order every time.
        components: the names of what is left out, one at a time.
        seeds: one run of each variant for each of them.

    Raises:
        ValueError: no seeds, a component twice or called "full", or runs that do not return the same labels.

    >>> def run(parts, seed):
    ...     labels = np.arange(200) % 2
    ...     wrong = np.random.default_rng(seed).permutation(200) < (20 if "A" in parts else 60)
    ...     return labels, np.where(wrong, 1 - labels, labels)
    >>> study = ablation_study(run, ["A", "B"])
    >>> print(study.accuracy(), study.worth("A"), study.worth("B"))
    90.00 % [90.00, 90.00] 20.00 % [20.00, 20.00] 0.00 % [0.00, 0.00]
    """
    for name, several in (("components", components), ("seeds", seeds)):
        if isinstance(several, str) or not isinstance(several, Iterable):
            raise TypeError(f"ablation_study: {name} must be a list, got {several!r}")
    names, seeds = list(components), list(seeds)
    if not seeds:
        raise ValueError("ablation_study: seeds must hold at least one seed")
    if FULL in names or len(set(names)) < len(names):
        raise ValueError(f"ablation_study: components must be different names, and none {FULL!r}, got {names}")
    variants = {FULL: frozenset(names)} | {name: frozenset(names) - {name} for name in names}
    collected: dict[str, list[Any]] = {
        variant: [run(parts, seed) for seed in seeds] for variant, parts in variants.items()
    }
    return _study("ablation_study", collected)


def ablate_each(
    model: Module,
    addresses: Iterable[str | tuple[str, Sequence[int]]],
    evaluate: Callable[[Module], tuple[Any, Any]],
    mode: str = "zero",
    generator: np.random.Generator | None = None,
) -> AblationStudy:
    """Ablate the results at several addresses of a trained network, one at a time, without training again.

    This is what the network as it is makes of their absence. What a network would make of it that had been trained
    without them is the question of `ablation_study`; the answers differ.

    Args:
        model: the network.
        addresses: as `ablate` takes them; or with channels, as ("conv1", [3]), which the study calls "conv1[3]".
        evaluate: called as evaluate(model); returns the true and the predicted classes, both (N,).
        mode: what stands in the place of the result; see `ablate`.
        generator: draws shuffles and noise; None is the default generator.

    >>> from tinygrad_cnn.models import LeNet5
    >>> x, labels = np.zeros((4, 1, 28, 28), np.float32), np.array([0, 1, 2, 3])
    >>> score = lambda model: (labels, model(x).data.argmax(1))
    >>> ablate_each(LeNet5(), ["features.conv1", ("features.conv2", [3])], score).variants
    ['full', 'features.conv1', 'features.conv2[3]']
    """
    if isinstance(addresses, str) or not isinstance(addresses, Iterable) or not callable(evaluate):
        raise TypeError(f"ablate_each: needs a list of addresses and a function, got {addresses!r} and {evaluate!r}")
    parts = [(part, None) if isinstance(part, str) else part for part in addresses]
    for part in parts:
        if not isinstance(part, tuple) or len(part) != 2:
            raise TypeError(f"ablate_each: an address is 'conv1', or ('conv1', [3]) with channels, got {part!r}")
    found = {FULL: [evaluate(model)]}
    for address, channels in parts:
        name = address if channels is None else f"{address}{list(channels)}"
        with ablate(model, address, mode, channels, generator):
            found[name] = [evaluate(model)]
    return _study("ablate_each", found)


def _study(op: str, found: Mapping[str, list[Any]]) -> AblationStudy:
    """Check that all runs speak of the same images."""
    for run in (run for runs in found.values() for run in runs):
        if not isinstance(run, tuple | list) or len(run) != 2:
            raise TypeError(f"{op}: a run must return labels and predictions, both (N,), got {run!r:.80}")
    labels = np.asarray(found[FULL][0][0])
    predictions = {variant: np.array([np.asarray(run[1]) for run in runs]) for variant, runs in found.items()}
    for variant, runs in found.items():
        for run, predicted in zip(runs, predictions[variant], strict=True):
            if labels.ndim != 1 or not np.array_equal(run[0], labels) or predicted.shape != labels.shape:
                raise ValueError(
                    f"{op}: a run of {variant!r} must return the labels (N,) of the first run, in the same order, and "
                    f"as many predictions; got shapes {np.shape(run[0])} and {predicted.shape}, first {labels.shape}"
                )
    if not len(labels):
        raise ValueError(f"{op}: the test set is empty")
    return AblationStudy(labels, predictions)
