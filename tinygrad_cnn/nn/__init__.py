"""Layers, networks and their initial values, under PyTorch's names."""

from tinygrad_cnn import functional
from tinygrad_cnn.nn import init
from tinygrad_cnn.nn.activation import LeakyReLU, LogSoftmax, ReLU, Sigmoid, Softmax, Tanh
from tinygrad_cnn.nn.container import ModuleList, Sequential
from tinygrad_cnn.nn.conv import Conv2d
from tinygrad_cnn.nn.dropout import Dropout
from tinygrad_cnn.nn.linear import Linear
from tinygrad_cnn.nn.loss import CrossEntropyLoss, MSELoss, NLLLoss
from tinygrad_cnn.nn.loss_pairs import (
    BCELoss,
    BCEWithLogitsLoss,
    CosineEmbeddingLoss,
    CosineSimilarity,
    HingeEmbeddingLoss,
    HuberLoss,
    KLDivLoss,
    L1Loss,
    MarginRankingLoss,
    MultiMarginLoss,
    PairwiseDistance,
    SmoothL1Loss,
    SoftMarginLoss,
    TripletMarginLoss,
)
from tinygrad_cnn.nn.module import Module
from tinygrad_cnn.nn.norm import BatchNorm1d, BatchNorm2d
from tinygrad_cnn.nn.parameter import Parameter
from tinygrad_cnn.nn.pool import AdaptiveAvgPool2d, AvgPool2d, MaxPool2d
from tinygrad_cnn.nn.resize import PixelShuffle, PixelUnshuffle, Upsample
from tinygrad_cnn.nn.shape import Flatten, Identity, Unflatten

__all__ = [
    "AdaptiveAvgPool2d",
    "AvgPool2d",
    "BCELoss",
    "BCEWithLogitsLoss",
    "BatchNorm1d",
    "BatchNorm2d",
    "Conv2d",
    "CosineEmbeddingLoss",
    "CosineSimilarity",
    "CrossEntropyLoss",
    "Dropout",
    "Flatten",
    "HingeEmbeddingLoss",
    "HuberLoss",
    "Identity",
    "KLDivLoss",
    "L1Loss",
    "LeakyReLU",
    "Linear",
    "LogSoftmax",
    "MSELoss",
    "MarginRankingLoss",
    "MaxPool2d",
    "Module",
    "ModuleList",
    "MultiMarginLoss",
    "NLLLoss",
    "PairwiseDistance",
    "Parameter",
    "PixelShuffle",
    "PixelUnshuffle",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "SmoothL1Loss",
    "SoftMarginLoss",
    "Softmax",
    "Tanh",
    "TripletMarginLoss",
    "Unflatten",
    "Upsample",
    "functional",
    "init",
]
