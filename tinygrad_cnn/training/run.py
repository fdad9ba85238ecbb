"""A training run on the disk: checkpoints, resuming to the same bits, Ctrl-C, metrics and pictures.

The loop itself stays with whoever trains; a Run is told what happens and keeps it.
"""

from __future__ import annotations

import atexit
import gc
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tinygrad_cnn.data import DataLoader
from tinygrad_cnn.interop import load_checkpoint, save_checkpoint
from tinygrad_cnn.nn import Module
from tinygrad_cnn.optim import LRScheduler, Optimizer
from tinygrad_cnn.training.evaluate import Score
from tinygrad_cnn.training.metrics import Metrics, read_metrics
from tinygrad_cnn.training.progress import Progress, announced_compilation
from tinygrad_cnn.viz import confusion_matrix, save_confusion_matrix, save_learning_curves

CHECKPOINT = "checkpoint.safetensors"


class Run:
    """Keep a training run in a folder, so that it survives Ctrl-C and a kill at any moment.

    Iterate over `epochs` and, within, over `batches`; after each batch tell `record` its loss, after each epoch
    `finish_epoch` its test score. Between two batches everything is consistent, so that is where checkpoints are
    written: at the start, at Ctrl-C, every ``checkpoint_every`` batches, and before and after the test of each epoch.
    A run that resumes continues with the next batch, in the same order, to the same bits.

    Args:
        folder: where the run is kept; made if missing.
        model: what is trained.
        optimizer: its optimiser.
        scheduler: its schedule.
        loader: the batches of the training set.
        config: what the run is, in JSON values; kept in the checkpoint.
        resume: continue what the folder holds. Otherwise the folder must not hold a run yet.
        checkpoint_every: batches between further checkpoints; 0 for none.

    Raises:
        FileExistsError: the folder holds a run and ``resume`` is False: nothing is overwritten.
        FileNotFoundError: there is nothing to resume.
        ValueError: ``checkpoint_every`` is negative, or the checkpoint does not fit.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        model: Module,
        optimizer: Optimizer,
        scheduler: LRScheduler,
        loader: DataLoader,
        config: dict[str, Any],
        resume: bool = False,
        checkpoint_every: int = 0,
    ) -> None:
        if checkpoint_every < 0:
            raise ValueError(f"Run: checkpoint_every counts batches, 0 for none; got {checkpoint_every}")
        self.folder = Path(folder)
        self.model, self.optimizer, self.scheduler, self.loader = model, optimizer, scheduler, loader
        self.config, self.checkpoint_every = config, checkpoint_every
        self.progress: dict[str, Any] = {"epoch": 0, "batches": 0, "records": 0, "totals": {}, "finished": False}
        self._bar: Progress | None = None
        if resume:
            found = load_checkpoint(
                self.folder / CHECKPOINT, model=model, optimizer=optimizer, scheduler=scheduler, loader=loader
            )
            self.progress = found["progress"]
            epoch, batch = self.progress["epoch"], loader.state_dict()["position"]
            done = f"{epoch} {'epoch' if epoch == 1 else 'epochs'} and {batch} {'batch' if batch == 1 else 'batches'}"
            print(f"resuming {self.folder} after {done}", flush=True)
        elif (self.folder / CHECKPOINT).exists():
            raise FileExistsError(f"{self.folder} already holds a run; resume it, or choose another folder")
        self.folder.mkdir(parents=True, exist_ok=True)
        self.metrics = Metrics(self.folder / "metrics.jsonl", self.progress["records"] if resume else None)
        if not resume:
            self.save()  # a run that is killed before its first batch can be resumed too

    def epochs(self, count: int) -> Iterator[int]:
        """Yield the numbers, from 1, of the epochs that are still to do."""
        with announced_compilation():
            while self.progress["epoch"] < count:
                epoch = self.progress["epoch"] + 1
                size = len(self.loader.dataset)
                with Progress(f"epoch {epoch}/{count}", size, self.progress["totals"]) as self._bar:
                    yield epoch

    def batches(self) -> Iterator[Any]:
        """Yield the batches of the epoch (on resuming, those left), with checkpoints between them.

        Ctrl-C is answered at the end of a batch: a checkpoint is written and KeyboardInterrupt raised.
        """
        with _DelayedInterrupt() as interrupt:
            for batch in self.loader:
                yield batch
                self.progress["batches"] += 1
                last = self.loader.state_dict()["position"] == len(self.loader)
                due = self.checkpoint_every and self.progress["batches"] % self.checkpoint_every == 0
                if last or due or interrupt.asked:
                    self.save()
                if interrupt.asked:
                    raise KeyboardInterrupt

    def record(self, loss: float, correct: int, images: int) -> None:
        """Count a trained batch: its mean loss and how many of its images were classified correctly."""
        if self._bar is None:
            raise RuntimeError("Run.record: a batch belongs to an epoch; iterate over run.epochs() and run.batches()")
        self._bar.update(images, loss, correct)
        self.progress["totals"] = self._bar.state_dict()

    def finish_epoch(self, score: Score) -> None:
        """Note the epoch's figures and its test score, print the line that stays, and write a checkpoint."""
        if self._bar is None:
            raise RuntimeError("Run.finish_epoch: there is no epoch; iterate over run.epochs()")
        self.progress["epoch"] += 1
        self.metrics.write(
            epoch=self.progress["epoch"],
            train_loss=self._bar.loss,
            train_accuracy=self._bar.accuracy,
            test_loss=score.loss,
            test_accuracy=score.accuracy,
        )
        self._bar.finish(f"test accuracy {score.accuracy:.2%}")
        self.progress["totals"] = {}
        self.save()

    def save(self) -> None:
        """Write the checkpoint, atomically."""
        self.progress["records"] = self.metrics.position()
        save_checkpoint(
            self.folder / CHECKPOINT,
            model=self.model,
            optimizer=self.optimizer,
            scheduler=self.scheduler,
            loader=self.loader,
            progress=self.progress,
            config=self.config,
        )

    def finish(self, score: Score, classes: tuple[str, ...], title: str) -> None:
        """Draw the learning curves and the confusion matrix, and say what is where."""
        count = len(score.labels)
        print(f"test accuracy {score.accuracy:.2%} ({score.correct:,} of {count:,} images, the last epoch's weights)")
        files = {"checkpoint": CHECKPOINT, "metrics": "metrics.jsonl"}
        try:
            save_learning_curves(read_metrics(self.folder / "metrics.jsonl"), self.folder / "curves.png", title)
            matrix = confusion_matrix(score.labels, score.predictions, len(classes))
            save_confusion_matrix(matrix, classes, self.folder / "confusion.png", title)
            files |= {"learning curves": "curves.png", "confusion matrix": "confusion.png"}
        except ImportError as error:  # a picture is never worth a run
            print(f"no pictures: {error}")
        for what, name in files.items():
            print(f"  {what:17} {self.folder / name}")
        self.progress["finished"] = True
        self.save()
        # At its end Python would look for cycles among all objects of the compiler: a third of a second for nothing.
        atexit.register(gc.freeze)


