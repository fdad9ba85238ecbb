"""What was found for a row, for several, and for a whole run, and how it is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tinygrad_cnn.bench import peak
from tinygrad_cnn.bench.rows import PEAK, SUMMARIES, Mean, Quantity, Quotient, Row, members
from tinygrad_cnn.bench.sides import OURS, PEER
from tinygrad_cnn.bench.summary import Ratio, Summary, compare, mean_ratio

Figures = dict[str, Summary]  # by the name of the side
HEADINGS: Sequence[str] = ("row", OURS.name, PEER.name, "medians", "10th", "of peak", "target", "others")
SHORTEST_BLOCK = 2.0  # seconds; shorter ones do not see what comes and goes: other processes, the processor's clock


class Conditions(NamedTuple):
    """Under which conditions a table was measured."""

    machine: dict[str, str]
    sides: list[str]
    turns: int
    seconds: float
    threads: int

    def sentences(self) -> list[str]:
        """Return what a reader of the figures must know."""
        about = self.machine
        packages = [f"{name} {about[name]}" for name in about if name not in ("processor", "system", "python", "load")]
        sentences = [
            f"{about['processor']}, {about['system']}, load {about['load']}; "
            f"Python {about['python']}, {', '.join(packages)}; threads: {self.threads}.",
            f"{self.turns} turns a side, of {self.seconds:g} s. Median (10th to 90th percentile). Medians, 10th: "
            f"PyTorch's figure / ours, above 1 ours is better. Of peak: of the multiply-adds that the cores can do.",
        ]
        if PEER.name not in self.sides:
            sentences.append("PyTorch is not installed, so these are our figures alone; pip install torch to compare.")
        if self.seconds < SHORTEST_BLOCK:
            sentences.append(f"A trial: turns of less than {SHORTEST_BLOCK:g} s give no figures to quote.")
        return sentences


class Result(NamedTuple):
    """What was found for one row; ``peak`` are the seconds of `rows.PEAK` in the same turns.

    ``reached`` are the accuracies that each side's trainings ended with, turn by turn.
    """

    row: Row
    figures: Figures
    peak: Summary | None = None
    reached: Mapping[str, Sequence[float]] = {}

    @property
    def ours(self) -> Summary:
        """Our figure."""
        return self.figures[OURS.name]

    @property
    def ratio(self) -> Ratio | None:
        """PyTorch's figure / ours; None without PyTorch."""
        return compare(self.figures[PEER.name], self.ours) if PEER.name in self.figures else None

    @property
    def share(self) -> float | None:
        """Our part of the multiply-adds that the processor could have done in that time."""
        if not (self.row.multiply_adds and self.peak):
            return None
        possible = peak.multiply_adds(**PEAK.arguments) / self.peak.median
        return self.row.multiply_adds / self.ours.median / possible

    @property
    def verdicts(self) -> dict[str, bool]:
        """What the row asks for, and whether it was reached; without what could not be compared."""
        row, found = self.row, {}
        if row.target is not None and self.ratio:
            found[f">= {row.target:.3g}"] = self.ratio.reaches(row.target)
        if row.limit is not None:
            found[f"<= {_plain(row.limit, row.quantity)}"] = self.ours.median <= row.limit
        if row.share is not None and self.share is not None:
            found[f">= {row.share:.0%} of peak"] = self.share >= row.share
        if row.goal is not None:
            found[f"reached {row.goal:.0%}"] = min(self.reached[OURS.name]) >= row.goal
        return found

    def cells(self) -> list[str]:
        """Return the columns of `HEADINGS`."""
        ratios = [f"{x:.2f}" for x in self.ratio] if self.ratio else ["-", "-"]
        write = {name: figure(side, self.row.quantity) for name, side in self.figures.items()}
        ours, peer = (write.pop(side.name, "-") for side in (OURS, PEER))
        others = [f"{name} {text} {compare(self.figures[name], self.ours).median:.2f}" for name, text in write.items()]
        if self.row.goal is not None:
            others += [f"{name} reached {accuracies(found, self.row.goal)}" for name, found in self.reached.items()]
        share = "-" if self.share is None else f"{self.share:.0%}"
        return [self.row.name, ours, peer, *ratios, share, words(self.verdicts), "; ".join(others) or "-"]

    def record(self) -> dict[str, Any]:
        """Return the same as values for JSON: seconds or MB."""
        return {
            "row": self.row.name,
            "group": self.row.group,
            "title": self.row.title,
            "unit": "MB" if self.row.quantity == "memory" else "s",
            **{name: side._asdict() for name, side in self.figures.items()},
            **({"ratio": self.ratio._asdict()} if self.ratio else {}),
            **({"share of peak": self.share} if self.share is not None else {}),
            **({"reached": self.reached} if self.row.goal is not None else {}),
            "targets": self.verdicts,
        }


