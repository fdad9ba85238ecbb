"""Optimisers, learning-rate schedules and gradient clipping, under PyTorch's names."""

from tinygrad_cnn.optim.adam import Adam, AdamW
from tinygrad_cnn.optim.clip import clip_grad_norm_, clip_grad_value_
from tinygrad_cnn.optim.one_cycle import OneCycleLR
from tinygrad_cnn.optim.optimizer import Optimizer
from tinygrad_cnn.optim.plateau import ReduceLROnPlateau
from tinygrad_cnn.optim.rmsprop import RMSprop
from tinygrad_cnn.optim.schedule import (
    CosineAnnealingLR,
    LinearLR,
    LRScheduler,
    MultiStepLR,
    SequentialLR,
    StepLR,
)
from tinygrad_cnn.optim.sgd import SGD

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "CosineAnnealingLR",
    "LRScheduler",
    "LinearLR",
    "MultiStepLR",
    "OneCycleLR",
    "Optimizer",
    "RMSprop",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
    "clip_grad_norm_",
    "clip_grad_value_",
]
