"""What a training run needs that is not about learning: progress on the screen, metrics and checkpoints on the disk."""

from tinygrad_cnn.training.evaluate import Score, evaluate
from tinygrad_cnn.training.metrics import Metrics, read_metrics
from tinygrad_cnn.training.progress import Progress
from tinygrad_cnn.training.run import Run, new_folder

__all__ = ["Metrics", "Progress", "Run", "Score", "evaluate", "new_folder", "read_metrics"]
