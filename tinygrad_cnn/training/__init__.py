"""What a training run needs that is not about learning: progress on the screen, metrics on the disk."""

from tinygrad_cnn.training.metrics import Metrics, read_metrics
from tinygrad_cnn.training.progress import Progress

__all__ = ["Metrics", "Progress", "read_metrics"]