def new_folder(parent: str | os.PathLike[str], name: str) -> Path:
    """Return ``parent/name``, or with -2, -3, ... appended the first that holds no run yet."""
    folder, number = Path(parent) / name, 1
    while (folder / CHECKPOINT).exists():
        number += 1
        folder = Path(parent) / f"{name}-{number}"
    return folder


def unfinished_run(parent: str | os.PathLike[str]) -> Path:
    """Return the folder below ``parent`` of the newest run that has not come to its end.

    Raises:
        FileNotFoundError: there is none; the message says what there is.
    """
    checkpoints = sorted(Path(parent).rglob(CHECKPOINT), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for checkpoint in checkpoints:
        progress = load_checkpoint(checkpoint, generators={})["progress"]
        if not (isinstance(progress, dict) and progress.get("finished")):
            return checkpoint.parent
    finished = f"all {len(checkpoints)} runs there are finished" if checkpoints else "there is no run there"
    raise FileNotFoundError(
        f"nothing to resume under {Path(parent).absolute()}: {finished}; begin one without --resume"
    )


class _DelayedInterrupt:
    """Within the block the first Ctrl-C only sets ``asked``; the second one interrupts at once."""

    def __enter__(self) -> _DelayedInterrupt:
        self.asked = False
        # only the main thread may handle signals; elsewhere Ctrl-C does what it always did
        self._found: Any = None
        if threading.current_thread() is threading.main_thread():
            self._found = signal.signal(signal.SIGINT, self._handle)
        return self

    def _handle(self, number: int, frame: Any) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def __exit__(self, *exception: object) -> None:
        if self._found is not None:
            signal.signal(signal.SIGINT, self._found)
