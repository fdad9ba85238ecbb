"""Networks with trained weights, and photographs to show them; everything is fetched once and verified."""

from tinygrad_cnn.hub.efficientnet import efficientnet_lite0
from tinygrad_cnn.hub.imagenet import imagenet_classes, imagenet_input, read_photograph
from tinygrad_cnn.hub.photographs import photograph
from tinygrad_cnn.hub.torch_file import read_torch

__all__ = [
    "efficientnet_lite0",
    "imagenet_classes",
    "imagenet_input",
    "photograph",
    "read_photograph",
    "read_torch",
]
