"""What a training run needs that is not about learning: progress on the screen, metrics and checkpoints on the disk."""

from tinygrad_cnn.training.evaluate import Score, evaluate
from tinygrad_cnn.training.metrics import Metrics, read_metrics
from tinygrad_cnn.training.options import Options, read_options
from tinygrad_cnn.training.progress import Progress
from tinygrad_cnn.training.run import CHECKPOINT, Run, new_folder, unfinished_run

__all__ = [
    "CHECKPOINT",
    "Metrics",
    "Options",
    "Progress",
    "Run",
    "Score",
    "evaluate",
    "new_folder",
    "read_metrics",
    "read_options",
    "unfinished_run",
]
