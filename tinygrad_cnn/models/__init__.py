"""Networks to use as they are."""

from tinygrad_cnn.models.lenet import LeNet5

__all__ = ["LeNet5"]
