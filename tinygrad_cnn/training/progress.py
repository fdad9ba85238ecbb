"""What a person sees: a bar while an epoch runs and one line that stays; why the first kernels take a while."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any, TextIO

from tqdm import tqdm

from tinygrad_cnn import state

_BAR = "{desc} {percentage:3.0f}%|{bar}| {remaining} left{postfix}"


class Progress:
    """Count an epoch's images, losses and right answers, and show them.

    The bar appears on a terminal only, with the mean loss and accuracy of the epoch so far, images per second and the
    time left; `finish` prints the line that stays, everywhere.

    Args:
        title: What runs, such as "epoch 1/4".
        images: How many images the epoch has.
        totals: ``state_dict()`` of an epoch that was stopped and now continues.
        bar_file: Where the bar goes, where that is a terminal; None means standard error.

    >>> with Progress("epoch 1/4", images=200) as progress:
    ...     progress.update(images=128, loss=0.5, correct=96)
    ...     progress.update(images=72, loss=0.25, correct=64)
    >>> progress.loss, progress.accuracy
    (0.41, 0.8)
    """

    def __init__(
        self, title: str, images: int, totals: Mapping[str, Any] | None = None, bar_file: TextIO | None = None
    ) -> None:
        self.title = title
        self._totals = {"images": 0, "loss": 0.0, "correct": 0, **(totals or {})}
        self._before = self._totals["images"]  # by the stopped run: they do not count as speed
        self._start = time.perf_counter()
        self._bar = tqdm(
            desc=title,
            total=images,
            initial=self._before,
            file=bar_file or sys.stderr,
            bar_format=_BAR,
            leave=False,
            disable=None,  # on anything but a terminal
            dynamic_ncols=True,
        )

    def update(self, images: int, loss: float, correct: int) -> None:
        """Count one batch.

        Args:
            images: How many images it has.
            loss: Their mean loss.
            correct: How many of them were classified correctly.
        """
        self._totals["images"] += images
        self._totals["loss"] += float(loss) * images
        self._totals["correct"] += int(correct)
        if not self._bar.disable:
            figures = f"loss {self.loss:.4f}, accuracy {self.accuracy:.2%}, {self.images_per_second:,.0f} images/s"
            self._bar.set_postfix_str(figures, refresh=False)
            self._bar.update(images)

    @property
    def loss(self) -> float:
        """The mean loss of the images so far; NaN before the first."""
        return self._totals["loss"] / self._totals["images"] if self._totals["images"] else float("nan")

    @property
    def accuracy(self) -> float:
        """The part of the images so far that was classified correctly, 0 to 1; NaN before the first."""
        return self._totals["correct"] / self._totals["images"] if self._totals["images"] else float("nan")

    @property
    def images_per_second(self) -> float:
        """Images per second of wall clock since this object was made."""
        return (self._totals["images"] - self._before) / (time.perf_counter() - self._start)

    def state_dict(self) -> dict[str, Any]:
        """Return the sums so far, in the types of JSON, for a checkpoint within the epoch."""
        return dict(self._totals)

    def finish(self, note: str = "") -> None:
        """Remove the bar and print the line that stays to standard output, with a note such as the test accuracy."""
        seconds, speed = time.perf_counter() - self._start, self.images_per_second
        self.close()
        figures = [f"loss {self.loss:.4f}", f"accuracy {self.accuracy:.2%}", *([note] if note else [])]
        print(f"{self.title}: {', '.join(figures)} ({seconds:.1f} s, {speed:,.0f} images/s)", flush=True)

    def close(self) -> None:
        """Remove the bar."""
        self._bar.close()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


@contextlib.contextmanager
def announced_compilation() -> Iterator[None]:
    """Within the block say once, on standard error, that kernels are being compiled; nothing where all are cached."""
    found = state.on_compile

    def announce(kernel: str) -> None:
        state.on_compile = None
        print("compiling kernels for this machine; the next run finds them ready ...", file=sys.stderr, flush=True)

    state.on_compile = announce
    try:
        yield
    finally:
        state.on_compile = found