class Conclusion(NamedTuple):
    """What several rows say together."""

    name: str
    title: str
    figures: str
    verdicts: dict[str, bool]

    def cells(self) -> list[str]:
        """Return name, what it is, its figures and its verdict."""
        return [self.name, self.title, self.figures, words(self.verdicts)]


def conclusions(results: Sequence[Result]) -> list[Conclusion]:
    """Return what can be said about several rows: only where all of them were measured."""
    found = {result.row.name: result for result in results}
    return [c for rule in SUMMARIES if (c := _mean(rule, found) if isinstance(rule, Mean) else _quotient(rule, found))]


def _mean(rule: Mean, found: Mapping[str, Result]) -> Conclusion | None:
    ratios = [found[row.name].ratio if row.name in found else None for row in members(rule)]
    known = [ratio for ratio in ratios if ratio]
    if len(known) < len(ratios):
        return None
    ratio = mean_ratio(known)
    figures = f"{ratio.median:.2f} (10th percentiles {ratio.low:.2f}), geometric mean of {len(known)}"
    return Conclusion(rule.name, rule.title, figures, {f">= {rule.target:g}": ratio.reaches(rule.target)})


def _quotient(rule: Quotient, found: Mapping[str, Result]) -> Conclusion | None:
    if not {rule.row, rule.other} <= set(found):
        return None
    row, other = found[rule.row].figures, found[rule.other].figures
    quotients = {name: row[name].median / other[name].median for name in row}
    verdicts = {}
    if rule.least is not None:
        verdicts[f">= {rule.least:g}"] = quotients[OURS.name] >= rule.least
    if rule.most is not None:
        verdicts[f"<= {rule.most:g}"] = quotients[OURS.name] <= rule.most
    return Conclusion(rule.name, rule.title, ", ".join(f"{n} {q:.2f}" for n, q in quotients.items()), verdicts)


def accuracies(reached: Sequence[float], goal: float) -> str:
    """Write what each run reached, and how many of them fell short.

    >>> accuracies([0.991, 0.9899], goal=0.99)
    '99.10 %, 98.99 % (1 of 2 runs SHORT of 99 %)'
    """
    short = sum(accuracy < goal for accuracy in reached)
    text = ", ".join(f"{100 * accuracy:.2f} %" for accuracy in reached)
    return text + (f" ({short} of {len(reached)} runs SHORT of {100 * goal:g} %)" if short else "")


def words(verdicts: Mapping[str, bool]) -> str:
    """Write what was asked for, and whether it was reached.

    >>> words({">= 4": True, "<= 15 s": False})
    '>= 4 pass, <= 15 s FAIL'
    """
    return ", ".join(f"{what} {'pass' if reached else 'FAIL'}" for what, reached in verdicts.items()) or "-"


def figure(side: Summary, quantity: Quantity) -> str:
    """Write a side's median and spread in one unit.

    >>> figure(Summary(median=0.00123, low=0.0011, high=0.0149, samples=9), "step")
    '1.23 ms (1.1 to 14.9)'
    """
    unit, scale = _unit(side.median, quantity)
    median, low, high = (f"{x / scale:.3g}" if x < 1000 * scale else f"{x / scale:.0f}" for x in side[:3])
    return f"{median} {unit} ({low} to {high})"


def _plain(value: float, quantity: Quantity) -> str:
    unit, scale = _unit(value, quantity)
    return f"{value / scale:.3g} {unit}"


def _unit(value: float, quantity: Quantity) -> tuple[str, float]:
    times = [("ns", 1e-9), ("us", 1e-6), ("ms", 1e-3), ("s", 1.0)]
    scales = {"memory": [("MB", 1.0)]}.get(quantity, times)
    return next((entry for entry in reversed(scales) if value >= entry[1]), scales[0])
