"""What is done to images before a network sees them: fitted once on the training set, or at random in each batch."""

from tinygrad_cnn.preprocess.affine import RandomAffine
from tinygrad_cnn.preprocess.augment import Augmentation, Compose, RandomCrop, RandomErasing, RandomHorizontalFlip
from tinygrad_cnn.preprocess.colour import ColorJitter
from tinygrad_cnn.preprocess.fitted import MeanCenter, Normalize, Preprocessing
from tinygrad_cnn.preprocess.whitening import Decorrelate, Whiten

__all__ = [
    "Augmentation",
    "ColorJitter",
    "Compose",
    "Decorrelate",
    "MeanCenter",
    "Normalize",
    "Preprocessing",
    "RandomAffine",
    "RandomCrop",
    "RandomErasing",
    "RandomHorizontalFlip",
    "Whiten",
]
